// The threads that compute. See workers.h. Test: workers_test.cc.
#include "serve/workers.h"

#include <optional>
#include <utility>

namespace graupel::serve {

Workers::Workers(size_t threads, size_t waiting_limit) : waiting_limit_(waiting_limit) {
  for (size_t worker = 0; worker < threads; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

Workers::~Workers() { stop(); }

bool Workers::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= waiting_limit_) return false;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

size_t Workers::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

uint64_t Workers::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

void Workers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Workers::work(size_t worker) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::optional<Job> job(std::move(jobs_.front()));
    jobs_.pop_front();
    lock.unlock();
    if (Clock::now() > job->deadline) {
      job->expired();
    } else {
      job->run(worker);
    }
    job.reset();  // what it held may take locks of its own when it goes
    lock.lock();
    ++done_;
  }
}

}  // namespace graupel::serve
