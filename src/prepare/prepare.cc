// The stage as a whole. See prepare.h. Test: prepare_test.cc.
#include "prepare/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "data/npy.h"
#include "prepare/card.h"
#include "prepare/readers.h"
#include "prepare/resample.h"
#include "prepare/runs.h"
#include "prepare/units_check.h"
#include "prepare/window_store.h"

namespace graupel::prepare {
namespace {

Result<void> make_folder(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  return failed ? Result<void>(io_error(path, "cannot be made: " + failed.message())) : ok();
}

// Runs to windows.
struct Cutter {
  const Recipe& recipe;
  Tally& tally;
  WindowStore& store;
  UnitEvidence units;
  double filter_rate_hz = 0.0;  // the source rate that ratio and filter are for
  Ratio ratio;
  std::vector<double> filter;
};

Result<void> cut_windows(Cutter& cutter, const EvenRun& run) {
  if (run.rate_hz != cutter.filter_rate_hz) {
    TRY_ASSIGN(cutter.ratio, rate_ratio(run.rate_hz, cutter.recipe.rate_hz));
    cutter.filter = antialias_filter(cutter.ratio);
    cutter.filter_rate_hz = run.rate_hz;
  }
  const size_t sensors = cutter.store.sensors();
  const size_t samples = cutter.store.samples();
  std::vector<std::vector<double>> channels;
  for (size_t c = 0; c < sensors * kAxes; ++c) {
    channels.push_back(resample(run.channel(c), cutter.ratio, cutter.filter));
  }
  const size_t length = channels[0].size();
  if (length < samples) {
    cutter.tally.add(Reason::kTooShort, static_cast<int64_t>(length), run.place);
    return ok();
  }
  std::vector<float> window(cutter.store.window_size());
  const auto hop = static_cast<size_t>(cutter.recipe.hop_samples);
  size_t start = 0;
  for (; start + samples <= length; start += hop) {
    for (size_t axis = 0; axis < kAxes; ++axis) {
      for (size_t s = 0; s < sensors; ++s) {
        const std::vector<double>& from = channels[s * kAxes + axis];
        float* const to = window.data() + (axis * sensors + s) * samples;
        for (size_t i = 0; i < samples; ++i) to[i] = static_cast<float>(from[start + i]);
      }
    }
    TRY(cutter.store.add(window, run.subject, run.label));
  }
  const size_t covered = start - hop + samples;
  cutter.tally.add(Reason::kTail, static_cast<int64_t>(length - covered), run.place);
  return ok();
}

// A person whose channel never holds a number loses every window; say which channel it was.
struct ChannelWatch {
  std::map<int64_t, std::vector<int64_t>> finite;  // person -> readings per channel
  std::vector<MissingCount>& missing;              // [axis * sensors + sensor]

