// Whole files in and out. Writing is atomic: a reader sees the old file or the new one, and a
// failed write leaves nothing behind. Test: base_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace graupel {

// Errors: kIo if the file cannot be opened or read (a directory, missing, no permission);
// kInvalidInput if it holds more than `limit_bytes`.
Result<std::string> read_file(const std::string& path, uint64_t limit_bytes = uint64_t{2} << 30);

// Writes to a temporary file in the same folder, flushes it to disk, then renames it over `path`.
Result<void> write_file_atomic(const std::string& path, std::string_view bytes);

}  // namespace graupel
