// The thresholds lie in the middle (geometrically) between what people do in the right unit and in
// the wrong one. See units_check.h. Test: units_check_test.cc.
#include "prepare/units_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace graupel::prepare {
namespace {

constexpr double kFewest = 50.0;       // readings that say anything
constexpr double kGravityLow = 3.1;    // sqrt(1 * 9.8): below, m/s^2 was said and g is meant
constexpr double kGravityHigh = 31.0;  // sqrt(9.8 * 96): above, g was said and m/s^2 is meant
constexpr double kLeastSpread = 0.05;  // m/s^2, noise of a unit at rest
constexpr double kTurningHigh = 4.0;   // rad/s per m/s^2
constexpr double kTurningLow = 0.02;
constexpr double kFastTurning = 3.0;  // rad/s, root mean square; somebody on a chair is slower

// Persons and sensors whose numbers contradict one unit.
struct Contradiction {
  std::set<int64_t> subjects;
  std::set<size_t> sensors;
  size_t cells = 0;
  double example = 0.0;

  void add(int64_t subject, size_t sensor, double value) {
    if (cells++ == 0) example = value;
    subjects.insert(subject);
    sensors.insert(sensor);
  }
};

std::string names_of(const Contradiction& found, const Recipe& recipe, const Tally& tally) {
  std::string subjects, sensors;
  for (const int64_t subject : found.subjects) {
    const auto name = tally.subject_names.find(subject);
    subjects += (subjects.empty() ? "" : ", ") +
                (name != tally.subject_names.end() ? name->second : std::to_string(subject));
  }
  for (const size_t sensor : found.sensors) {
    sensors += (sensors.empty() ? "" : ", ") + recipe.sensors[sensor];
  }
  return fmt::format("subject{} {} (sensor{} {})", found.subjects.size() > 1 ? "s" : "", subjects,
                     found.sensors.size() > 1 ? "s" : "", sensors);
}

Error contradiction(const Contradiction& found, size_t people, const std::string& what,
                    const std::string& declared, const std::string& likely,
                    const std::string& names) {
  const bool everywhere = found.subjects.size() == people;
  return invalid_input(
      everywhere ? "units" : "mixed units",
      fmt::format("{} is declared in {}, but {} of {} looks like {} ({:.3g} after conversion); {}",
                  what, declared, what, everywhere ? "the whole set" : names, likely, found.example,
                  everywhere ? "declare it so in [units] of the TOML file"
                             : "convert these recordings to one unit"));
}

}  // namespace

void observe_units(const RawRun& run, UnitEvidence& evidence) {
  for (size_t s = 0; s < run.sensors.size(); ++s) {
    const Series& series = run.sensors[s];
    UnitSums& sums = evidence[{run.subject, s, run.label}];
    for (size_t row = 0; row < series.rows(); ++row) {
      const double* const v = series.values.data() + row * kAxes;
      const double squares = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
      const double turning = v[3] * v[3] + v[4] * v[4] + v[5] * v[5];
      if (std::isfinite(squares)) {
        sums.count += 1.0;
        sums.length += std::sqrt(squares);
        sums.length_squares += squares;
        for (size_t axis = 0; axis < 3; ++axis) sums.axes[axis] += v[axis];
      }
      if (std::isfinite(turning)) {
        sums.rotation_count += 1.0;
        sums.rotation_squares += turning;
      }
    }
  }
}

Result<void> check_units(const UnitEvidence& evidence, const Recipe& recipe, Tally& tally) {
  Contradiction too_short, too_long, too_fast, too_slow, no_gravity;
  std::set<int64_t> people;
  const bool in_g = recipe.units.acceleration == "g";
  const bool in_degrees = recipe.units.rotation == "deg/s";
  for (const auto& [key, sums] : evidence) {
    const auto& [subject, sensor, label] = key;
    if (sums.count < kFewest) continue;
    people.insert(subject);
    const double mean = sums.length / sums.count;
    if (mean < kGravityLow && mean > 0.3) {
      (in_g ? no_gravity : too_short).add(subject, sensor, mean);
    } else if (mean <= 0.3) {
      no_gravity.add(subject, sensor, mean);
    } else if (mean > kGravityHigh) {
      (in_g ? too_long : no_gravity).add(subject, sensor, mean);
    }
    if (sums.rotation_count < kFewest) continue;
    const double variance = std::max(0.0, sums.length_squares / sums.count - mean * mean);
    // Acceleration in the wrong unit says nothing about rotation.
    if (mean < kGravityLow || mean > kGravityHigh) continue;
    const double spread = std::max(kLeastSpread, std::sqrt(variance));
    const double rotation = std::sqrt(sums.rotation_squares / sums.rotation_count);
    // The spread of the vector: a swing across gravity hardly changes its length.
    double centre = 0.0;
    for (const double sum : sums.axes) centre += sum * sum / (sums.count * sums.count);
    const double vector_spread =
        std::max(kLeastSpread, std::sqrt(std::max(0.0, sums.length_squares / sums.count - centre)));
    if (!in_degrees && rotation > kFastTurning && rotation > kTurningHigh * vector_spread) {
      too_fast.add(subject, sensor, rotation);
    }
    if (in_degrees && rotation > 0.0 && rotation < kTurningLow * spread && spread > 0.5) {
      too_slow.add(subject, sensor, rotation);
    }
  }
  const auto names = [&](const Contradiction& found) { return names_of(found, recipe, tally); };
  if (too_short.cells > 0) {
    return contradiction(too_short, people.size(), "acceleration", "m/s2", "g", names(too_short));
  }
  if (too_long.cells > 0) {
    return contradiction(too_long, people.size(), "acceleration", "g", "m/s2", names(too_long));
  }
  if (too_fast.cells > 0) {
    return contradiction(too_fast, people.size(), "rotation", "rad/s", "deg/s", names(too_fast));
  }
  if (too_slow.cells > 0) {
    return contradiction(too_slow, people.size(), "rotation", "deg/s", "rad/s", names(too_slow));
  }
  if (no_gravity.cells > 0) {
    tally.notes.push_back(
        fmt::format("acceleration of {} has a mean length of {:.3g} m/s2, which "
                    "is not gravity: removed by the device, or another unit",
                    names(no_gravity), no_gravity.example));
  }
  return ok();
}

}  // namespace graupel::prepare
