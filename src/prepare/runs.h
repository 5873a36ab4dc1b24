// Rows to runs, and runs to an even grid without holes.
//
// Idea: every set goes the same way. RunBuilder closes a run where person, label or clock changes;
// even_runs interpolates each sensor onto one grid at the source's rate, fills gaps up to the
// limit, and cuts where a gap is longer. Test: runs_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "prepare/recipe.h"
#include "prepare/recording.h"

namespace graupel::prepare {

// A gap above this is cut when it is read, whatever the limit in the recipe (at most the same).
inline constexpr double kLongestGap_s = 10.0;
// A clock that goes back by more has been restarted; by less, its rows are out of order.
inline constexpr double kClockRestart_s = 1.0;

enum class Step : uint8_t { kNext, kDuplicate, kBackward, kRestart, kGap };
// What `time_s` is behind `previous_s` on one clock.
Step step_of(double previous_s, double time_s);

// Unit factors and offsets applied to one sensor's row, in place.
void to_target_units(const Recipe& recipe, const std::string& sensor, std::span<double> axes);

// For sets whose sensors share each row.
class RunBuilder {
 public:
  RunBuilder(const Recipe& recipe, Tally& tally, const RunSink& sink)
      : recipe_(recipe), tally_(tally), sink_(sink) {}

  // `values`: the chosen sensors' rows one after another, in the files' units. `label` -1 is left
  // out. Errors are the sink's.
  Result<void> add(int64_t subject, int32_t label, double time_s, std::span<const double> values,
                   const std::string& place);
  // Ends the run: what follows is not continuous.
  Result<void> close();

  bool open() const { return !run_.sensors.empty(); }
  size_t rows() const { return open() ? run_.sensors[0].rows() : 0; }

 private:
  const Recipe& recipe_;
  Tally& tally_;
  const RunSink& sink_;
  RawRun run_;
};

// A stretch on an even grid, nothing missing.
struct EvenRun {
  int64_t subject = 0;
  int32_t label = 0;
  std::string place;
  double rate_hz = 0.0;
  size_t samples = 0;
  std::vector<double> values;  // [sensors * kAxes][samples]
  double start_s = 0.0;        // on the clock of the raw run

  std::span<const double> channel(size_t index) const {
    return std::span<const double>(values).subspan(index * samples, samples);
  }
};

// The raw run's stretches. The grid begins with the first sensor's first row, at the recipe's
// source rate or, if that is 0, at the median step of its time stamps. Linear between neighbours;
// a reading that lies on the grid stays as it is.
// Error kInvalidInput: time stamps whose rate is outside 0.1 to 10000 Hz, or far fewer rows than
// the rate promises.
Result<std::vector<EvenRun>> even_runs(const RawRun& raw, const Recipe& recipe, Tally& tally);

}  // namespace graupel::prepare
