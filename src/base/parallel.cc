// A work-sharing loop on short-lived threads. See parallel.h. Test: base_test.cc.
#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace graupel {

size_t available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return static_cast<size_t>(std::max(1, CPU_COUNT(&mask)));
}

void parallel_for(size_t count, const std::function<void(size_t, size_t)>& body, size_t threads) {
  const size_t workers = std::min(threads == 0 ? available_cores() : threads, count);
  if (workers <= 1) {
    for (size_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  std::atomic<size_t> next{0};
  const auto work = [&](size_t worker) {
    for (size_t index = next++; index < count; index = next++) body(index, worker);
  };
  std::vector<std::jthread> pool;
  for (size_t worker = 1; worker < workers; ++worker) pool.emplace_back(work, worker);
  work(0);
}

}  // namespace graupel
