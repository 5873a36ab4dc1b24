// Windows slid over recordings, answered by the plan. See recordings.h. Test: decode_test.cc.
#include "deploy/recordings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/files.h"
#include "data/npy.h"
#include "data/windows.h"
#include "decide/hsmm.h"
#include "prepare/readers.h"
#include "prepare/resample.h"
#include "prepare/runs.h"
#include "run/answers.h"

namespace graupel::deploy {
namespace {

// Signals of a stretch: [channels * sensors][samples] in the order of the window's rows.
struct Signals {
  std::vector<std::vector<float>> rows;
  size_t samples() const { return rows.empty() ? 0 : rows[0].size(); }
};

struct Answering {
  run::BundleEngine& loaded;
  size_t output = 0;
  std::optional<size_t> digits;  // output with FSQ digits
  Shape window;                  // channels, ..., samples
  Recordings out;

  size_t samples() const { return static_cast<size_t>(window.back()); }
  size_t hop() const { return static_cast<size_t>(out.hop_samples); }
};

Result<void> answer(Answering& a, std::span<const float> window, Stretch& stretch) {
  for (const float x : window) {
    if (std::isfinite(x)) continue;
    return invalid_input("recording",
                         fmt::format("window {} holds a value that is no number", stretch.windows));
  }
  TRY(run::run(a.loaded.engine, window));
  const Tensor logits = run::output_tensor(a.loaded.engine, a.output);
  for (const float x : logits.data<float>()) {
    if (std::isfinite(x)) continue;
    return invalid_input(
        "recording", fmt::format("window {} gives logits that are no numbers", stretch.windows));
  }
  a.out.classes = logits.size();
  stretch.logits.insert(stretch.logits.end(), logits.data<float>().begin(),
                        logits.data<float>().end());
  if (a.digits) {
    const Tensor digits = run::output_tensor(a.loaded.engine, *a.digits);
    a.out.digits = digits.size();
    for (const double x : digits.to_doubles()) stretch.digits.push_back(std::llround(x));
  }
  ++stretch.windows;
  return ok();
}

Result<void> slide(Answering& a, const Signals& signals, Stretch& stretch) {
  const size_t samples = a.samples();
  std::vector<float> window(signals.rows.size() * samples);
  for (size_t start = 0; start + samples <= signals.samples(); start += a.hop()) {
    for (size_t row = 0; row < signals.rows.size(); ++row) {
      std::copy_n(signals.rows[row].begin() + static_cast<std::ptrdiff_t>(start), samples,
                  window.begin() + static_cast<std::ptrdiff_t>(row * samples));
    }
    TRY(answer(a, window, stretch));
  }
  return ok();
}

// ---- CSV of readings ----

// For each window the label that most of its readings have.
void label_windows(const Answering& a, const prepare::RawRun& raw, Stretch& stretch) {
  const std::vector<double>& time_s = raw.sensors[0].time_s;
  const double length_s = static_cast<double>(a.samples()) / a.out.rate_hz;
  for (size_t w = 0; w < stretch.windows; ++w) {
    const double from = stretch.start_s + static_cast<double>(w) * a.out.hop_s();
    const auto first = std::lower_bound(time_s.begin(), time_s.end(), from - 1e-9);
    const auto last = std::lower_bound(first, time_s.end(), from + length_s - 1e-9);
    std::map<int32_t, size_t> counts;
    for (auto at = first; at != last; ++at)
      ++counts[raw.row_labels[static_cast<size_t>(at - time_s.begin())]];
    int64_t label = -1;
    size_t most = 0;
    for (const auto& [value, count] : counts) {
      if (count > most) most = count, label = value;
    }
    stretch.labels.push_back(label);
  }
}

Result<void> take_run(Answering& a, const prepare::Recipe& recipe, prepare::Tally& tally,
                      const prepare::RawRun& raw) {
  TRY_ASSIGN(const std::vector<prepare::EvenRun> runs, prepare::even_runs(raw, recipe, tally));
  for (const prepare::EvenRun& run : runs) {
    TRY_ASSIGN(const prepare::Ratio ratio, prepare::rate_ratio(run.rate_hz, recipe.rate_hz));
    const std::vector<double> filter = prepare::antialias_filter(ratio);
    const size_t sensors = recipe.sensors.size();
    Signals signals;
    for (size_t axis = 0; axis < prepare::kAxes; ++axis) {
      for (size_t s = 0; s < sensors; ++s) {
        const std::vector<double> channel =
            prepare::resample(run.channel(s * prepare::kAxes + axis), ratio, filter);
        signals.rows.emplace_back(channel.begin(), channel.end());
      }
    }
    if (signals.samples() < a.samples()) {
      tally.add(prepare::Reason::kTooShort, static_cast<int64_t>(signals.samples()), run.place);
      continue;
    }
    Stretch stretch;
    stretch.subject = run.subject;
    stretch.start_s = run.start_s;
    TRY(slide(a, signals, stretch));
    label_windows(a, raw, stretch);
    a.out.stretches.push_back(std::move(stretch));
  }
  return ok();
}

Result<void> check_sensors(const Answering& a, const prepare::Recipe& recipe) {
  const bool fits = a.window.size() == 3 && a.window[0] == static_cast<int64_t>(prepare::kAxes) &&
                    a.window[1] == static_cast<int64_t>(recipe.sensors.size());
  if (fits) return ok();
  return invalid_input("--sensors", fmt::format("{} sensors of 9 axes do not give windows of {}; "
                                                "name as many as the window has rows, or give an "
                                                ".npy of signals",
                                                recipe.sensors.size(), to_string(a.window)));
}

Result<void> take_csv(Answering& a, const RecordingOptions& options) {
  if (!(a.out.rate_hz > 0.0)) {
    return invalid_input("--rate",
                         "is needed: how many samples per second the network's windows "
                         "have is in neither the bundle nor the options");
  }
  std::string toml;
  if (!options.config.empty()) {
    TRY_ASSIGN(toml, read_file(options.config, 1 << 20));
  }
  prepare::RecipeOptions wanted;
  wanted.sensors = options.sensors;
  wanted.rate_hz = a.out.rate_hz;
  wanted.window_samples = a.out.window_samples;
  wanted.hop_samples = a.out.hop_samples;
  wanted.gap_s = options.gap_s;
  TRY_ASSIGN(prepare::Recipe recipe,
             prepare::make_recipe(prepare::Form::kCsv, wanted, toml, options.config));
  TRY(check_sensors(a, recipe));
  recipe.continuous = true;
  // The bundle's classes are what labels mean, by name or through the TOML's map.
  std::map<std::string, int32_t> known;
  for (size_t i = 0; i < a.loaded.labels.size(); ++i) {
    known[a.loaded.labels[i]] = static_cast<int32_t>(i);
  }
  std::map<std::string, int32_t> labels = known;
  for (const auto& [source, index] : recipe.labels) {
    const auto found =
        index < 0 ? known.end() : known.find(recipe.classes[static_cast<size_t>(index)]);
    labels[source] = found == known.end() ? -1 : found->second;
  }
  recipe.labels = std::move(labels);
  prepare::Tally tally;
  TRY(prepare::read_csv(options.path, recipe, tally, [&](prepare::RawRun&& raw) -> Result<void> {
    return take_run(a, recipe, tally, raw);
  }));
  TRY(prepare::check_ragged(tally, options.path));
  for (size_t i = 0; i < prepare::kReasonCount; ++i) {
    if (tally.counts[i] == 0) continue;
    const prepare::ReasonText& text = prepare::text_of(static_cast<prepare::Reason>(i));
    a.out.notes.push_back(fmt::format("{} {}: {} (first at {})", tally.counts[i], text.unit,
                                      text.text, tally.first_place[i]));
  }
  return ok();
}

// ---- arrays ----

Result<std::vector<int64_t>> numbers_in(const std::string& path, size_t expected) {
  TRY_ASSIGN(const Tensor tensor, data::read_npy(path));
  if (tensor.size() == expected && !is_float(tensor.dtype())) return tensor.to_int64s();
  return invalid_input(path,
                       fmt::format("holds {} of shape {}; expected {} whole numbers, one per "
                                   "window",
                                   to_string(tensor.dtype()), to_string(tensor.shape()), expected));
}

Result<std::vector<int32_t>> contexts_in(Answering& a, const std::string& path, size_t count) {
  TRY_ASSIGN(const std::vector<int64_t> numbers, numbers_in(path, count));
  std::vector<int32_t> contexts;
  for (const int64_t number : numbers) {
    if (number < 0 || number >= static_cast<int64_t>(decide::kMaxContexts)) {
      return invalid_input(path, fmt::format("window {} has the context {}; expected 0 to {}",
                                             contexts.size(), number, decide::kMaxContexts - 1));
    }
    contexts.push_back(static_cast<int32_t>(number));
    a.out.contexts = std::max(a.out.contexts, static_cast<size_t>(number) + 1);
  }
  return contexts;
}

Result<void> take_windows(Answering& a, const Tensor& array, const RecordingOptions& options,
                          const std::string& labels_path, const std::string& groups_path) {
  const auto count = static_cast<size_t>(array.shape()[0]);
  const std::vector<double> values = array.to_doubles();
  const size_t each = values.size() / std::max<size_t>(1, count);
  std::vector<int64_t> labels(count, -1), groups(count, 0);
  if (!labels_path.empty()) {
    TRY_ASSIGN(labels, numbers_in(labels_path, count));
  }
  if (!groups_path.empty()) {
    TRY_ASSIGN(groups, numbers_in(groups_path, count));
  }
  std::vector<int32_t> contexts;
  if (!options.contexts.empty()) {
    TRY_ASSIGN(contexts, contexts_in(a, options.contexts, count));
  }
  std::vector<float> window(each);
  for (size_t i = 0; i < count; ++i) {
    if (i == 0 || groups[i] != groups[i - 1]) {
      Stretch& stretch = a.out.stretches.emplace_back();
      stretch.subject = groups[i];
      stretch.start_s = static_cast<double>(i) * a.out.hop_s();
    }
    std::transform(values.begin() + static_cast<std::ptrdiff_t>(i * each),
                   values.begin() + static_cast<std::ptrdiff_t>((i + 1) * each), window.begin(),
                   [](double x) { return static_cast<float>(x); });
    TRY(answer(a, window, a.out.stretches.back()));
    a.out.stretches.back().labels.push_back(labels[i]);
    if (!contexts.empty()) a.out.stretches.back().contexts.push_back(contexts[i]);
  }
  return ok();
}

Result<void> take_signals(Answering& a, const Tensor& array) {
  const auto samples = static_cast<size_t>(array.shape().back());
  const std::vector<double> values = array.to_doubles();
  Signals signals;
  for (size_t at = 0; at < values.size(); at += samples) {
    signals.rows.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(at),
                              values.begin() + static_cast<std::ptrdiff_t>(at + samples));
  }
  if (samples < a.samples()) return ok();  // said by the caller: no whole window
  Stretch stretch;
  TRY(slide(a, signals, stretch));
  stretch.labels.assign(stretch.windows, -1);
  a.out.stretches.push_back(std::move(stretch));
  return ok();
}

Result<void> take_array(Answering& a, const RecordingOptions& options,
                        const std::string& labels_path, const std::string& groups_path) {
  const std::string& path = options.path;
  TRY_ASSIGN(const Tensor array, data::read_npy(path));
  const Shape& shape = array.shape();
  const Shape& window = a.window;
  if (shape.size() == window.size() + 1 &&
      std::equal(window.begin(), window.end(), shape.begin() + 1)) {
    return take_windows(a, array, options, labels_path, groups_path);
  }
  if (shape.size() == window.size() && window.size() > 1 &&
      std::equal(window.begin(), window.end() - 1, shape.begin())) {
    return take_signals(a, array);
  }
  std::string signals = to_string(Shape(window.begin(), window.end() - 1));
  return invalid_input(path, fmt::format("has the shape {}; expected windows in order, N x {}, or "
                                         "the signals of one recording, {} x samples",
                                         to_string(shape), to_string(window), signals));
}

bool is_npy(const std::string& path) {
  const Result<std::string> bytes = read_file(path, data::kNpyLimitBytes);
  return bytes.ok() && data::looks_like_npy(*bytes);
}

}  // namespace

