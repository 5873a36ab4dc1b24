// The HEF reader on any bytes: as a whole file, and with a correct container around them, so that
// the protobuf behind the checksum is reached.
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hef/hef.h"

namespace {

std::string big_endian(uint64_t value, int size) {
  std::string out;
  for (int i = size - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

void read(std::string_view bytes) {
  const auto hef = graupel::hef::read_hef(bytes);
  if (!hef.ok()) return;
  (void)graupel::hef::judge_hef(*hef);
  (void)graupel::hef::compare_with(
      *hef, {"x", {{"a", 1, {1, 1, 1}, {"n"}, {{0.0, 1.0}}}}, {{"b", 1, {1, 1, 1}, {"n"}, {}}}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  const uint64_t crc = crc32_z(0, data, size);
  read(std::string("\x01HEF", 4) + big_endian(1, 4) + big_endian(size, 4) + big_endian(crc, 4) +
       std::string(12, '\0') + std::string(bytes));
  return 0;
}
