// Windows on their way to the splits: on disk, with their statistics in memory.
//
// Idea: which person goes where is known only when all have been read, so windows wait in one
// file; memory holds 24 bytes for each window and the moments of each person. Moments of parts are
// merged exactly, so the statistics of any set of people need no second pass.
// Reference: Chan, Golub, LeVeque (1979), pairwise update of mean and squared distances.
// Test: window_store_test.cc (against data/statistics.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "data/statistics.h"

namespace graupel::prepare {

struct Moments {
  double count = 0.0, mean = 0.0, squares = 0.0;  // squares: summed distances to the mean
  double minimum = 0.0, maximum = 0.0;

  void add(std::span<const float> values);
  void merge(const Moments& other);
  double std() const;
};

struct WindowRecord {
  int64_t subject = 0;
  int32_t label = 0;
  uint64_t hash = 0;  // of the window's bytes
};

// Of one person, per channel and sensor ([channel * sensors + sensor]).
struct SubjectStatistics {
  std::vector<Moments> raw;
  std::vector<Moments> centred;             // each window's row without its mean
  std::map<int32_t, int64_t> label_counts;  // windows
};

class WindowStore {
 public:
  // A file in `folder` that nobody else sees; it goes with the store.
  static Result<WindowStore> create(const std::string& folder, size_t channels, size_t sensors,
                                    size_t samples);

  // One window [channels][sensors][samples].
  Result<void> add(std::span<const float> window, int64_t subject, int32_t label);
  Result<void> read(size_t index, std::span<float> window) const;

  size_t window_size() const { return channels_ * sensors_ * samples_; }
  size_t channels() const { return channels_; }
  size_t sensors() const { return sensors_; }
  size_t samples() const { return samples_; }
  const std::vector<WindowRecord>& records() const { return records_; }
  const std::map<int64_t, SubjectStatistics>& subjects() const { return subjects_; }

 private:
  WindowStore() = default;

  std::shared_ptr<FileDescriptor> file_;
  std::string path_;
  size_t channels_ = 0, sensors_ = 0, samples_ = 0;
  std::vector<WindowRecord> records_;
  std::map<int64_t, SubjectStatistics> subjects_;
  std::vector<float> centred_;
};

// The channels of some people, as data::channel_statistics would measure them on their windows;
// those in `centred` without their window means.
std::vector<data::ChannelStatistics> channel_statistics(const WindowStore& store,
                                                        std::span<const int64_t> subjects,
                                                        std::span<const int64_t> centred);

// windows.npy of the given windows, written piece by piece: float32 [N, channels, sensors,
// samples].
Result<void> write_windows(const std::string& path, const WindowStore& store,
                           std::span<const size_t> indices);

}  // namespace graupel::prepare
