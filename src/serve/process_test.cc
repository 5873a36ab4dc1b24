// Against what getrusage, mmap and open change.
#include "serve/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <latch>
#include <thread>
#include <vector>

namespace graupel::serve {
namespace {

// Ends the process: 0 when its numbers follow 64 MB, five files and a thread. The thread is up
// before anything is counted, as a starting thread may hold a file of its own.
[[noreturn]] void count_and_exit() {
  std::thread([] {}).join();  // a sanitizer starts a thread of its own with the first
  const ProcessUse before = process_use();
  std::latch up(1);
  std::latch done(1);
  std::thread waits([&] {
    up.count_down();
    done.wait();
  });
  up.wait();
  std::vector<char> touched(size_t{64} << 20, 1);
  for (int i = 0; i < 5; ++i) static_cast<void>(open("/dev/null", O_RDONLY));
  const ProcessUse after = process_use();
  EXPECT_GE(after.resident_bytes, before.resident_bytes + (int64_t{48} << 20));
  EXPECT_GE(after.virtual_bytes, after.resident_bytes);
  EXPECT_EQ(after.open_files, before.open_files + 5);
  EXPECT_GE(after.open_files_limit, after.open_files);
  EXPECT_EQ(after.threads, before.threads + 1);
  EXPECT_EQ(touched[12345], 1);
  done.count_down();
  waits.join();
  std::exit(testing::Test::HasFailure() ? 1 : 0);
}

// In a process of its own: what other tests left running opens and closes files when it likes.
TEST(Process, CountsWhatThisProcessHolds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(count_and_exit(), testing::ExitedWithCode(0), "");
}

TEST(Process, CpuTimeAgreesWithGetrusage) {
  const ProcessUse use = process_use();
  rusage usage{};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  EXPECT_NEAR(use.cpu_seconds, cpu, 0.1);
}

}  // namespace
}  // namespace graupel::serve
