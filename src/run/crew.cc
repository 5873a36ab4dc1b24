// See crew.h. Test: crew_test.cc.
#include "run/crew.h"

#include <chrono>
#include <system_error>
#include <utility>

namespace graupel::run {
namespace {

using Clock = std::chrono::steady_clock;

// About the time between two shared steps of a network; longer pauses are slept through, because a
// spinning thread takes the core from others.
constexpr Clock::duration kSpin = std::chrono::microseconds(50);
constexpr int kSpinsPerClock = 16;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Until `value` is no longer `old`.
void wait_past(const std::atomic<uint32_t>& value, uint32_t old) {
  if (value.load(std::memory_order_acquire) != old) return;
  const Clock::time_point end = Clock::now() + kSpin;
  do {
    for (int i = 0; i < kSpinsPerClock; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
  } while (Clock::now() < end);
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

Result<std::shared_ptr<Crew>> Crew::create(size_t members) {
  std::shared_ptr<Crew> crew(new Crew);
  try {
    for (size_t member = 1; member < members; ++member) {
      crew->threads_.emplace_back(&Crew::work, crew.get(), member);
    }
  } catch (const std::system_error& error) {
    return device_error(
        "threads", "cannot start thread " + std::to_string(crew->threads_.size() + 1) + " of " +
                       std::to_string(members) + " (" + error.what() + "); use fewer");
  }
  return crew;
}

Crew::~Crew() {
  stop_.store(true, std::memory_order_relaxed);
  call_.fetch_add(1, std::memory_order_release);
  call_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::run(Task task, const void* context) {
  task_ = task;
  context_ = context;
  left_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
  call_.fetch_add(1, std::memory_order_release);
  call_.notify_all();
  task(context, 0);
  for (uint32_t left = left_.load(std::memory_order_acquire); left != 0;
       left = left_.load(std::memory_order_acquire)) {
    wait_past(left_, left);
  }
}

void Crew::work(size_t member) {
  uint32_t seen = 0;
  while (true) {
    wait_past(call_, seen);
    // Never more than one call behind: run() waits for every member.
    seen = call_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    task_(context_, member);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_one();
  }
}

}  // namespace graupel::run
