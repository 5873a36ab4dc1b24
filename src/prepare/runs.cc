// Building runs and bringing them to an even grid. See runs.h. Test: runs_test.cc.
#include "prepare/runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::prepare {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kOnGrid = 1e-3;  // of a sample interval: a reading so near is taken as it is

double median_step(const std::vector<double>& time_s) {
  std::vector<double> steps;
  for (size_t i = 1; i < time_s.size(); ++i) steps.push_back(time_s[i] - time_s[i - 1]);
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return *middle;
}

Result<double> grid_rate(const RawRun& raw, const Recipe& recipe) {
  if (recipe.source_rate_hz > 0.0) return recipe.source_rate_hz;
  const double rate = 1.0 / median_step(raw.sensors[0].time_s);
  if (!(rate >= 0.1 && rate <= 10000.0)) {
    return invalid_input(raw.place, fmt::format("time stamps follow each other at {:.4g} Hz; check "
                                                "units.time ({})",
                                                rate, recipe.units.time));
  }
  // Clocks are a little off; a whole rate keeps the resampling ratio small.
  return rate >= 2.0 ? std::round(rate) : std::round(rate * 100.0) / 100.0;
}

struct Grid {
  double start_s = 0.0;
  double rate_hz = 1.0;
  size_t samples = 0;
  double longest_gap_s = 0.0;
};

// One channel on the grid; NaN where no two readings within the longest gap enclose the point.
int64_t interpolate(const Series& series, size_t axis, const Grid& grid, std::span<double> out) {
  const double tolerance_s = kOnGrid / grid.rate_hz;
  const double missing_s = 1.5 / grid.rate_hz;
  int64_t filled = 0;
  size_t at = 0;  // next reading not before the grid point
  size_t before = series.rows();
  const auto value = [&](size_t row) { return series.values[row * kAxes + axis]; };
  for (size_t i = 0; i < out.size(); ++i) {
    const double time_s = grid.start_s + static_cast<double>(i) / grid.rate_hz;
    while (at < series.rows() &&
           (std::isnan(value(at)) || series.time_s[at] < time_s - tolerance_s)) {
      if (!std::isnan(value(at))) before = at;
      ++at;
    }
    out[i] = kNan;
    if (at == series.rows()) continue;
    if (series.time_s[at] <= time_s + tolerance_s) {
      out[i] = value(at);
      continue;
    }
    if (before == series.rows()) continue;
    const double span_s = series.time_s[at] - series.time_s[before];
    if (span_s > grid.longest_gap_s) continue;
    const double share = (time_s - series.time_s[before]) / span_s;
    out[i] = value(before) + share * (value(at) - value(before));
    filled += span_s > missing_s ? 1 : 0;
  }
  return filled;
}

void cut_at_holes(const std::vector<double>& values, const Grid& grid, const RawRun& raw,
                  std::vector<EvenRun>& runs, Tally& tally) {
  const size_t channels = values.size() / grid.samples;
  const auto whole = [&](size_t i) {
    for (size_t c = 0; c < channels; ++c) {
      if (std::isnan(values[c * grid.samples + i])) return false;
    }
    return true;
  };
  size_t i = 0;
  int64_t lost = 0;
  while (i < grid.samples) {
    if (!whole(i)) {
      ++i, ++lost;
      continue;
    }
    size_t end = i;
    while (end < grid.samples && whole(end)) ++end;
    EvenRun run{raw.subject,
                raw.label,
                raw.place,
                grid.rate_hz,
                end - i,
                {},
                grid.start_s + static_cast<double>(i) / grid.rate_hz};
    run.values.reserve(channels * run.samples);
    for (size_t c = 0; c < channels; ++c) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(c * grid.samples + i);
      run.values.insert(run.values.end(), first, first + static_cast<std::ptrdiff_t>(run.samples));
    }
    runs.push_back(std::move(run));
    i = end;
  }
  tally.add(Reason::kNoPartner, lost, raw.place);
  const auto cuts = static_cast<int64_t>(runs.size()) - 1;
  if (cuts > 0) tally.add(Reason::kGapCut, cuts, raw.place);
}

}  // namespace

Step step_of(double previous_s, double time_s) {
  const double step_s = time_s - previous_s;
  if (step_s == 0.0) return Step::kDuplicate;
  if (step_s < -kClockRestart_s) return Step::kRestart;
  if (step_s < 0.0) return Step::kBackward;
  return step_s > kLongestGap_s ? Step::kGap : Step::kNext;
}

