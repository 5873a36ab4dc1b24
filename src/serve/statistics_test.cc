// Sums of what was told.
#include "serve/statistics.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace graupel::serve {
namespace {

TEST(Statistics, AddUpOverThreads) {
  ModelStatistics statistics;
  EXPECT_EQ(statistics.view().last_ms, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        statistics.answered({3, 1e-6, 2e-6, 3e-6, 4e-6}, 11e-6,
                            std::chrono::system_clock::time_point(std::chrono::milliseconds(77)));
        statistics.failed(5e-6);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  const StatisticsView view = statistics.view();
  EXPECT_EQ(view.windows, 12000u);
  EXPECT_EQ(view.last_ms, 77);
  const std::pair<Tally, uint64_t> rows[] = {{view.success, 11000}, {view.fail, 5000},
                                             {view.queue, 1000},    {view.input, 2000},
                                             {view.infer, 3000},    {view.output, 4000}};
  for (const auto& [tally, each_ns] : rows) {
    EXPECT_EQ(tally.count, 4000u);
    EXPECT_EQ(tally.nanoseconds, 4000 * each_ns);
  }
}

}  // namespace
}  // namespace graupel::serve
