// Targets and tokens of requests, by RFC 3986's own rules and hostile forms of them.
#include "serve/http.h"

#include <gtest/gtest.h>

namespace graupel::serve {
namespace {

TEST(ParseTarget, DecodesPathAndQuery) {
  Request request;
  ASSERT_TRUE(parse_target("/v2/models/a%20b?id=1&name=x+y%2B&empty&=nameless", request).ok());
  EXPECT_EQ(request.path, "/v2/models/a b");
  ASSERT_EQ(request.query.size(), 3u);
  EXPECT_EQ(request.query_value("id"), "1");
  EXPECT_EQ(request.query_value("name"), "x y+");
  EXPECT_EQ(request.query_value("empty"), "");
  EXPECT_FALSE(request.query_value("other").has_value());
}

TEST(ParseTarget, KeepsAnEscapeAtTheVeryEnd) {
  Request request;
  ASSERT_TRUE(parse_target("/%41", request).ok());
  EXPECT_EQ(request.path, "/A");
}

TEST(ParseTarget, RefusesWhatIsNoTarget) {
  for (const char* bad :
       {"", "x", "http://a/b", "/%", "/%4", "/%zz", "/%00", "/a%0d%0ab", "/a?b=%"}) {
    Request request;
    EXPECT_FALSE(parse_target(bad, request).ok()) << bad;
  }
}

TEST(SafeToken, TakesOnlyWhatMayBeEchoed) {
  EXPECT_EQ(safe_token("a-B_9.z", 64), "a-B_9.z");
  EXPECT_FALSE(safe_token("", 64).has_value());
  EXPECT_FALSE(safe_token("abc", 2).has_value());
  EXPECT_FALSE(safe_token("a\r\nSet-Cookie: x", 64).has_value());
  EXPECT_FALSE(safe_token("../up", 64).has_value());
}

}  // namespace
}  // namespace graupel::serve
