// Whole groups in one part, every window in exactly one, and what happens with too few groups.
#include "calibrate/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/rng.h"

namespace graupel::calibrate {
namespace {

std::vector<size_t> all_of(const Split& split) {
  std::vector<size_t> all;
  for (const Part* part : {&split.fit, &split.conformal, &split.judge}) {
    EXPECT_TRUE(std::is_sorted(part->windows.begin(), part->windows.end()));
    all.insert(all.end(), part->windows.begin(), part->windows.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

void expect_partition(const Split& split, size_t windows) {
  const std::vector<size_t> all = all_of(split);
  ASSERT_EQ(all.size(), windows);
  for (size_t i = 0; i < windows; ++i) EXPECT_EQ(all[i], i);
}

TEST(Split, KeepsGroupsWhole) {
  Rng rng(3);
  for (int trial = 0; trial < 50; ++trial) {
    const size_t windows = 30 + rng.below(500);
    const int64_t people = 3 + static_cast<int64_t>(rng.below(20));
    std::vector<int64_t> groups;
    for (size_t i = 0; i < windows; ++i) {
      groups.push_back(i < 3 ? static_cast<int64_t>(i)
                             : static_cast<int64_t>(rng.below(static_cast<uint64_t>(people))));
    }
    SplitOptions options;
    options.seed = rng.next_u64();
    const Split split = split_windows(windows, groups, options).value();
    expect_partition(split, windows);
    EXPECT_EQ(split.warning, "");
    std::vector<std::set<int64_t>> seen;
    for (const Part* part : {&split.fit, &split.conformal, &split.judge}) {
      EXPECT_FALSE(part->windows.empty());
      std::set<int64_t> groups_of_part;
      for (const size_t window : part->windows) groups_of_part.insert(groups[window]);
      EXPECT_TRUE(std::equal(groups_of_part.begin(), groups_of_part.end(), part->groups.begin(),
                             part->groups.end()));
      seen.push_back(groups_of_part);
    }
    for (const int64_t group : seen[0]) EXPECT_FALSE(seen[1].contains(group));
    for (const int64_t group : seen[2]) {
      EXPECT_FALSE(seen[0].contains(group) || seen[1].contains(group));
    }
  }
}

TEST(Split, ComesNearTheShares) {
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 2000; ++i) groups.push_back(i % 20);
  const Split split = split_windows(2000, groups, {}).value();
  EXPECT_EQ(split.fit.windows.size(), 500u);
  EXPECT_EQ(split.conformal.windows.size(), 700u);
  EXPECT_EQ(split.judge.windows.size(), 800u);
  EXPECT_EQ(split_windows(2000, groups, {}).value().judge.groups, split.judge.groups);
}

TEST(Split, SaysWhatFewGroupsCannotShow) {
  std::vector<int64_t> two(100, 5);
  std::fill(two.begin() + 60, two.end(), 6);
  const Split halves = split_windows(100, two, {}).value();
  expect_partition(halves, 100);
  EXPECT_EQ(halves.judge.windows.size(), 40u);
  EXPECT_NE(halves.warning.find("two groups only"), std::string::npos);
  const Split one = split_windows(100, std::vector<int64_t>(100, 5), {}).value();
  expect_partition(one, 100);
  EXPECT_EQ(one.by, SplitBy::kBlock);
  EXPECT_NE(one.warning.find("one group only"), std::string::npos);
  const Split none = split_windows(100, {}, {}).value();
  expect_partition(none, 100);
  EXPECT_NE(none.warning.find("no groups"), std::string::npos);
}

TEST(Split, WithinGroupsEveryPartHasEveryGroup) {
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 400; ++i) groups.push_back(i / 100);
  SplitOptions options;
  options.within_groups = true;
  const Split split = split_windows(400, groups, options).value();
  expect_partition(split, 400);
  for (const Part* part : {&split.fit, &split.conformal, &split.judge}) {
    std::set<int64_t> seen;
    for (const size_t window : part->windows) seen.insert(groups[window]);
    EXPECT_EQ(seen.size(), 4u);
  }
}

TEST(Split, RefusesTooLittle) {
  EXPECT_EQ(split_windows(29, {}, {}).error().code, ErrorCode::kInvalidInput);
  const std::vector<int64_t> short_list(5, 1);
  EXPECT_EQ(split_windows(100, short_list, {}).error().code, ErrorCode::kInvalidInput);
  EXPECT_FALSE(split_windows(100, {}, {.fit_share = 0.5, .conformal_share = 0.5}).ok());
}

}  // namespace
}  // namespace graupel::calibrate
