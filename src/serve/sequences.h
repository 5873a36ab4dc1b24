// Sequences of the Open Inference Protocol: windows of one recording, sent as ordinary requests
// with sequence_id, sequence_start and sequence_end, that share drift, adaptive sets and HSMM.
//
// Idea: as in Triton, a client waits for each answer before it sends the next window of a sequence.
// Workers that meet in one take turns. Thread-safe. Reference: Triton's sequence extension.
// Test: sequences_test.cc.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "serve/event_loop.h"
#include "serve/json.h"
#include "serve/session.h"

namespace graupel::serve {

struct SequenceEntry {
  std::mutex mutex;     // held while a window of it is computed
  StreamMemory memory;  // under `mutex`
  uint64_t windows = 0;
  TimePoint last_used;  // under the table's mutex
};

class Sequences {
 public:
  Sequences(size_t limit, std::chrono::seconds idle) : limit_(limit), idle_(idle) {}
  // The request's sequence; nullptr if it names none. Begins it with sequence_start. `owner` keeps
  // the sequences of different keys apart. Errors: kInvalidInput for one that was not begun,
  // kUnsupported if as many are open as may be.
  Result<std::shared_ptr<SequenceEntry>> find(const std::string& owner, const std::string& model,
                                              const OipRequest& request);
  // After the answer: forgets it if the request has sequence_end.
  void finish(const std::string& owner, const std::string& model, const OipRequest& request);
  size_t count() const;

 private:
  void drop_idle();

  mutable std::mutex mutex_;
  size_t limit_;
  std::chrono::seconds idle_;
  std::map<std::string, std::shared_ptr<SequenceEntry>> open_;
};

}  // namespace graupel::serve
