// The first facts of a HEF: is it one, is it whole, for which device. Contents are not judged.
// Test: hef_header_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace graupel::hailo {

struct HefHeader {
  uint32_t version = 0;          // of the container, 0 to 3
  uint64_t arch = 0;             // number in the file
  std::string device;            // "hailo8", "hailo8l", or "arch N"
  std::string compiler_version;  // as the compiler wrote it
};

// Header versions 0 to 3 and the length they promise; checksums are not verified.
// Errors: kInvalidInput for something else (a text placeholder is named as such), kCorrupt for a
// file that is shorter or longer than its header says, kUnsupported for a newer version.
Result<HefHeader> read_hef_header(std::string_view bytes);

}  // namespace graupel::hailo
