// The HSMM as a step of calibrating. See calibrate_hsmm.h. Test: calibrate_test.cc.
#include "deploy/calibrate_hsmm.h"

#include <fmt/format.h>

#include <algorithm>

#include "calibrate/plots.h"
#include "data/windows.h"
#include "decide/sequence.h"
#include "deploy/calibrate.h"

namespace graupel::deploy {
namespace {

using calibrate::Predictions;
using calibrate::Recording;

constexpr size_t kExampleWindows = 400;

int64_t recording_at(const HsmmRequest& request, const Predictions& all, size_t window) {
  if (!request.recordings.empty()) return request.recordings[window];
  return all.groups.empty() ? 0 : all.groups[window];
}

// Windows that follow each other in the file and are of one recording; `windows` is ascending.
std::vector<Recording> recordings_of(const HsmmRequest& request, const HsmmInput& input,
                                     const std::vector<size_t>& windows,
                                     const decide::Confidence& confidence) {
  const Predictions& all = input.predictions;
  Predictions rows = calibrate::rows_of(all, windows);
  rows.groups.clear();  // as decode reads them: of nobody known
  const std::vector<double> p = calibrate::probabilities_of(confidence, rows);
  const size_t depth = request.use == decide::EmissionUse::kPosteriors ? 0 : input.levels.size();
  std::vector<Recording> recordings;
  for (size_t i = 0; i < windows.size(); ++i) {
    const size_t w = windows[i];
    const bool goes_on = i > 0 && windows[i - 1] + 1 == w &&
                         recording_at(request, all, w) == recording_at(request, all, w - 1) &&
                         (all.groups.empty() || all.groups[w] == all.groups[w - 1]);
    if (!goes_on) {
      recordings.emplace_back().group = all.groups.empty() ? 0 : all.groups[w];
    }
    Recording& one = recordings.back();
    const auto row = p.begin() + static_cast<std::ptrdiff_t>(i * all.classes);
    one.probabilities.insert(one.probabilities.end(), row,
                             row + static_cast<std::ptrdiff_t>(all.classes));
    const auto digit = input.digits.begin() + static_cast<std::ptrdiff_t>(w * depth);
    if (depth > 0) {
      one.digits.insert(one.digits.end(), digit, digit + static_cast<std::ptrdiff_t>(depth));
    }
    one.labels.push_back(all.labels[w]);
  }
  return recordings;
}

Result<void> check(const HsmmRequest& request, const HsmmInput& input) {
  const size_t windows = input.predictions.count();
  if (!request.recordings.empty() && request.recordings.size() != windows) {
    return invalid_input("--recordings", fmt::format("holds {} numbers for {} windows",
                                                     request.recordings.size(), windows));
  }
  if (request.use == decide::EmissionUse::kPosteriors) return ok();
  if (!input.levels.empty() && input.digits.size() == windows * input.levels.size()) return ok();
  return invalid_input("--emission", "asks for FSQ codes, and this network gives none");
}

DecodedStretch named_runs(const std::string& name, const std::vector<size_t>& states) {
  DecodedStretch stretch;
  stretch.name = name;
  stretch.windows = states.size();
  for (size_t t = 0; t < states.size(); ++t) {
    if (t == 0 || states[t] != states[t - 1]) {
      stretch.segments.push_back({t, 0, states[t], 1.0, false, false});
    }
    ++stretch.segments.back().length;
  }
  return stretch;
}

size_t largest_of(std::span<const double> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// The longest judged recording's first windows, four ways.
Result<Timeline> example_of(const CalibratedHsmm& hsmm, const std::vector<Recording>& judged,
                            const std::vector<std::string>& labels) {
  const auto& one = *std::max_element(
      judged.begin(), judged.end(),
      [](const Recording& a, const Recording& b) { return a.labels.size() < b.labels.size(); });
  const size_t states = labels.size(), windows = std::min(one.labels.size(), kExampleWindows);
  const size_t depth = hsmm.fit.model.emission.levels.size();
  TRY_ASSIGN(const auto model, decide::make_sequence_model(hsmm.fit.model));
  TRY_ASSIGN(decide::Sequence sequence, decide::start_sequence(model));
  std::vector<size_t> labelled, alone, online, offline(windows);
  std::vector<double> evidence;
  for (size_t t = 0; t < windows; ++t) {
    const std::span<const double> p = std::span(one.probabilities).subspan(t * states, states);
    const decide::SequenceAnswer answer =
        decide::step(sequence, p, true, std::span(one.digits).subspan(t * depth, depth));
    labelled.push_back(static_cast<size_t>(one.labels[t]));
    alone.push_back(largest_of(p));
    online.push_back(answer.state);
    evidence.insert(evidence.end(), sequence.evidence.begin(), sequence.evidence.end());
  }
  TRY_ASSIGN(const decide::Path path,
             decide::viterbi(*model->tables, {evidence, {}, decide::End::kOpen}));
  for (const decide::Segment& segment : path.segments) {
    std::fill_n(offline.begin() + static_cast<std::ptrdiff_t>(segment.start), segment.length,
                segment.state);
  }
  Timeline timeline;
  timeline.labels = labels;
  timeline.seconds = model->hop_s() > 0.0;
  timeline.hop_s = timeline.seconds ? model->hop_s() : 1.0;
  timeline.window_s = timeline.hop_s;
  timeline.stretches = {named_runs("labels", labelled), named_runs("windows alone", alone),
                        named_runs("HSMM online", online), named_runs("HSMM offline", offline)};
  return timeline;
}

std::string percent(double share) { return fmt::format("{:.2f}%", 100.0 * share); }

std::string right(double accuracy, const calibrate::ClassCounts& counts) {
  return fmt::format("{} right, macro-F1 {}", percent(accuracy),
                     percent(calibrate::macro_f1(counts)));
}

std::vector<decide::Measured> measured_of(const calibrate::HsmmScores& judged) {
  return {{"judged_windows", static_cast<double>(judged.windows)},
          {"judged_argmax_accuracy", judged.argmax_accuracy},
          {"judged_filter_accuracy", judged.filter_accuracy},
          {"judged_path_accuracy", judged.path_accuracy},
          {"judged_argmax_macro_f1", calibrate::macro_f1(judged.argmax)},
          {"judged_filter_macro_f1", calibrate::macro_f1(judged.filter)},
          {"judged_path_macro_f1", calibrate::macro_f1(judged.path)},
          {"judged_labelled_segments", static_cast<double>(judged.labelled_segments)},
          {"judged_argmax_segments", static_cast<double>(judged.argmax_segments)},
          {"judged_path_segments", static_cast<double>(judged.path_segments)}};
}

}  // namespace

Result<CalibratedHsmm> fit_durations(const HsmmRequest& request, const HsmmInput& input,
                                     const calibrate::Split& split,
                                     const decide::Confidence& confidence) {
  TRY(check(request, input));
  std::vector<size_t> fit_windows = split.fit.windows;
  fit_windows.insert(fit_windows.end(), split.conformal.windows.begin(),
                     split.conformal.windows.end());
  std::sort(fit_windows.begin(), fit_windows.end());
  const std::vector<Recording> fit_on = recordings_of(request, input, fit_windows, confidence);
  const std::vector<Recording> judge_on =
      recordings_of(request, input, split.judge.windows, confidence);
  calibrate::HsmmOptions options;
  options.classes = input.predictions.classes;
  options.use = request.use;
  if (request.use != decide::EmissionUse::kPosteriors) options.levels = input.levels;
  options.window_samples = request.window_samples;
  options.hop_samples = request.hop_samples;
  options.rate_hz = request.rate_hz;
  CalibratedHsmm hsmm;
  TRY_ASSIGN(hsmm.fit, calibrate::fit_hsmm(fit_on, options));
  TRY_ASSIGN(hsmm.judged, calibrate::score_hsmm(hsmm.fit.model, judge_on));
  hsmm.fit_recordings = fit_on.size();
  hsmm.judged_recordings = judge_on.size();
  TRY_ASSIGN(hsmm.example, example_of(hsmm, judge_on, input.labels));
  if (split.by == calibrate::SplitBy::kBlock) {
    hsmm.fit.model.notes.push_back(
        "the recordings were divided into blocks of windows, not by people: long behaviours are "
        "cut there, and nothing is known about other people");
  }
  hsmm.fit.model.measured = measured_of(hsmm.judged);
  return hsmm;
}

Result<void> choose_hsmm(const HsmmNames& names, const Labelled& data, CalibrateOptions& options) {
  if (!names.wanted) return ok();
  if (names.hop_samples <= 0) {
    return invalid_input("--hop",
                         "is needed with --hsmm: how many samples lie between the starts of two "
                         "windows that follow each other");
  }
  HsmmRequest request;
  request.window_samples = data.windows.raw.shape().back();
  request.hop_samples = names.hop_samples;
  request.rate_hz = names.rate_hz;
  const auto use = decide::parse_emission_use(names.emission);
  if (!use) {
    return invalid_input(
        "--emission",
        fmt::format("is '{}', expected one of posteriors, codes, both", names.emission));
  }
  request.use = *use;
  if (!names.recordings.empty()) {
    const auto count = static_cast<size_t>(data.windows.raw.shape()[0]);
    TRY_ASSIGN(const Tensor numbers, data::load_labels(names.recordings, count, INT64_MAX));
    request.recordings = numbers.to_int64s();
  } else if (data.groups.empty()) {
    return invalid_input("--hsmm",
                         "needs --groups or --recordings: which windows are one recording");
  }
  options.hsmm = std::move(request);
  return ok();
}

std::vector<std::pair<std::string, std::string>> hsmm_rows(const CalibratedHsmm& hsmm) {
  const calibrate::HsmmScores& judged = hsmm.judged;
  const decide::Hsmm& model = hsmm.fit.model;
  return {{"durations fitted on", fmt::format("{} recordings", hsmm.fit_recordings)},
          {"judged on",
           fmt::format("{} windows of {} recordings", judged.windows, hsmm.judged_recordings)},
          {"it reads", fmt::format("{}, weight of a window {:g}",
                                   decide::to_string(model.emission.use), model.emission.weight)},
          {"longest explicit duration", fmt::format("{} windows", model.maximum_duration)},
          {"each window alone", right(judged.argmax_accuracy, judged.argmax)},
          {"HSMM online", right(judged.filter_accuracy, judged.filter)},
          {"HSMM offline", right(judged.path_accuracy, judged.path)},
          {"segments",
           fmt::format("{} labelled, {} with each window alone, {} by the HSMM",
                       judged.labelled_segments, judged.argmax_segments, judged.path_segments)}};
}

void add_hsmm_figures(report::Report& report, const CalibratedHsmm& hsmm) {
  report.figures.push_back(
      {"Behaviour over time",
       "The longest judged recording (its first 400 windows): as labelled, the most probable class "
       "of each window, and the HSMM with the past only and with the whole recording.",
       timeline_svg(hsmm.example)});
  std::vector<calibrate::NamedValue> means;
  const auto maximum = static_cast<size_t>(hsmm.fit.model.maximum_duration);
  for (size_t s = 0; s < hsmm.fit.model.states(); ++s) {
    const decide::Duration& duration = hsmm.fit.model.durations[s];
    const double mean = decide::make_duration_table(duration, maximum).mean;
    const double shown = mean * (hsmm.example.seconds ? hsmm.example.hop_s : 1.0);
    means.push_back({hsmm.example.labels[s], shown, 0.0,
                     fmt::format("{:.1f} {} ({})", shown, hsmm.example.seconds ? "s" : "windows",
                                 decide::to_string(duration.family))});
  }
  report.figures.push_back({"How long behaviours last", "Mean of the law fitted to each class.",
                            calibrate::bars_svg("Mean duration", means)});
}

}  // namespace graupel::deploy
