// Cleaning, escaping and measuring text that came from files. See text.h.
// Test: text_test.cc.
#include "base/text.h"

#include <cstdint>
#include <optional>

namespace graupel {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";     // U+2026

struct CodePoint {
  uint32_t value = 0;
  size_t length = 1;  // bytes; 1 for a broken byte
  bool valid = false;
};

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// The code point at the start of a non-empty text.
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  uint32_t value = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (!is_continuation(byte(i))) return {};
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  const bool too_long = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (too_long || surrogate || value > 0x10FFFF) return {};
  return {value, length, true};
}

bool between(uint32_t value, uint32_t first, uint32_t last) {
  return value >= first && value <= last;
}

// What must not reach a terminal or a page: control characters, line separators, the marks that
// reorder or hide text, and noncharacters.
bool is_harmful(uint32_t value) {
  return value < 0x20 || between(value, 0x7F, 0x9F) || between(value, 0x200B, 0x200F) ||
         between(value, 0x2028, 0x202E) || between(value, 0x2060, 0x2069) || value == 0x061C ||
         value == 0xFEFF || between(value, 0xFDD0, 0xFDEF) || (value & 0xFFFE) == 0xFFFE;
}

size_t columns_of(uint32_t value) {
  if (between(value, 0x300, 0x36F) || between(value, 0x20D0, 0x20FF) ||
      between(value, 0xFE00, 0xFE0F)) {
    return 0;
  }
  const bool wide = between(value, 0x1100, 0x115F) || between(value, 0x2E80, 0xA4CF) ||
                    between(value, 0xAC00, 0xD7A3) || between(value, 0xF900, 0xFAFF) ||
                    between(value, 0xFE30, 0xFE6F) || between(value, 0xFF00, 0xFF60) ||
                    between(value, 0xFFE0, 0xFFE6) || between(value, 0x1F300, 0x1FAFF) ||
                    between(value, 0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

}  // namespace

std::string clean_utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    if (point.valid && (point.value == '\t' || point.value == '\n' || point.value == '\r')) {
      clean += ' ';
    } else if (!point.valid || is_harmful(point.value)) {
      clean += kReplacement;
    } else {
      clean += text.substr(0, point.length);
    }
    text.remove_prefix(point.length);
  }
  return clean;
}

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : clean_utf8(text)) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

size_t display_columns(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    columns += point.valid ? columns_of(point.value) : 1;
    text.remove_prefix(point.length);
  }
  return columns;
}

std::string hex_text(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string shortened(std::string_view text, size_t columns, Keep keep) {
  const std::string clean = clean_utf8(text);
  size_t left = display_columns(clean);
  if (left <= columns) return clean;
  if (columns == 0) return "";
  std::string_view rest = clean;
  std::string start;
  size_t start_columns = 0;
  while (!rest.empty()) {
    const CodePoint point = first_code_point(rest);
    const size_t width = columns_of(point.value);
    if (keep == Keep::kEnd && left + 1 <= columns && width > 0) break;
    if (keep == Keep::kStart && start_columns + width + 1 > columns) break;
    start += rest.substr(0, point.length);
    start_columns += width;
    left -= width;
    rest.remove_prefix(point.length);
  }
  if (keep == Keep::kEnd) return std::string(kEllipsis) + std::string(rest);
  return start + std::string(kEllipsis);
}

}  // namespace graupel