  void observe(const RawRun& run) {
    const size_t sensors = run.sensors.size();
    std::vector<int64_t>& counts = finite[run.subject];
    counts.resize(sensors * kAxes);
    missing.resize(sensors * kAxes);
    for (size_t s = 0; s < sensors; ++s) {
      const std::vector<double>& values = run.sensors[s].values;
      for (size_t i = 0; i < values.size(); ++i) {
        const bool is_there = std::isfinite(values[i]);
        MissingCount& count = missing[i % kAxes * sensors + s];
        counts[s * kAxes + i % kAxes] += is_there ? 1 : 0;
        ++count.readings;
        count.missing += is_there ? 0 : 1;
      }
    }
  }
};

Result<void> report_dead_channels(const ChannelWatch& watch, const Recipe& recipe, Tally& tally) {
  size_t people_without = 0;
  std::string all;
  for (const auto& [subject, counts] : watch.finite) {
    std::string dead;
    for (size_t c = 0; c < counts.size(); ++c) {
      if (counts[c] > 0) continue;
      dead += fmt::format("{}{} of {}", dead.empty() ? "" : ", ", kAxisNames[c % kAxes],
                          recipe.sensors[c / kAxes]);
    }
    if (dead.empty()) continue;
    ++people_without;
    all = dead;
    tally.notes.push_back(fmt::format("person {} is left out: no number at all in {}",
                                      subject_name(tally, subject), dead));
  }
  if (people_without == 0 || people_without < watch.finite.size()) return ok();
  return invalid_input("channels", fmt::format("nobody's recording holds a number in {}; choose "
                                               "other sensors, or check the columns",
                                               all));
}

Error no_windows(const Tally& tally, const Recipe& recipe) {
  return invalid_input(
      "windows",
      fmt::format("none came out of {} rows: {}. A window takes {} samples at {} Hz",
                  tally.rows_read, describe_counts(tally), recipe.window_samples, recipe.rate_hz));
}

Result<data::Normalization> fit_chain(const PrepareOptions& options, const WindowStore& store,
                                      const std::vector<int64_t>& subjects) {
  const std::vector<data::ChannelStatistics> channels =
      channel_statistics(store, subjects, options.centred);
  data::Normalization chain = data::normalization_of(channels);
  if (options.scale == ScaleBy::kSensor) {
    TRY_ASSIGN(chain, data::grouped_normalization_of(channels, {0, 0, 0, 1, 1, 1, 2, 2, 2}));
  }
  chain.centred = options.centred;
  chain.clip = options.clip;
  TRY(data::check_normalization(chain));
  return chain;
}

Result<void> write_numbers(const std::string& path, const std::vector<int64_t>& numbers) {
  return data::write_npy(path,
                         Tensor::of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers));
}

Result<void> write_set(const std::string& windows_path, const std::string& labels_path,
                       const std::string& groups_path, const WindowStore& store,
                       const std::vector<size_t>& indices) {
  TRY(write_windows(windows_path, store, indices));
  std::vector<int64_t> labels, groups;
  for (const size_t index : indices) {
    labels.push_back(store.records()[index].label);
    groups.push_back(store.records()[index].subject);
  }
  TRY(write_numbers(labels_path, labels));
  return groups_path.empty() ? ok() : write_numbers(groups_path, groups);
}

Result<PreparedSplit> write_split(const PrepareOptions& options, const WindowStore& store,
                                  const Split& split, size_t classes) {
  PreparedSplit result{split, 0, std::vector<int64_t>(classes, 0)};
  const std::string folder = options.output + "/" + split.name;
  TRY(make_folder(folder));
  const std::vector<size_t> indices = windows_of(store, split);
  result.windows = indices.size();
  for (const size_t index : indices) {
    ++result.class_counts[static_cast<size_t>(store.records()[index].label)];
  }
  TRY(write_set(folder + "/windows.npy", folder + "/labels.npy", folder + "/groups.npy", store,
                indices));
  return result;
}

// Returns how many.
Result<size_t> write_calibration(const PrepareOptions& options, const WindowStore& store,
                                 const Split& split, const std::string& folder) {
  const std::vector<size_t> indices = windows_of(store, split);
  const std::vector<size_t> chosen =
      balanced(store, indices, options.calibration_windows, options.split.seed);
  if (chosen.size() < kFewestCalibrationWindows) {
    return invalid_input(
        "calibration set",
        fmt::format("has {} windows of {} people; at least {} are needed. Give it "
                    "more people (--calibration-subjects) or a shorter hop",
                    chosen.size(), split.subjects.size(), kFewestCalibrationWindows));
  }
  TRY(write_set(folder + "/calibration_data.npy", folder + "/calibration_labels.npy", "", store,
                chosen));
  return chosen.size();
}

Result<void> write_folds(const PrepareOptions& options, const WindowStore& store,
                         const std::vector<int64_t>& subjects, Prepared& prepared) {
  nlohmann::ordered_json folds = nlohmann::ordered_json::array();
  for (const int64_t subject : subjects) {
    TRY_ASSIGN(const std::vector<Split> splits, make_fold(subjects, subject));
    const std::string folder = fmt::format("{}/folds/{}", options.output, subject);
    TRY(make_folder(folder));
    TRY_ASSIGN(const data::Normalization chain, fit_chain(options, store, splits[0].subjects));
    TRY(write_file_atomic(folder + "/normalization.json", data::format_normalization(chain)));
    TRY_ASSIGN(prepared.calibration_windows, write_calibration(options, store, splits[2], folder));
    nlohmann::ordered_json fold = {{"fold", subject}};
    for (const Split& split : splits) fold[split.name] = split.subjects;
    folds.push_back(std::move(fold));
  }
  return write_file_atomic(options.output + "/folds.json", folds.dump(1) + "\n");
}

Result<void> write_outputs(const PrepareOptions& options, const WindowStore& store,
                           Prepared& prepared) {
  std::vector<int64_t> subjects;
  for (const auto& [subject, statistics] : store.subjects()) subjects.push_back(subject);
  TRY_ASSIGN(const std::vector<Split> splits, make_splits(subjects, options.split));
  for (const Split& split : splits) {
    TRY_ASSIGN(PreparedSplit written,
               write_split(options, store, split, prepared.recipe.classes.size()));
    prepared.splits.push_back(std::move(written));
  }
  TRY_ASSIGN(prepared.leakage, check_leakage(options.output, splits, store));
  TRY_ASSIGN(prepared.normalization, fit_chain(options, store, splits[0].subjects));
  if (options.split.kind == SplitKind::kAllFolds) {
    TRY(write_folds(options, store, subjects, prepared));
  } else {
    TRY(write_file_atomic(options.output + "/normalization.json",
                          data::format_normalization(prepared.normalization)));
    TRY_ASSIGN(prepared.calibration_windows,
               write_calibration(options, store, splits[2], options.output));
  }
  std::string names;
  for (const std::string& name : prepared.recipe.classes) names += name + "\n";
  TRY(write_file_atomic(options.output + "/class_names.txt", names));
  TRY(make_folder(options.output + "/plots"));
  for (const int64_t subject : subjects) {
    TRY(write_file_atomic(fmt::format("{}/plots/subject_{}.svg", options.output, subject),
                          subject_svg(subject, prepared, store)));
  }
  TRY(write_file_atomic(options.output + "/data_card.json",
                        card_json(options, prepared, store).dump(1) + "\n"));
  return write_file_atomic(options.output + "/data_card.md",
                           card_markdown(options, prepared, store));
}

}  // namespace

