// Streaming lines and parsing numbers. See lines.h. Test: lines_test.cc.
#include "prepare/lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace graupel::prepare {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_nan_text(std::string_view text) {
  const auto is = [](char c, char lower) { return (c | 0x20) == lower; };
  return text.size() == 3 && is(text[0], 'n') && is(text[1], 'a') && is(text[2], 'n');
}

}  // namespace

Result<LineReader> LineReader::open(const std::string& path) {
  LineReader reader;
  reader.name_ = path;
  reader.file_ = std::make_shared<FileDescriptor>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (reader.file_->get() < 0) return system_error(path, "opening");
  return reader;
}

LineReader LineReader::over(std::string_view text, std::string name) {
  LineReader reader;
  reader.name_ = std::move(name);
  reader.text_ = text;
  reader.whole_ = text;
  reader.at_end_ = true;
  return reader;
}

Result<void> LineReader::rewind() {
  line_number_ = 0;
  if (file_ == nullptr) {
    text_ = whole_;
    return ok();
  }
  if (::lseek(file_->get(), 0, SEEK_SET) < 0) return system_error(name_, "rewinding");
  text_ = {};
  at_end_ = false;
  return ok();
}

// Moves what is left to the front of the buffer and reads behind it. False: nothing more.
Result<bool> LineReader::fill() {
  if (at_end_) return false;
  std::string next;
  next.reserve(kBufferBytes + kMaximumLineBytes + 2);
  next.assign(text_);
  const size_t kept = next.size();
  next.resize(kept + kBufferBytes);
  ssize_t got = -1;
  do {
    got = ::read(file_->get(), next.data() + kept, kBufferBytes);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return system_error(name_, "reading");
  next.resize(kept + static_cast<size_t>(got));
  buffer_ = std::move(next);
  text_ = buffer_;
  at_end_ = got == 0;
  return got > 0;
}

Result<bool> LineReader::next(std::string_view& line) {
  size_t searched = 0;
  size_t end = text_.find('\n');
  while (end == std::string_view::npos && text_.size() <= kMaximumLineBytes) {
    searched = text_.size();
    TRY_ASSIGN(const bool more, fill());
    if (!more) break;
    end = text_.find('\n', searched);
  }
  if (end == std::string_view::npos && text_.empty()) return false;
  line = text_.substr(0, end);
  ++line_number_;
  if (line.size() > kMaximumLineBytes || line.find('\0') != std::string_view::npos) {
    return invalid_input(place(), "is longer than 65536 bytes or holds a zero byte; expected text");
  }
  text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return true;
}

void split_fields(std::string_view line, Separator separator,
                  std::vector<std::string_view>& fields) {
  fields.clear();
  if (separator == Separator::kComma) {
    while (true) {
      const size_t comma = line.find(',');
      fields.push_back(trimmed(line.substr(0, comma)));
      if (comma == std::string_view::npos) return;
      line.remove_prefix(comma + 1);
    }
  }
  size_t at = 0;
  while (true) {
    at = line.find_first_not_of(" \t", at);
    if (at == std::string_view::npos) return;
    const size_t end = std::min(line.find_first_of(" \t", at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end;
  }
}

std::optional<double> parse_reading(std::string_view field) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (field.empty() || is_nan_text(field)) return kNan;
  if (field.front() == '+') field.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (end != field.data() + field.size() || field.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return kNan;
  if (error != std::errc()) return std::nullopt;
  return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max()) ? value : kNan;
}

std::optional<int64_t> parse_whole(std::string_view field) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || field.empty()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace graupel::prepare
