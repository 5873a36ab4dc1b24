// The queue in front of the threads: nothing is lost, too much is refused, too late is said.
#include "serve/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace graupel::serve {
namespace {

TEST(Workers, EveryJobRunsOrExpiresOnce) {
  std::atomic<int> ran = 0, expired = 0;
  int accepted = 0;
  {
    Workers workers(3, 10000);
    for (int i = 0; i < 5000; ++i) {
      const TimePoint deadline =
          i % 5 == 0 ? Clock::now() - std::chrono::seconds(1) : TimePoint::max();
      accepted += workers.submit({deadline, [&](size_t) { ++ran; }, [&] { ++expired; }});
    }
  }
  EXPECT_EQ(accepted, 5000);
  EXPECT_EQ(ran, 4000);
  EXPECT_EQ(expired, 1000);
}

TEST(Workers, RefuseWhatTheQueueCannotHold) {
  std::promise<void> go;
  const std::shared_future<void> wait = go.get_future().share();
  std::promise<void> started;
  Workers workers(1, 2);
  ASSERT_TRUE(workers.submit({TimePoint::max(),
                              [&](size_t) {
                                started.set_value();
                                wait.wait();
                              },
                              [] {}}));
  started.get_future().wait();
  EXPECT_TRUE(workers.submit({TimePoint::max(), [](size_t) {}, [] {}}));
  EXPECT_TRUE(workers.submit({TimePoint::max(), [](size_t) {}, [] {}}));
  EXPECT_FALSE(workers.submit({TimePoint::max(), [](size_t) {}, [] {}}));
  EXPECT_EQ(workers.waiting(), 2u);
  go.set_value();
  workers.stop();
  EXPECT_EQ(workers.waiting(), 0u);
  EXPECT_FALSE(workers.submit({TimePoint::max(), [](size_t) {}, [] {}}));
}

}  // namespace
}  // namespace graupel::serve
