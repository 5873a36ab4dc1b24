// Against what getrusage, mmap and open change.
#include "serve/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

namespace graupel::serve {
namespace {

TEST(Process, CountsWhatThisProcessHolds) {
  const ProcessUse before = process_use();
  std::vector<char> touched(size_t{64} << 20, 1);
  std::vector<int> files;
  for (int i = 0; i < 5; ++i) files.push_back(open("/dev/null", O_RDONLY));
  std::thread waits([] { std::this_thread::sleep_for(std::chrono::milliseconds(200)); });
  const ProcessUse after = process_use();
  EXPECT_GE(after.resident_bytes, before.resident_bytes + (int64_t{48} << 20));
  EXPECT_GE(after.virtual_bytes, after.resident_bytes);
  EXPECT_EQ(after.open_files, before.open_files + 5);
  EXPECT_GE(after.open_files_limit, after.open_files);
  EXPECT_EQ(after.threads, before.threads + 1);
  waits.join();
  for (const int file : files) close(file);
  EXPECT_EQ(touched[12345], 1);
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