bool Stretch::labelled() const {
  return !labels.empty() && *std::min_element(labels.begin(), labels.end()) >= 0;
}

Result<Recordings> answer_recordings(run::BundleEngine& loaded, const RecordingOptions& options,
                                     const std::string& labels_path,
                                     const std::string& groups_path) {
  const run::Plan& plan = run::plan_of(loaded.engine);
  const Shape input = plan.buffers[plan.inputs[0].buffer.index()].shape;
  Answering a{loaded, 0, std::nullopt, Shape(input.begin() + 1, input.end()), {}};
  TRY_ASSIGN(a.output, run::logits_output(plan));
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].role == run::Role::kFsqDigits) a.digits = i;
  }
  a.out.window_samples = a.window.back();
  a.out.hop_samples = options.hop_samples > 0 ? options.hop_samples
                                              : std::max<int64_t>(1, a.out.window_samples / 2);
  a.out.rate_hz = options.rate_hz;
  if (options.hop_samples < 0 || options.hop_samples > int64_t{1} << 24) {
    return invalid_input("--hop", "has to be 1 to 16777216 samples");
  }
  const std::string& path = options.path;
  TRY(is_npy(path) ? take_array(a, options, labels_path, groups_path) : take_csv(a, options));
  if (!options.contexts.empty() && a.out.contexts == 0) {
    return invalid_input("--contexts", "goes with an .npy of windows, one number per window");
  }
  if (a.out.stretches.empty()) {
    return invalid_input(
        path, fmt::format("has no whole window of {} samples without a gap{}", a.out.window_samples,
                          a.out.notes.empty() ? "" : "; " + a.out.notes[0]));
  }
  return std::move(a.out);
}

}  // namespace graupel::deploy
