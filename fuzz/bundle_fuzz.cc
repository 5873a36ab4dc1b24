// Fuzzes the bundle reader: no input crashes it, and what it accepts is written back to a bundle
// with the same content. The input is also read as a bare manifest, because inside a bundle the
// manifest's CRC-32 keeps nearly every mutation away from the JSON reader.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "bundle/bundle.h"
#include "bundle/manifest.h"

namespace bundle = graupel::bundle;
using graupel::Result;

namespace {

void check_manifest(std::string_view input) {
  const Result<bundle::Manifest> manifest = bundle::parse_manifest(input);
  if (!manifest.ok()) return;
  // A manifest near the size limit may grow past it when it is printed again.
  const Result<std::string> text = bundle::format_manifest(*manifest);
  if (!text.ok()) return;
  const Result<bundle::Manifest> again = bundle::parse_manifest(*text);
  if (!again.ok() || !(*again == *manifest)) std::abort();
}

void check_bundle(std::string_view input) {
  const Result<bundle::Bundle> read = bundle::parse_bundle(input);
  if (!read.ok()) return;
  const Result<std::string> bytes = bundle::format_bundle(*read);
  if (!bytes.ok()) return;
  const Result<bundle::Bundle> again = bundle::parse_bundle(*bytes);
  if (!again.ok() || !(*again == *read)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_bundle(input);
  check_manifest(input);
  return 0;
}
