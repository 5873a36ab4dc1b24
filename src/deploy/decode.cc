// Recordings to timelines, and the HSMM into the bundle. See decode.h. Test: decode_test.cc.
#include "deploy/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "decide/decider.h"
#include "decide/hsmm_filter.h"
#include "decide/sequence.h"

namespace graupel::deploy {
namespace {

using decide::Segment;

std::vector<double> probabilities_of(const decide::Confidence& confidence, const Stretch& stretch,
                                     size_t classes) {
  std::vector<double> out(stretch.windows * classes);
  for (size_t t = 0; t < stretch.windows; ++t) {
    decide::calibrated_probabilities(
        confidence, std::span<const float>(stretch.logits).subspan(t * classes, classes),
        std::nullopt, std::span<double>(out).subspan(t * classes, classes));
  }
  return out;
}

size_t largest_of(const double* row, size_t states) {
  return static_cast<size_t>(std::max_element(row, row + states) - row);
}

// Windows with the same most probable state, as segments.
std::vector<Segment> runs_of(const std::vector<double>& probability, size_t states) {
  std::vector<Segment> segments;
  const size_t windows = probability.size() / states;
  for (size_t t = 0; t < windows; ++t) {
    const size_t state = largest_of(probability.data() + t * states, states);
    if (segments.empty() || segments.back().state != state) {
      segments.push_back({t, 0, state, 0.0, t == 0, false});
    }
    ++segments.back().length;
  }
  segments.back().cut_at_end = true;
  return decide::with_confidence(std::move(segments), probability, states);
}

// What a stream takes of each window, too.
std::vector<double> evidence_of(const decide::Emission& emission,
                                const std::vector<double>& probabilities, size_t states) {
  std::vector<double> evidence(probabilities.size());
  const std::span<const double> rows(probabilities);
  for (size_t at = 0; at < rows.size(); at += states) {
    decide::window_evidence(emission, rows.subspan(at, states), true, {},
                            std::span<double>(evidence).subspan(at, states));
  }
  return evidence;
}

// The answers as they come in a stream. The last windows of a lag get what there is to know.
Result<std::vector<double>> streamed(std::shared_ptr<const decide::HsmmTables> tables,
                                     const std::vector<double>& emissions, size_t lag) {
  const size_t states = tables->states, windows = emissions.size() / states;
  const std::span<const double> rows(emissions);
  TRY_ASSIGN(decide::HsmmFilter filter, decide::make_filter(tables, lag));
  std::vector<double> out(emissions.size());
  for (size_t t = 0; t < windows; ++t) {
    decide::step(filter, rows.subspan(t * states, states));
    if (t < lag) continue;
    const std::vector<double>& answer = lag == 0 ? filter.probability : filter.lagged;
    std::copy(answer.begin(), answer.end(),
              out.begin() + static_cast<std::ptrdiff_t>((t - lag) * states));
  }
  if (lag == 0) return out;
  TRY_ASSIGN(const decide::Posterior whole,
             decide::posterior(*tables, {rows, {}, decide::End::kOpen}));
  const size_t open = windows > lag ? (windows - lag) * states : 0;
  std::copy(whole.probability.begin() + static_cast<std::ptrdiff_t>(open), whole.probability.end(),
            out.begin() + static_cast<std::ptrdiff_t>(open));
  return out;
}

Result<std::vector<Segment>> segments_of(std::shared_ptr<const decide::HsmmTables> tables,
                                         const std::vector<double>& emissions,
                                         const DecodeOptions& options) {
  const decide::Observations seen{emissions, {}, decide::End::kOpen};
  if (options.mode == DecodeMode::kOffline) {
    TRY_ASSIGN(decide::Path path, decide::viterbi(*tables, seen));
    TRY_ASSIGN(const decide::Posterior whole, decide::posterior(*tables, seen));
    return decide::with_confidence(std::move(path.segments), whole.probability, tables->states);
  }
  const size_t lag = options.mode == DecodeMode::kLag ? options.lag : 0;
  TRY_ASSIGN(const std::vector<double> answers, streamed(tables, emissions, lag));
  return runs_of(answers, tables->states);
}

void compare(const Stretch& stretch, const std::vector<double>& probabilities,
             const std::vector<Segment>& segments, size_t states, Timeline& timeline) {
  for (const Segment& segment : segments) {
    for (size_t t = segment.start; t < segment.start + segment.length; ++t) {
      if (stretch.labels.empty() || stretch.labels[t] < 0) continue;
      const auto label = static_cast<size_t>(stretch.labels[t]);
      ++timeline.labelled_windows;
      timeline.accuracy += segment.state == label ? 1.0 : 0.0;
      timeline.argmax_accuracy +=
          largest_of(probabilities.data() + t * states, states) == label ? 1.0 : 0.0;
    }
  }
}

// The model for the recordings' hop, and what has to be said about it.
Result<std::shared_ptr<const decide::SequenceModel>> model_for(const decide::Hsmm& model,
                                                               const Recordings& recordings,
                                                               std::vector<std::string>& notes) {
  TRY_ASSIGN(auto made,
             decide::make_sequence_model(model, recordings.hop_samples, recordings.rate_hz));
  if (made->rescaled) {
    notes.push_back(
        fmt::format("the HSMM was fitted at a hop of {} samples; its durations and the "
                    "weight of a window are rescaled to {}",
                    model.hop_samples, recordings.hop_samples));
  }
  return made;
}

}  // namespace

Result<BundleHsmm> bundle_hsmm(const std::string& path) {
  constexpr std::string_view kMembers[] = {decide::kBlockMember};
  TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_members(path, kMembers));
  const auto found = bundle.members.find(std::string(decide::kBlockMember));
  BundleHsmm hsmm;
  if (found != bundle.members.end()) {
    TRY_ASSIGN(hsmm.block, decide::parse_block(found->second));
  }
  if (hsmm.block.hsmm.empty()) {
    return invalid_input(path,
                         "has no HSMM, so there is no knowledge of how long behaviours last; "
                         "fit one: graupel hsmm BUNDLE RECORDING --hop N");
  }
  TRY_ASSIGN(hsmm.model, decide::parse_hsmm(hsmm.block.hsmm));
  return hsmm;
}

