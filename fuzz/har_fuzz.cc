// The HAR reader on any bytes: as an archive, and as the JSON inside a correct one.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hailo/har.h"
#include "hailo/har_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)graupel::hailo::read_har(bytes);
  (void)graupel::hailo::read_har(
      graupel::hailo::har_bytes({{"net.hn", std::string(bytes)}}, graupel::hailo::Packing::kTar));
  return 0;
}
