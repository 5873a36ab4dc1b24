// Keys, roles and rate limits; the digests are sha256sum's.
#include "serve/access.h"

#include <gtest/gtest.h>

namespace graupel::serve {
namespace {

// printf %s secret | sha256sum
constexpr char kSecret[] = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
// printf %s root | sha256sum
constexpr char kRoot[] = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";

std::vector<ApiKey> keys() {
  return {{"viewer", kSecret, Role::kRead}, {"boss", kRoot, Role::kAdmin}};
}

Request with(const char* name, const char* value) {
  Request request;
  request.headers.push_back({name, value});
  return request;
}

TEST(Access, KeyDecidesAndRolesAreOrdered) {
  EXPECT_EQ(judge_access(keys(), with("authorization", "Bearer secret"), Role::kRead).who,
            "viewer");
  EXPECT_EQ(judge_access(keys(), with("x-api-key", "root"), Role::kRead).verdict,
            Verdict::kAllowed);
  EXPECT_EQ(judge_access(keys(), with("x-api-key", "secret"), Role::kAdmin).verdict,
            Verdict::kForbidden);
  for (const char* bad : {"Bearer wrong", "Bearer ", "secret", "Basic secret", ""}) {
    EXPECT_EQ(judge_access(keys(), with("authorization", bad), Role::kRead).verdict,
              Verdict::kUnauthorised)
        << bad;
  }
  EXPECT_EQ(judge_access(keys(), Request(), Role::kAnyone).verdict, Verdict::kAllowed);
  EXPECT_EQ(judge_access({}, Request(), Role::kAdmin).verdict, Verdict::kAllowed);
}

TEST(Keys, FileIsReadLineByLine) {
  const auto read = parse_keys(
      std::string("# people\n\nviewer read ") + kSecret + "  # note\r\nboss admin " + kRoot + "\n",
      "keys");
  ASSERT_TRUE(read.ok()) << read.error().message();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[1].role, Role::kAdmin);
  for (const std::string& bad :
       {std::string("viewer read secret"), std::string("viewer king ") + kSecret, std::string("x"),
        std::string("viewer read ") + kSecret + " more"}) {
    const auto refused = parse_keys("\n" + bad, "keys");
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_NE(refused.error().message().find("line 2"), std::string::npos);
  }
}

TEST(RateLimit, LetsBurstThroughThenAveragesOut) {
  RateLimits limits{.per_second = 10.0, .burst = 3.0, .buckets = {}};
  const TimePoint start = Clock::now();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(take_token(limits, "a", start).has_value());
  const auto wait = take_token(limits, "a", start);
  ASSERT_TRUE(wait.has_value());
  EXPECT_NEAR(*wait, 0.1, 1e-9);
  EXPECT_FALSE(take_token(limits, "b", start).has_value());
  int taken = 0;
  for (int ms = 1; ms <= 10000; ++ms) {
    taken += take_token(limits, "a", start + std::chrono::milliseconds(ms)) ? 0 : 1;
  }
  EXPECT_NEAR(taken, 100, 1);
}

TEST(RateLimit, TakesManyAtOnceOrNone) {
  const TimePoint start{};
  Bucket bucket{10.0, start};
  EXPECT_EQ(take_tokens(bucket, 8.0, 2.0, 10.0, start), std::nullopt);
  EXPECT_DOUBLE_EQ(*take_tokens(bucket, 8.0, 2.0, 10.0, start), 3.0);
  EXPECT_EQ(take_tokens(bucket, 2.0, 2.0, 10.0, start), std::nullopt);  // nothing was lost
  EXPECT_EQ(take_tokens(bucket, 8.0, 2.0, 10.0, start + std::chrono::seconds(4)), std::nullopt);
}

TEST(RateLimit, RemembersABoundedNumberOfNames) {
  RateLimits limits{.per_second = 1.0, .burst = 1.0, .buckets = {}};
  for (size_t i = 0; i < 3 * kMaxBuckets; ++i) {
    take_token(limits, std::to_string(i), Clock::now());
  }
  EXPECT_LE(limits.buckets.size(), kMaxBuckets);
}

}  // namespace
}  // namespace graupel::serve