Result<Timeline> decode(const BundleHsmm& hsmm, const Recordings& recordings,
                        const std::vector<std::string>& labels, const DecodeOptions& options) {
  Timeline timeline;
  timeline.mode = options.mode;
  timeline.lag = options.mode == DecodeMode::kLag ? options.lag : 0;
  timeline.seconds = recordings.rate_hz > 0.0;
  timeline.hop_s = recordings.hop_s();
  timeline.window_s =
      timeline.seconds ? static_cast<double>(recordings.window_samples) / recordings.rate_hz : 1.0;
  timeline.notes = recordings.notes;
  TRY_ASSIGN(const auto sequence, model_for(hsmm.model, recordings, timeline.notes));
  const size_t states = sequence->tables->states;
  if (states != recordings.classes) {
    return invalid_input("HSMM", fmt::format("has {} states, the network {} classes; fit it again",
                                             states, recordings.classes));
  }
  for (size_t s = 0; s < states; ++s) {
    timeline.labels.push_back(s < labels.size() ? labels[s] : fmt::format("class {}", s));
  }
  if (sequence->model.emission.use != decide::EmissionUse::kPosteriors) {
    return unsupported("HSMM",
                       "reads FSQ codes, which decode does not give it; fit one on "
                       "posteriors");
  }
  for (const Stretch& stretch : recordings.stretches) {
    const std::vector<double> probabilities =
        probabilities_of(hsmm.block.confidence, stretch, states);
    const std::vector<double> emissions =
        evidence_of(sequence->model.emission, probabilities, states);
    DecodedStretch decoded{stretch.subject, stretch.start_s, stretch.windows, {}};
    TRY_ASSIGN(decoded.segments, segments_of(sequence->tables, emissions, options));
    compare(stretch, probabilities, decoded.segments, states, timeline);
    timeline.stretches.push_back(std::move(decoded));
  }
  const double labelled = std::max(1.0, static_cast<double>(timeline.labelled_windows));
  timeline.accuracy /= labelled;
  timeline.argmax_accuracy /= labelled;
  return timeline;
}

Result<calibrate::HsmmFit> add_hsmm(bundle::Bundle& bundle, const Recordings& recordings,
                                    FitBy by) {
  const std::string name(decide::kBlockMember);
  decide::Block block;
  block.classes = static_cast<int64_t>(recordings.classes);
  if (const auto found = bundle.members.find(name); found != bundle.members.end()) {
    TRY_ASSIGN(block, decide::parse_block(found->second));
  }
  if (block.classes != static_cast<int64_t>(recordings.classes)) {
    return invalid_input(name, fmt::format("was made for {} classes, the network has {}; calibrate "
                                           "again",
                                           block.classes, recordings.classes));
  }
  calibrate::HsmmOptions options;
  options.classes = recordings.classes;
  options.window_samples = recordings.window_samples;
  options.hop_samples = recordings.hop_samples;
  options.rate_hz = recordings.rate_hz;
  std::vector<calibrate::Recording> all;
  for (const Stretch& stretch : recordings.stretches) {
    if (by == FitBy::kLabels && !stretch.labelled()) {
      return invalid_input("labels", fmt::format("are missing in the stretch at {:g} s, or name "
                                                 "classes the bundle does not have; give them, map "
                                                 "them (--config), or fit with --unlabelled",
                                                 stretch.start_s));
    }
    calibrate::Recording& one = all.emplace_back();
    one.group = stretch.subject;
    one.probabilities = probabilities_of(block.confidence, stretch, recordings.classes);
    if (by == FitBy::kLabels) one.labels = stretch.labels;
  }
  TRY_ASSIGN(calibrate::HsmmFit fit, by == FitBy::kLabels
                                         ? calibrate::fit_hsmm(all, options)
                                         : calibrate::fit_hsmm_unlabelled(all, options));
  if (block.confidence.method == decide::ConfidenceMethod::kNone) {
    fit.model.notes.push_back("the probabilities behind it are the plain softmax: not calibrated");
  }
  TRY_ASSIGN(block.hsmm, decide::format_hsmm(fit.model));
  TRY_ASSIGN(bundle.members[name], decide::format_block(block));
  return fit;
}

}  // namespace graupel::deploy