void to_target_units(const Recipe& recipe, const std::string& sensor, std::span<double> axes) {
  const std::array<double, 3> factors = {unit_factor(recipe.units.acceleration).value_or(1.0),
                                         unit_factor(recipe.units.rotation).value_or(1.0),
                                         unit_factor(recipe.units.field).value_or(1.0)};
  const auto offset = recipe.offsets.find(sensor);
  for (size_t axis = 0; axis < kAxes; ++axis) {
    axes[axis] *= factors[axis / 3];
    if (offset != recipe.offsets.end()) axes[axis] -= offset->second[axis];
  }
}

Result<void> RunBuilder::close() {
  if (!open()) return ok();
  RawRun run = std::move(run_);
  run_ = RawRun();
  return sink_(std::move(run));
}

Result<void> RunBuilder::add(int64_t subject, int32_t label, double time_s,
                             std::span<const double> values, const std::string& place) {
  if (label < 0) {
    tally_.add(Reason::kLeftOutLabel, 1, place);
    return close();
  }
  if (open() && (subject != run_.subject || label != run_.label)) TRY(close());
  if (open()) {
    switch (step_of(run_.sensors[0].time_s.back(), time_s)) {
      case Step::kNext: break;
      case Step::kDuplicate: tally_.add(Reason::kDuplicateTime, 1, place); return ok();
      case Step::kBackward: tally_.add(Reason::kBackwardTime, 1, place); return ok();
      case Step::kRestart:
        tally_.add(Reason::kClockRestart, 1, place);
        TRY(close());
        break;
      case Step::kGap:
        tally_.add(Reason::kGapCut, 1, place);
        TRY(close());
        break;
    }
  }
  if (rows() >= kMaximumRunRows) {
    tally_.add(Reason::kLongRun, 1, place);
    TRY(close());
  }
  if (!open()) run_ = {subject, label, place, std::vector<Series>(recipe_.sensors.size())};
  for (size_t s = 0; s < run_.sensors.size(); ++s) {
    Series& series = run_.sensors[s];
    series.time_s.push_back(time_s);
    const std::span<const double> axes = values.subspan(s * kAxes, kAxes);
    series.values.insert(series.values.end(), axes.begin(), axes.end());
    to_target_units(recipe_, recipe_.sensors[s], std::span<double>(series.values).last(kAxes));
  }
  return ok();
}

Result<std::vector<EvenRun>> even_runs(const RawRun& raw, const Recipe& recipe, Tally& tally) {
  std::vector<EvenRun> runs;
  const Series& first = raw.sensors.at(0);
  if (first.rows() < 2) {
    tally.add(Reason::kTooShort, static_cast<int64_t>(first.rows()), raw.place);
    return runs;
  }
  Grid grid;
  TRY_ASSIGN(grid.rate_hz, grid_rate(raw, recipe));
  grid.start_s = first.time_s.front();
  const double samples = (first.time_s.back() - grid.start_s) * grid.rate_hz + kOnGrid;
  if (samples > 4.0 * static_cast<double>(kMaximumRunRows)) {
    return invalid_input(raw.place,
                         fmt::format("{} rows cover {:.4g} s, far too few for {:.4g} Hz; "
                                     "check rate_hz and units.time ({})",
                                     first.rows(), first.time_s.back() - grid.start_s, grid.rate_hz,
                                     recipe.units.time));
  }
  grid.samples = static_cast<size_t>(samples) + 1;
  grid.longest_gap_s = std::max(recipe.gap_s, 1.5 / grid.rate_hz);
  std::vector<double> values(raw.sensors.size() * kAxes * grid.samples);
  int64_t filled = 0;
  for (size_t s = 0; s < raw.sensors.size(); ++s) {
    for (size_t axis = 0; axis < kAxes; ++axis) {
      const std::span<double> out =
          std::span<double>(values).subspan((s * kAxes + axis) * grid.samples, grid.samples);
      filled += interpolate(raw.sensors[s], axis, grid, out);
    }
  }
  tally.add(Reason::kInterpolated, filled, raw.place);
  cut_at_holes(values, grid, raw, runs, tally);
  return runs;
}

}  // namespace graupel::prepare
