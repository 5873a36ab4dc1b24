// A crew of threads: every member works once in every call, and what it wrote is seen after it.
#include "run/crew.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace graupel::run {
namespace {

TEST(Crew, EveryMemberWorksOnceInEveryCall) {
  for (const size_t members : {1, 2, 5}) {
    Result<std::shared_ptr<Crew>> crew = Crew::create(members);
    ASSERT_TRUE(crew.ok()) << crew.error().message();
    EXPECT_EQ((*crew)->members(), members);
    std::vector<int> calls(members, 0);
    for (int i = 1; i <= 500; ++i) {
      (*crew)->run([&](size_t member) { ++calls[member]; });
      // Plain integers: what the members wrote is seen when the call has returned.
      ASSERT_EQ(std::accumulate(calls.begin(), calls.end(), 0), i * static_cast<int>(members));
    }
    for (const int count : calls) EXPECT_EQ(count, 500);
  }
}

TEST(Crew, MembersThatNeverWorkedLeaveTheirThreads) {
  const Result<std::shared_ptr<Crew>> crew = Crew::create(3);
  EXPECT_TRUE(crew.ok());
}

}  // namespace
}  // namespace graupel::run
