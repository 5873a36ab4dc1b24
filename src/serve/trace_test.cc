// The cases of the W3C's own test suite for traceparent (github.com/w3c/trace-context,
// test/test.py), and an independent reading by a regular expression on random changes of a good
// value.
#include "serve/trace.h"

#include <gtest/gtest.h>

#include <random>
#include <regex>

namespace graupel::serve {
namespace {

constexpr const char* kGood = "00-12345678901234567890123456789012-1234567890123456-01";

TEST(Trace, TakesWhatTheStandardsSuiteTakes) {
  const Trace expected{"12345678901234567890123456789012", "01"};
  EXPECT_EQ(parse_traceparent(kGood), expected);
  for (const char* value :
       {"cc-12345678901234567890123456789012-1234567890123456-01",
        "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like"}) {
    EXPECT_EQ(parse_traceparent(value), expected) << value;
  }
}

TEST(Trace, RefusesWhatTheStandardsSuiteRefuses) {
  for (const char* value : {
           "",
           "00-12345678901234567890123456789012-1234567890123456-01.",
           "00-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
           "cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-be-like",
           "ff-12345678901234567890123456789012-1234567890123456-01",
           ".0-12345678901234567890123456789012-1234567890123456-01",
           "0.-12345678901234567890123456789012-1234567890123456-01",
           "000-12345678901234567890123456789012-1234567890123456-01",
           "0000-12345678901234567890123456789012-1234567890123456-01",
           "0-12345678901234567890123456789012-1234567890123456-01",
           "00-00000000000000000000000000000000-1234567890123456-01",
           "00-.2345678901234567890123456789012-1234567890123456-01",
           "00-1234567890123456789012345678901.-1234567890123456-01",
           "00-123456789012345678901234567890123-1234567890123456-01",
           "00-1234567890123456789012345678901-1234567890123456-01",
           "00-12345678901234567890123456789012-0000000000000000-01",
           "00-12345678901234567890123456789012-.234567890123456-01",
           "00-12345678901234567890123456789012-123456789012345.-01",
           "00-12345678901234567890123456789012-12345678901234567-01",
           "00-12345678901234567890123456789012-123456789012345-01",
           "00-12345678901234567890123456789012-1234567890123456-.0",
           "00-12345678901234567890123456789012-1234567890123456-0.",
           "00-12345678901234567890123456789012-1234567890123456-001",
           "00-12345678901234567890123456789012-1234567890123456-1",
           "00-1234567890123456789012345678901A-1234567890123456-01",
       }) {
    EXPECT_EQ(parse_traceparent(value), std::nullopt) << value;
  }
}

TEST(Trace, ReadsAsARegularExpressionDoes) {
  const std::regex form(
      "(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?");
  std::mt19937 random(7);
  const std::string letters = "0123456789abcdefF-.";
  size_t taken = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string value = kGood;
    for (unsigned change = random() % 3; change > 0; --change) {
      value[random() % value.size()] = letters[random() % letters.size()];
    }
    if (random() % 4 == 0) value += "-x";
    std::smatch match;
    const bool expected =
        std::regex_match(value, match, form) && (match[1] != "00" || match[5].length() == 0);
    EXPECT_EQ(parse_traceparent(value).has_value(), expected) << value;
    taken += expected ? 1 : 0;
  }
  EXPECT_GT(taken, 500u);
  EXPECT_LT(taken, 1900u);
}

TEST(Trace, SeveralHeadersAreNone) {
  Request request;
  EXPECT_EQ(trace_of(request), std::nullopt);
  request.headers.push_back({"traceparent", kGood});
  EXPECT_TRUE(trace_of(request).has_value());
  request.headers.push_back({"traceparent", kGood});
  EXPECT_EQ(trace_of(request), std::nullopt);
}

}  // namespace
}  // namespace graupel::serve
