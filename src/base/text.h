// Text that comes from files, made safe to show: broken UTF-8, control characters, HTML, width.
//
// Idea: names in a model file are bytes somebody else chose. Everything shown to people passes
// through clean_utf8 (or html_escaped, which includes it), so no output is ever invalid UTF-8,
// moves a terminal's cursor, reverses the reading direction or opens a tag.
// Reference: Unicode 15, table 3-7 (well-formed UTF-8). Test: text_test.cc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace graupel {

// Valid UTF-8: each broken byte, control character, bidirectional override and noncharacter
// becomes U+FFFD; tab, line feed and carriage return become a space.
std::string clean_utf8(std::string_view text);

// clean_utf8 with & < > " ' as entities: safe as HTML or SVG text and in a quoted attribute.
std::string html_escaped(std::string_view text);

// Terminal columns that clean UTF-8 takes: 2 for East Asian wide characters, 0 for combining marks.
size_t display_columns(std::string_view text);

// Two lower-case hexadecimal digits for each byte.
std::string hex_text(std::string_view bytes);

enum class Keep { kStart, kEnd };
// `text` cleaned and, if wider than `columns`, cut at a character with "…" where it was cut.
std::string shortened(std::string_view text, size_t columns, Keep keep = Keep::kStart);

}  // namespace graupel
