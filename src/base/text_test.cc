// Tests of base/text.h.
#include "base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace graupel {
namespace {

using namespace std::string_literals;

TEST(Text, KeepsWhatIsValid) {
  EXPECT_EQ(clean_utf8("/conv1/Conv"), "/conv1/Conv");
  EXPECT_EQ(clean_utf8("größe µs 波形 🦔"), "größe µs 波形 🦔");
}

TEST(Text, ReplacesBrokenBytesOneByOne) {
  EXPECT_EQ(clean_utf8("a\xFF"s + "b"), "a\uFFFDb");
  EXPECT_EQ(clean_utf8("\xC3"), "\uFFFD");                      // truncated
  EXPECT_EQ(clean_utf8("\xC0\xAF"), "\uFFFD\uFFFD");            // overlong '/'
  EXPECT_EQ(clean_utf8("\xE0\x80\xAF"), "\uFFFD\uFFFD\uFFFD");  // overlong
  EXPECT_EQ(clean_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // surrogate
  EXPECT_EQ(clean_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(clean_utf8("\xC3("), "\uFFFD(");
}

TEST(Text, ReplacesControlAndDirectionCharacters) {
  EXPECT_EQ(clean_utf8("a\nb\tc\rd"), "a b c d");
  EXPECT_EQ(clean_utf8("a\x1B[31mb\0c"s), "a\uFFFD[31mb\uFFFDc");
  EXPECT_EQ(clean_utf8("a\u202Eb\u2066c\u0085d\uFEFF"), "a\uFFFDb\uFFFDc\uFFFDd\uFFFD");
}

TEST(Text, EveryByteStringBecomesValid) {
  // Cleaning what is clean changes nothing: true for the results of all 2-byte strings.
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string bytes = {static_cast<char>(a), static_cast<char>(b)};
      const std::string once = clean_utf8(bytes);
      ASSERT_EQ(clean_utf8(once), once) << a << " " << b;
    }
  }
}

TEST(Text, EscapesHtml) {
  EXPECT_EQ(html_escaped("<script>alert('x' & \"y\")</script>\xFF"),
            "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;\uFFFD");
}

TEST(Text, CountsColumns) {
  EXPECT_EQ(display_columns("abc"), 3u);
  EXPECT_EQ(display_columns("µs"), 2u);
  EXPECT_EQ(display_columns("波形"), 4u);
  EXPECT_EQ(display_columns("e\u0301"), 1u);
}

TEST(Text, ShortensAtCharacters) {
  EXPECT_EQ(shortened("abcdef", 6), "abcdef");
  EXPECT_EQ(shortened("abcdefg", 6), "abcde…");
  EXPECT_EQ(shortened("abcdefg", 6, Keep::kEnd), "…cdefg");
  EXPECT_EQ(shortened("ööööööö", 4), "ööö…");
  EXPECT_EQ(shortened("ööööööö", 4, Keep::kEnd), "…ööö");
  EXPECT_EQ(shortened("波形波形", 4), "波…");
  EXPECT_EQ(shortened("波形波形", 4, Keep::kEnd), "…形");
  EXPECT_EQ(shortened("abc", 1), "…");
  EXPECT_EQ(shortened("abc", 0), "");
  for (size_t columns = 0; columns < 12; ++columns) {
    for (const Keep keep : {Keep::kStart, Keep::kEnd}) {
      const std::string text = shortened("a波\xFFé形bcd", columns, keep);
      EXPECT_LE(display_columns(text), columns);
      EXPECT_EQ(clean_utf8(text), text);
    }
  }
}

TEST(HexText, TwoDigitsForEachByte) {
  EXPECT_EQ(hex_text(""), "");
  EXPECT_EQ(hex_text(std::string("\0\x0f\xf0\xff a", 6)), "000ff0ff2061");
}

}  // namespace
}  // namespace graupel
