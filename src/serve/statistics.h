// What one loaded model has answered since it was loaded, as Triton's statistics extension counts.
//
// Idea: a request is counted once, when it is over, with the time of each of its parts; windows of
// sessions count as requests of one window. Every window is an execution of its own, so there is
// one batch size, 1. Thread-safe. Reference: Triton's statistics extension.
// Test: statistics_test.cc; tests/operations/clients_test.py.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace graupel::serve {

struct RequestTimes {
  size_t windows = 0;  // answered
  double queue_s = 0.0;
  double input_s = 0.0;   // from bytes to windows
  double infer_s = 0.0;   // the network
  double output_s = 0.0;  // the decision, and from answers to bytes
};

// How often, and how long altogether.
struct Tally {
  uint64_t count = 0;
  uint64_t nanoseconds = 0;
};

struct StatisticsView {
  uint64_t windows = 0;        // answered, over all requests
  int64_t last_ms = 0;         // when the last request was answered, since 1970; 0: never
  Tally success, fail;         // requests, from arrival to answer
  Tally queue, input, output;  // parts of requests that were answered
  Tally infer;                 // ditto
};

class ModelStatistics {
 public:
  void answered(const RequestTimes& times, double total_s,
                std::chrono::system_clock::time_point now);
  void failed(double total_s);
  StatisticsView view() const;

 private:
  mutable std::mutex mutex_;
  StatisticsView view_;
};

}  // namespace graupel::serve