Result<Prepared> prepare(const PrepareOptions& options) {
  Prepared prepared;
  const std::vector<double> any(kAxes, 1.0);
  TRY(data::check_normalization({any, any, 1e-8, options.centred, options.clip}));
  Form form = Form::kCsv;
  if (options.form) {
    form = *options.form;
  } else {
    TRY_ASSIGN(form, detect_form(options.input));
  }
  std::string toml;
  if (!options.toml.empty()) {
    TRY_ASSIGN(toml, read_file(options.toml, uint64_t{1} << 20));
  }
  TRY_ASSIGN(prepared.recipe, make_recipe(form, options.recipe, toml, options.toml));
  Recipe& recipe = prepared.recipe;
  TRY(make_folder(options.output));
  TRY_ASSIGN(WindowStore store, WindowStore::create(options.output, kAxes, recipe.sensors.size(),
                                                    static_cast<size_t>(recipe.window_samples)));
  Cutter cutter{recipe, prepared.tally, store, {}, 0.0, {}, {}};
  ChannelWatch watch{{}, prepared.missing};
  const RunSink sink = [&](RawRun&& raw) -> Result<void> {
    observe_units(raw, cutter.units);
    watch.observe(raw);
    if (watch.finite.size() > kMaximumPeople) return too_many_people(raw.place);
    TRY_ASSIGN(const std::vector<EvenRun> runs, even_runs(raw, recipe, prepared.tally));
    for (const EvenRun& run : runs) TRY(cut_windows(cutter, run));
    return ok();
  };
  TRY(read_recordings(options.input, recipe, prepared.tally, sink));
  TRY(check_units(cutter.units, recipe, prepared.tally));
  TRY(report_dead_channels(watch, recipe, prepared.tally));
  prepared.windows = store.records().size();
  if (prepared.windows == 0) return no_windows(prepared.tally, recipe);
  TRY(write_outputs(options, store, prepared));
  return prepared;
}

}  // namespace graupel::prepare
