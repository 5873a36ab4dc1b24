// The threads that compute, and the bounded queue in front of them.
//
// Idea: a job that cannot be taken is refused at once (back-pressure), and one that waited past
// its deadline is told so instead of being computed for nobody. Test: workers_test.cc.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "serve/event_loop.h"

namespace graupel::serve {

struct Job {
  TimePoint deadline;
  std::function<void(size_t worker)> run;  // worker in [0, threads)
  std::function<void()> expired;           // called instead of run when the deadline has passed
};

class Workers {
 public:
  Workers(size_t threads, size_t waiting_limit);
  ~Workers();  // stop()
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False if `waiting_limit` jobs wait already or stop() was called; the job is then not touched.
  // From any thread.
  [[nodiscard]] bool submit(Job job);
  size_t waiting() const;
  uint64_t done() const;  // jobs that were run or told that they are late
  bool is_full() const { return waiting() >= waiting_limit_; }
  size_t threads() const { return threads_.size(); }
  // Finishes what is queued, then ends the threads.
  void stop();

 private:
  void work(size_t worker);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  size_t waiting_limit_;
  bool stopping_ = false;
  uint64_t done_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace graupel::serve
