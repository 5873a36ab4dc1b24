// Lines of a large text file, one at a time, and the numbers in them.
//
// Idea: one buffer that moves through the file; a line is a view into it until the next call.
// Test: lines_test.cc; fuzz/recording_fuzz.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace graupel::prepare {

inline constexpr size_t kMaximumLineBytes = size_t{1} << 16;

class LineReader {
 public:
  LineReader(LineReader&&) = default;  // not copied: lines are views into the buffer
  LineReader& operator=(LineReader&&) = default;
  // Errors: kIo.
  static Result<LineReader> open(const std::string& path);
  // Lines of a text in memory, which has to stay.
  static LineReader over(std::string_view text, std::string name);

  // The next line without its end (LF or CRLF); false at the end of the file. Errors: kIo;
  // kInvalidInput for a line above kMaximumLineBytes or with a zero byte, which no text has.
  Result<bool> next(std::string_view& line);
  // Back to the first line.
  Result<void> rewind();

  int64_t line_number() const { return line_number_; }
  const std::string& name() const { return name_; }
  std::string place() const { return name_ + ":" + std::to_string(line_number_); }

 private:
  LineReader() = default;
  Result<bool> fill();

  std::string name_;
  std::shared_ptr<FileDescriptor> file_;  // none: over a text
  std::string_view text_;                 // what is not yet handed out
  std::string_view whole_;                // of a text in memory
  std::string buffer_;
  int64_t line_number_ = 0;
  bool at_end_ = false;
};

enum class Separator : uint8_t { kComma, kBlank };  // kBlank: one or more spaces or tabs

// The fields of a line, trimmed of blanks; views into it. `fields` is reused.
void split_fields(std::string_view line, Separator separator,
                  std::vector<std::string_view>& fields);

// A decimal number, independent of the locale. "nan" in any case, "" and numbers too large for a
// float are NaN: a reading that is missing. Nothing for any other text.
std::optional<double> parse_reading(std::string_view field);
std::optional<int64_t> parse_whole(std::string_view field);

}  // namespace graupel::prepare
