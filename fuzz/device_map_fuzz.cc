// device.json: what is read is written again and read as the same.
#include <cstdint>
#include <cstdlib>

#include "npu/device_map.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace graupel::npu;
  const auto map = parse_device_map({reinterpret_cast<const char*>(data), size});
  if (!map.ok()) return 0;
  const auto again = parse_device_map(format_device_map(*map));
  if (!again.ok()) std::abort();
  return 0;
}
