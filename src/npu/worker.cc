// The device's thread. See worker.h. Test: worker_test.cc.
#include "npu/worker.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace graupel::npu {
namespace {

using Clock = std::chrono::steady_clock;

// How long the last owner of a worker waits for the device to be closed.
constexpr std::chrono::seconds kCloseLimit{2};

struct Job {
  Frames inputs;
  bool started = false;
  std::optional<Called> result;
};

}  // namespace

// Held by the callers and by the thread, so that it outlives whichever ends first.
struct WorkerCore {
  std::mutex mutex;
  std::condition_variable work;  // for the thread: a job, or the end
  std::condition_variable done;  // for callers: a result
  std::deque<std::shared_ptr<Job>> queue;
  std::optional<std::variant<DeviceInfo, Fault>> opened;
  Vitals vitals;
  bool busy = true;  // in the driver: opening, calling, reading the temperature
  Clock::time_point busy_since = Clock::now();
  bool finished = false;  // the thread makes no more calls and has closed the device
  bool stop = false;
  bool abandoned = false;
  std::shared_ptr<std::atomic<int>> hung;
};

struct WorkerState {
  std::shared_ptr<WorkerCore> core;
  std::thread thread;

  ~WorkerState() {
    std::unique_lock lock(core->mutex);
    core->stop = true;
    core->work.notify_all();
    if (!core->abandoned) {
      core->done.wait_for(lock, kCloseLimit, [&] { return core->finished; });
    }
    const bool leave = !core->finished;
    if (leave && !core->abandoned) {
      core->abandoned = true;
      core->hung->fetch_add(1);
    }
    lock.unlock();
    if (leave) {
      thread.detach();
    } else {
      thread.join();
    }
  }
};

namespace {

void abandon_locked(WorkerCore& core) {
  core.stop = true;
  if (!core.abandoned) {
    core.abandoned = true;
    core.hung->fetch_add(1);
  }
  for (const std::shared_ptr<Job>& job : core.queue) {
    job->result = Fault{Reason::kAborted, "the device was given up while this window waited"};
  }
  core.queue.clear();
  core.done.notify_all();
}

Vitals vitals_of(const Device& device) { return device.vitals ? device.vitals() : Vitals(); }

void serve_jobs(WorkerCore& core, Device& device) {
  Clock::time_point read_at = Clock::now();
  std::unique_lock lock(core.mutex);
  while (true) {
    core.work.wait(lock, [&] { return core.stop || !core.queue.empty(); });
    if (core.stop) return;
    const std::shared_ptr<Job> job = core.queue.front();
    core.queue.pop_front();
    job->started = true;
    core.busy = true;
    core.busy_since = Clock::now();
    lock.unlock();
    Called called = device.infer(job->inputs);
    lock.lock();
    if (core.abandoned) return;
    job->result = std::move(called);
    core.done.notify_all();
    if (core.queue.empty() && Clock::now() - read_at > std::chrono::seconds(1)) {
      core.busy_since = Clock::now();
      lock.unlock();
      const Vitals vitals = vitals_of(device);
      read_at = Clock::now();
      lock.lock();
      if (core.abandoned) return;
      core.vitals = vitals;
    }
    core.busy = false;
  }
}

void run_thread(const std::shared_ptr<WorkerCore>& core, const OpenDevice& open) {
  {
    Opened result = open();
    Device* device = std::get_if<Device>(&result);
    const Vitals vitals = device != nullptr ? vitals_of(*device) : Vitals();
    {
      const std::lock_guard lock(core->mutex);
      core->vitals = vitals;
      core->opened.emplace();
      if (device != nullptr) {
        *core->opened = device->info;
      } else {
        *core->opened = *std::get_if<Fault>(&result);
      }
      core->busy = false;
      core->done.notify_all();
    }
    if (device != nullptr) serve_jobs(*core, *device);
    // The device closes here, which may hang in its turn: only then is an abandoned thread back.
  }
  const std::lock_guard lock(core->mutex);
  core->finished = true;
  core->done.notify_all();
  if (core->abandoned) core->hung->fetch_sub(1);
}

}  // namespace

Worker start_worker(OpenDevice open, std::shared_ptr<std::atomic<int>> hung) {
  auto state = std::make_shared<WorkerState>();
  state->core = std::make_shared<WorkerCore>();
  state->core->hung = std::move(hung);
  state->thread =
      std::thread([core = state->core, open = std::move(open)] { run_thread(core, open); });
  return {std::move(state)};
}

std::optional<std::variant<DeviceInfo, Fault>> opened(const Worker& worker) {
  const std::lock_guard lock(worker.state->core->mutex);
  return worker.state->core->opened;
}

std::optional<std::variant<DeviceInfo, Fault>> wait_opened(const Worker& worker,
                                                           std::chrono::nanoseconds limit) {
  WorkerCore& core = *worker.state->core;
  std::unique_lock lock(core.mutex);
  core.done.wait_until(lock, Clock::now() + limit,
                       [&] { return core.opened.has_value() || core.abandoned; });
  return core.opened;
}

Called call(const Worker& worker, Frames inputs, std::chrono::nanoseconds limit,
            size_t queue_limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  WorkerCore& core = *worker.state->core;
  const auto job = std::make_shared<Job>();
  job->inputs = std::move(inputs);
  std::unique_lock lock(core.mutex);
  if (core.abandoned || core.stop) return Fault{Reason::kAborted, "the device was given up"};
  if (core.queue.size() >= queue_limit) {
    return Fault{Reason::kBusy, "too many windows wait for the device"};
  }
  core.queue.push_back(job);
  core.work.notify_one();
  core.done.wait_until(lock, deadline, [&] { return job->result.has_value(); });
  if (job->result) return *std::move(job->result);
  if (!job->started && Clock::now() - core.busy_since < limit) {
    std::erase(core.queue, job);
    return Fault{Reason::kBusy, "the deadline passed before the device was free"};
  }
  abandon_locked(core);
  return Fault{Reason::kHung, "a call did not come back by its deadline"};
}

Vitals last_vitals(const Worker& worker) {
  const std::lock_guard lock(worker.state->core->mutex);
  return worker.state->core->vitals;
}

void abandon(const Worker& worker) {
  WorkerCore& core = *worker.state->core;
  {
    const std::lock_guard lock(core.mutex);
    if (!core.finished) abandon_locked(core);
  }
  core.work.notify_all();
}

}  // namespace graupel::npu
