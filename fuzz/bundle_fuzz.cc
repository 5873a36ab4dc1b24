// Fuzzes the bundle reader: no input crashes it, and what it accepts is written back to a bundle
// with the same content.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "bundle/bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using graupel::Result;
  using graupel::bundle::Bundle;
  const Result<Bundle> bundle =
      graupel::bundle::parse_bundle({reinterpret_cast<const char*>(data), size});
  if (!bundle.ok()) return 0;
  const Result<std::string> bytes = graupel::bundle::format_bundle(*bundle);
  // A manifest near the size limit may grow past it when it is printed again.
  if (!bytes.ok()) return 0;
  const Result<Bundle> again = graupel::bundle::parse_bundle(*bytes);
  if (!again.ok() || !(*again == *bundle)) std::abort();
  return 0;
}
