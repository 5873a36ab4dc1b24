// Any bytes as a file of scales: an error, or scales that are written and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "deploy/encodings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto encodings = graupel::deploy::parse_encodings(text);
  if (!encodings.ok()) return 0;
  const auto back = graupel::deploy::parse_encodings(graupel::deploy::format_encodings(*encodings));
  if (!back.ok() || !(*back == *encodings)) std::abort();
  return 0;
}
