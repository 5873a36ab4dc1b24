// What the printer and the parser of the text form have to agree on. The grammar is in parse.cc.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace graupel::ir::text {

// Constants with at most this many elements are written as numbers.
inline constexpr size_t kReadableElements = 16;
// A larger constant whose elements are all equal is written as "splat x", up to this many bytes in
// one graph, so that a short text cannot demand much memory.
inline constexpr size_t kSplatBytes = size_t{1} << 24;

inline constexpr std::array<std::string_view, 6> kKeywords = {"metadata", "input",  "const",
                                                              "output",   "opaque", "_"};

inline bool starts_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
inline bool continues_identifier(char c) {
  return starts_identifier(c) || (c >= '0' && c <= '9') || c == '.';
}
// Whether a name can stand without quotes.
inline bool is_identifier(std::string_view name) {
  if (name.empty() || !starts_identifier(name[0])) return false;
  for (const char c : name) {
    if (!continues_identifier(c)) return false;
  }
  for (const std::string_view keyword : kKeywords) {
    if (name == keyword) return false;
  }
  return true;
}

}  // namespace graupel::ir::text
