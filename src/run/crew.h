// Crew: threads that wait to share one piece of work, for networks whose single window is worth it.
//
// Idea: the caller is member 0. A call hands the others a function by raising a counter and waits
// until all are done; nothing is allocated, and a short spin comes before any system call. Members
// live as long as the crew. Test: crew_test.cc (also under ThreadSanitizer).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"

namespace graupel::run {

class Crew {
 public:
  // Error kDevice if the system gives no more threads. `members` counts the caller.
  static Result<std::shared_ptr<Crew>> create(size_t members);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  size_t members() const { return threads_.size() + 1; }

  // Calls body(member) once for each member and returns when all have. One call at a time.
  template <class F>
  void run(const F& body) {
    run([](const void* context, size_t member) { (*static_cast<const F*>(context))(member); },
        &body);
  }

 private:
  using Task = void (*)(const void* context, size_t member);
  Crew() = default;
  void run(Task task, const void* context);
  void work(size_t member);

  std::vector<std::thread> threads_;
  Task task_ = nullptr;
  const void* context_ = nullptr;
  std::atomic<uint32_t> call_{0};  // raised once per call
  std::atomic<uint32_t> left_{0};  // members still at work
  std::atomic<bool> stop_{false};
};

}  // namespace graupel::run
