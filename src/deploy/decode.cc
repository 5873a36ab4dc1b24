// Recordings to timelines, and the HSMM into the bundle. See decode.h. Test: decode_test.cc.
#include "deploy/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "decide/decider.h"
#include "decide/hsmm_filter.h"
#include "decide/hsmm_survivors.h"
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

// What a stream takes of each window, too. `silent` counts the windows that say nothing.
std::vector<double> evidence_of(const decide::Hsmm& model, const Stretch& stretch,
                                const std::vector<double>& probabilities, size_t& silent) {
  const size_t states = model.states(), depth = model.emission.levels.size();
  std::vector<double> evidence(probabilities.size());
  const std::span<const double> rows(probabilities);
  const std::span<const int64_t> digits(stretch.digits);
  for (size_t t = 0; t < stretch.windows; ++t) {
    const bool says =
        decide::window_evidence(model.emission, rows.subspan(t * states, states), true,
                                depth == 0 ? digits.first(0) : digits.subspan(t * depth, depth),
                                std::span<double>(evidence).subspan(t * states, states));
    silent += says ? 0 : 1;
  }
  return evidence;
}

// One stretch as the recursions read it.
struct Seen {
  std::shared_ptr<const decide::HsmmTables> tables;
  std::span<const double> evidence;
  std::span<const int32_t> contexts;

  size_t windows() const { return evidence.size() / tables->states; }
  std::span<const double> row(size_t t) const {
    return evidence.subspan(t * tables->states, tables->states);
  }
  uint32_t context(size_t t) const {
    return contexts.empty() ? 0 : static_cast<uint32_t>(contexts[t]);
  }
  decide::Observations all() const { return {evidence, contexts, decide::End::kOpen}; }
};

// The answers as they come in a stream. The last windows of a lag get what there is to know.
Result<std::vector<double>> streamed(const Seen& seen, size_t lag) {
  const size_t states = seen.tables->states, windows = seen.windows();
  TRY_ASSIGN(decide::HsmmFilter filter, decide::make_filter(seen.tables, lag));
  std::vector<double> out(seen.evidence.size());
  for (size_t t = 0; t < windows; ++t) {
    decide::step(filter, seen.row(t), seen.context(t));
    if (t < lag) continue;
    const std::vector<double>& answer = lag == 0 ? filter.probability : filter.lagged;
    std::copy(answer.begin(), answer.end(),
              out.begin() + static_cast<std::ptrdiff_t>((t - lag) * states));
  }
  if (lag == 0) return out;
  TRY_ASSIGN(const decide::Posterior whole, decide::posterior(*seen.tables, seen.all()));
  const size_t open = windows > lag ? (windows - lag) * states : 0;
  std::copy(whole.probability.begin() + static_cast<std::ptrdiff_t>(open), whole.probability.end(),
            out.begin() + static_cast<std::ptrdiff_t>(open));
  return out;
}

// Segments as a stream gives them, each once nothing to come can change it.
Result<void> commit(const Seen& seen, DecodedStretch& decoded, Timeline& timeline) {
  TRY_ASSIGN(decide::HsmmFilter filter, decide::make_filter(seen.tables));
  TRY_ASSIGN(decide::HsmmSurvivors survivors, decide::make_survivors(seen.tables));
  for (size_t t = 0; t < seen.windows(); ++t) {
    decide::step(filter, seen.row(t), seen.context(t));
    decide::step(survivors, seen.row(t), seen.context(t), filter.probability);
    for (const Segment& segment : survivors.committed) {
      decoded.segments.push_back(segment);
      decoded.delays.push_back(static_cast<int64_t>(t - (segment.start + segment.length - 1)));
    }
  }
  for (const Segment& segment : decide::finish(survivors)) {
    decoded.segments.push_back(segment);
    decoded.delays.push_back(-1);
  }
  timeline.forced += survivors.forced;
  return ok();
}

