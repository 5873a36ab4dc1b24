// The embedded files are those in web/, byte for byte, and the page asks for nothing that is not
// there.
#include "serve/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "base/files.h"

namespace graupel::serve {
namespace {

using testing::HasSubstr;

TEST(Page, HoldsEveryFileByteForByte) {
  size_t files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(GRAUPEL_SOURCE_DIR) + "/web")) {
    const std::string name = entry.path().filename();
    if (entry.path().extension() == ".md") continue;
    const std::optional<PageFile> file = page_file(name);
    ASSERT_TRUE(file.has_value()) << name;
    EXPECT_EQ(file->bytes, read_file(entry.path()).value()) << name;
    EXPECT_THAT(std::string(file->content_type), HasSubstr("; charset=utf-8"));
    ++files;
  }
  EXPECT_GE(files, 5u);
  EXPECT_THAT(std::string(page_file("chart.js")->bytes.substr(0, 200)), HasSubstr("MIT License"));
  EXPECT_FALSE(page_file("../page.html").has_value());
  EXPECT_FALSE(page_file("").has_value());
}

TEST(Page, AsksForNothingElsewhereAndNothingThatIsMissing) {
  const std::string page(page_file("page.html")->bytes);
  const std::regex attribute("(?:src|href)=\"([^\"#][^\"]*)\"");
  size_t found = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), attribute), end; it != end; ++it) {
    const std::string target = (*it)[1];
    if (target == "/metrics" || target == "/openapi.yaml") continue;
    ASSERT_TRUE(target.starts_with("/page/")) << target;
    EXPECT_TRUE(page_file(target.substr(6)).has_value()) << target;
    ++found;
  }
  EXPECT_GE(found, 5u);
  // The policy forbids what is inline.
  EXPECT_FALSE(std::regex_search(page, std::regex("<style|style=|<script>| on[a-z]+=")));
}

}  // namespace
}  // namespace graupel::serve
