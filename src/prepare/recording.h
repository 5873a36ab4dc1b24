// What every reader of recordings produces, whatever the form of the files.
//
// Idea: a reader groups rows of one person and one behaviour without a break into a RawRun, hands
// it to the sink and forgets it, so memory depends on the longest run and not on the files. What
// is left out is counted with its reason and the first place it happened; nothing goes silently.
// Test: readers_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::prepare {

// Per sensor: acceleration x y z (m/s^2), rotation x y z (rad/s), magnetic field x y z (earth
// field, nominally 50 uT). UCI HAR has no magnetometer; its body acceleration takes that place.
inline constexpr size_t kAxes = 9;
inline constexpr std::array<std::string_view, kAxes> kAxisNames = {"ax", "ay", "az", "gx", "gy",
                                                                   "gz", "mx", "my", "mz"};
// A longer run is divided here; a run at this length takes 40 MB for two sensors.
inline constexpr size_t kMaximumRunRows = size_t{1} << 17;

inline constexpr size_t kMaximumPeople = 10000;
Error too_many_people(const std::string& place);

// One sensor's readings; a value that is missing is NaN.
struct Series {
  std::vector<double> time_s;  // ascending
  std::vector<double> values;  // [rows][kAxes]

  size_t rows() const { return time_s.size(); }
};

// What one person did without a break, as recorded: one series per sensor.
struct RawRun {
  int64_t subject = 0;
  int32_t label = 0;  // index into the recipe's classes
  std::string place;  // where it begins, for people
  std::vector<Series> sensors;
  // Of each row of the first sensor, if the recipe is continuous (-1: none that is known).
  std::vector<int32_t> row_labels = {};
};
using RunSink = std::function<Result<void>(RawRun&&)>;

// Why something was left out or repaired.
enum class Reason : uint8_t {
  kRaggedRow,
  kLeftOutLabel,
  kDuplicateTime,
  kBackwardTime,
  kClockRestart,
  kInterpolated,
  kGapCut,
  kNoPartner,
  kTooShort,
  kTail,
  kMissingFile,
  kBorder,
  kLongRun,
};
inline constexpr size_t kReasonCount = static_cast<size_t>(Reason::kLongRun) + 1;

struct ReasonText {
  std::string_view id;    // in the card's JSON
  std::string_view unit;  // what is counted
  std::string_view text;  // for people
};
const ReasonText& text_of(Reason reason);

struct Tally {
  int64_t files = 0;
  int64_t rows_read = 0;
  std::array<int64_t, kReasonCount> counts{};
  std::array<std::string, kReasonCount> first_place;
  std::map<int64_t, std::string> subject_names;  // where the files call people by name
  std::vector<std::string> notes;                // repairs and doubts, for the card

  int64_t operator[](Reason reason) const { return counts[static_cast<size_t>(reason)]; }
  void add(Reason reason, int64_t count, const std::string& place) {
    const auto index = static_cast<size_t>(reason);
    if (counts[index] == 0 && count > 0) first_place[index] = place;
    counts[index] += count;
  }
};

// Ragged rows are left out and counted, but a set in which more than one in a hundred is ragged is
// read wrongly: kInvalidInput.
Result<void> check_ragged(const Tally& tally, const std::string& where);

}  // namespace graupel::prepare