Result<void> find_segments(const Seen& seen, const DecodeOptions& options, DecodedStretch& decoded,
                           Timeline& timeline) {
  if (options.mode == DecodeMode::kCommit) return commit(seen, decoded, timeline);
  if (options.mode == DecodeMode::kOffline) {
    TRY_ASSIGN(decide::Path path, decide::viterbi(*seen.tables, seen.all()));
    TRY_ASSIGN(const decide::Posterior whole, decide::posterior(*seen.tables, seen.all()));
    decoded.segments =
        decide::with_confidence(std::move(path.segments), whole.probability, seen.tables->states);
    return ok();
  }
  const size_t lag = options.mode == DecodeMode::kLag ? options.lag : 0;
  TRY_ASSIGN(const std::vector<double> answers, streamed(seen, lag));
  decoded.segments = runs_of(answers, seen.tables->states);
  return ok();
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

Result<void> check_fits(const decide::Hsmm& model, const Recordings& recordings) {
  const size_t depth = model.emission.levels.size(), contexts = model.transitions.size();
  if (depth != 0 && depth != recordings.digits) {
    return invalid_input("HSMM", fmt::format("reads {} FSQ digits, the network gives {}; fit it "
                                             "again on this bundle",
                                             depth, recordings.digits));
  }
  if (contexts > 1 && recordings.contexts == 0) {
    return invalid_input("--contexts", fmt::format("is needed: the HSMM's transitions depend on "
                                                   "one of {} contexts per window",
                                                   contexts));
  }
  if (recordings.contexts > contexts) {
    return invalid_input("--contexts", fmt::format("goes up to {}, the HSMM knows {} contexts",
                                                   recordings.contexts - 1, contexts));
  }
  return ok();
}

// FSQ levels for a model that reads codes; none for one that does not.
Result<std::vector<int64_t>> levels_read(decide::EmissionUse use, const decide::Block& block,
                                         size_t digits) {
  if (use == decide::EmissionUse::kPosteriors) return std::vector<int64_t>();
  if (digits == 0) {
    return invalid_input("--emission", "asks for FSQ codes, and this network gives none");
  }
  if (!block.fsq || block.fsq->levels.size() != digits) {
    return invalid_input(std::string(decide::kBlockMember),
                         "does not say how many levels the FSQ digits have: run graupel calibrate "
                         "on this bundle first");
  }
  return block.fsq->levels;
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
    return invalid_input(
        path,
        "has no HSMM, so there is no knowledge of how long behaviours last; "
        "fit one: graupel calibrate --hsmm, or graupel hsmm BUNDLE RECORDING --hop N");
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
  TRY_ASSIGN(const auto sequence,
             decide::make_sequence_model(hsmm.model, recordings.hop_samples, recordings.rate_hz));
  if (const auto text = decide::rescaling_note(hsmm.model, recordings.hop_samples)) {
    timeline.notes.push_back(*text);
  }
  const size_t states = sequence->tables->states;
  if (states != recordings.classes) {
    return invalid_input("HSMM", fmt::format("has {} states, the network {} classes; fit it again",
                                             states, recordings.classes));
  }
  for (size_t s = 0; s < states; ++s) {
    timeline.labels.push_back(s < labels.size() ? labels[s] : fmt::format("class {}", s));
  }
  TRY(check_fits(sequence->model, recordings));
  size_t silent = 0;
  for (const Stretch& stretch : recordings.stretches) {
    const std::vector<double> probabilities =
        probabilities_of(hsmm.block.confidence, stretch, states);
    const std::vector<double> evidence =
        evidence_of(sequence->model, stretch, probabilities, silent);
    DecodedStretch decoded{{}, stretch.subject, stretch.start_s, stretch.windows, {}, {}};
    const Seen seen{sequence->tables, evidence, stretch.contexts};
    TRY(find_segments(seen, options, decoded, timeline));
    compare(stretch, probabilities, decoded.segments, states, timeline);
    timeline.stretches.push_back(std::move(decoded));
  }
  if (silent > 0) {
    timeline.notes.push_back(fmt::format(
        "{} windows have FSQ digits outside the model's levels: they say nothing", silent));
  }
  const double labelled = std::max(1.0, static_cast<double>(timeline.labelled_windows));
  timeline.accuracy /= labelled;
  timeline.argmax_accuracy /= labelled;
  return timeline;
}

Result<calibrate::HsmmFit> add_hsmm(bundle::Bundle& bundle, const Recordings& recordings, FitBy by,
                                    decide::EmissionUse use) {
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
  options.contexts = std::max<size_t>(1, recordings.contexts);
  options.use = use;
  TRY_ASSIGN(options.levels, levels_read(use, block, recordings.digits));
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
    if (!options.levels.empty()) one.digits = stretch.digits;
    one.contexts = stretch.contexts;
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
