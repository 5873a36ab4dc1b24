// One recording under way, and what has been answered about it.
//
// Idea: a session is a value on the loop's thread. Only `memory`, what goes from window
// to window (drift, adaptive sets, HSMM), is lent to a worker while windows are computed, one job
// at a time, so that windows are answered in their order and nothing needs a lock.
// Rules and limits: docs/sessions.md. Test: sessions_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "decide/stream.h"
#include "serve/access.h"
#include "serve/event_loop.h"
#include "serve/model.h"
#include "serve/timeline.h"

namespace graupel::serve {

using WallTime = std::chrono::system_clock::time_point;

// What the HSMM says after a window.
struct StateView {
  int64_t state = 0;
  double probability = 0.0;
  int64_t elapsed_windows = 1;
  int64_t elapsed_us = 0;  // in this state, most probably
  bool at_least = false;   // the recording began inside it, or it is longer than the model counts
  double end_probability = 0.0;         // given the state: this window is its last
  std::optional<int64_t> remaining_us;  // mean
  std::vector<float> probabilities;     // one per state
};

struct WindowRecord {
  uint64_t number = 0;               // of the session, from 0
  int64_t start_us = 0, end_us = 0;  // of the client's clock
  WallTime answered_at;
  int64_t class_index = 0;
  std::string label;        // empty if the bundle names none
  double confidence = 0.0;  // calibrated, of class_index
  double entropy = 0.0;     // of the probabilities, nats
  std::vector<float> probabilities;
  std::optional<std::vector<int64_t>> conformal_set;
  std::vector<int64_t> fsq_digits;
  std::optional<int64_t> fsq_code;
  std::optional<StateView> state;
  std::string state_trouble;  // why there is none although the bundle has an HSMM
  bool has_drift = false;
  double drift_log_wealth = 0.0;
  bool drift_alarm = false;
  std::string engine, fallback_reason;
  std::string model_version;
  double latency_s = 0.0;  // from the arrival of its last sample
};

inline constexpr size_t kKeptRecords = 120;

// What windows of one stream leave for the next ones; belongs to whoever computes.
struct StreamMemory {
  std::string model_sha256;              // that `stream` is of
  std::optional<decide::Stream> stream;  // absent: the bundle is not calibrated
  std::string trouble;                   // why there is no state although the bundle has an HSMM
};

// One window for a worker, and how much time without one lies in front of it.
struct WindowTask {
  uint64_t number = 0;
  int64_t start_us = 0, end_us = 0;
  uint64_t missing = 0;   // windows in front of it that could not be cut
  bool restarts = false;  // the clock jumped: nothing before it counts
  TimePoint arrived;      // its last sample
  std::vector<float> values;
};

// hop_samples 0: the model's own, and times are not known.
struct HopOptions {
  int64_t hop_samples = 50;
  double rate_hz = 100.0;
};

// Begins anew if the memory is of another model, or of none.
void prepare_memory(const Model& model, const HopOptions& hop, size_t digits, StreamMemory& memory);
// A worker's part: one window through the network and the stream.
Result<WindowRecord> answer_in_stream(Model& model, size_t worker, const WindowTask& task,
                                      const HopOptions& hop, StreamMemory& memory,
                                      WindowAnswer& answered);

struct Subscription {
  bool signals = false;
};

struct Session {
  std::string id;                          // UUID
  std::string owner;                       // the key's name; empty without keys
  std::string model_name, pinned_version;  // empty: the newest
  std::shared_ptr<Model> model;            // that is used now
  size_t channels = 9;
  Timeline timeline;
  Bucket pace;  // seconds of signal that it may still send
  HopOptions hop;
  std::shared_ptr<StreamMemory> memory = std::make_shared<StreamMemory>();
  bool computing = false;  // a worker has the memory
  bool retrying = false;   // the queue was full; a timer tries again
  bool ended = false;
  uint64_t seen_restarts = 0, missing = 0;  // not told to the stream yet
  bool restarts = false;
  // (instants known, when): when a window's last sample came.
  std::deque<std::pair<uint64_t, TimePoint>> arrivals;
  std::deque<WindowRecord> records;  // the last kKeptRecords
  uint64_t windows_begun = 0, windows_answered = 0;
  std::map<std::string, uint64_t> windows_by_label;
  std::string trouble;  // why windows are not answered now; empty if they are
  WallTime created, last_sample_at;
  TimePoint last_used;
  std::map<uint64_t, Subscription> subscribers;  // by socket
};

}  // namespace graupel::serve
