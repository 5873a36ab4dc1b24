// A stream against the whole recording: the same evidence, the offline posterior's last window,
// Viterbi's segments; windows without evidence; another hop; another recording.
#include "decide/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "decide/hsmm_test_support.h"
#include "decide/stream.h"

namespace graupel::decide {
namespace {

constexpr size_t kStates = 3;

Hsmm walking_model() {
  Hsmm model;
  model.window_samples = 100;
  model.hop_samples = 50;
  model.rate_hz = 25.0;
  model.maximum_duration = 40;
  model.initial = {0.5, 0.3, 0.2};
  model.transitions = {{0, 0.7, 0.3, 0.5, 0, 0.5, 0.9, 0.1, 0}};
  model.durations = {{DurationFamily::kPoisson, {11.0}},
                     {DurationFamily::kNegativeBinomial, {3.0, 8.0}},
                     {DurationFamily::kTable, {0.1, 0.2, 0.3, 0.4}}};
  model.emission.weight = 0.7;
  model.emission.prior = {0.5, 0.3, 0.2};
  return model;
}

Decider decider_with(const Hsmm& model) {
  Block block;
  block.classes = kStates;
  block.confidence.method = ConfidenceMethod::kTemperature;
  block.confidence.temperature = 1.7;
  block.hsmm = format_hsmm(model).value();
  return make_decider(std::move(block), kStates).value();
}

// Segments of 12 windows; two of three windows show their own class.
std::vector<float> sample_logits(size_t windows) {
  Rng rng(5);
  std::vector<float> logits;
  for (size_t t = 0; t < windows; ++t) {
    const size_t shown = rng.uniform() < 0.66 ? (t / 12) % kStates : rng.below(kStates);
    for (size_t c = 0; c < kStates; ++c) {
      logits.push_back((c == shown ? 3.0f : 0.0f) + static_cast<float>(rng.uniform()));
    }
  }
  return logits;
}

std::span<const float> row(const std::vector<float>& logits, size_t t) {
  return std::span<const float>(logits).subspan(t * kStates, kStates);
}

TEST(Sequence, AStreamSaysWhatTheWholeRecordingSaysOfItsLastWindow) {
  const Decider decider = decider_with(walking_model());
  const std::vector<float> logits = sample_logits(200);
  SequenceOptions options;
  options.lag = 4;
  options.commit = true;
  Stream stream = start_recording(decider, options).value();
  const HsmmTables& tables = *decider.sequence->tables;
  std::vector<double> probabilities, believed, p(kStates);
  std::vector<Segment> committed;
  for (size_t t = 0; t < 200; ++t) {
    calibrated_probabilities(decider.block.confidence, row(logits, t), std::nullopt, p);
    probabilities.insert(probabilities.end(), p.begin(), p.end());
    const SequenceAnswer answer = *decide_next(decider, row(logits, t), {}, stream).sequence;
    EXPECT_EQ(answer.window, t);
    EXPECT_TRUE(answer.evidence);
    believed.insert(believed.end(), answer.probabilities.begin(), answer.probabilities.end());
    committed.insert(committed.end(), answer.committed.begin(), answer.committed.end());
    EXPECT_EQ(answer.lagged.has_value(), t >= 4);
    EXPECT_NEAR(answer.lasted_s, 2.0 * static_cast<double>(answer.lasted_windows), 1e-12);
    if (t % 20 != 19) continue;
    const std::vector<double> evidence =
        log_emissions(decider.sequence->model, probabilities, {}, t + 1).value();
    const Posterior whole = posterior(tables, {evidence, {}, End::kOpen}).value();
    for (size_t s = 0; s < kStates; ++s) {
      EXPECT_NEAR(answer.probabilities[s], whole.probability[t * kStates + s], 1e-10);
    }
    EXPECT_EQ(answer.probability, answer.probabilities[answer.state]);
    EXPECT_NEAR(answer.lagged->probability,
                whole.probability[answer.lagged->window * kStates + answer.lagged->state], 1e-10);
  }
  const std::vector<Segment> rest = finish(*stream.sequence);
  committed.insert(committed.end(), rest.begin(), rest.end());
  const std::vector<double> evidence =
      log_emissions(decider.sequence->model, probabilities, {}, 200).value();
  const Path best = viterbi(tables, {evidence, {}, End::kOpen}).value();
  ASSERT_EQ(committed.size(), best.segments.size());
  for (size_t i = 0; i < committed.size(); ++i) {
    EXPECT_EQ(committed[i].start, best.segments[i].start);
    EXPECT_EQ(committed[i].state, best.segments[i].state);
  }
  const std::vector<Segment> expected = with_confidence(committed, believed, kStates);
  for (size_t i = 0; i < committed.size(); ++i) {
    EXPECT_NEAR(committed[i].confidence, expected[i].confidence, 1e-9) << i;
  }
}

// P(ends now) and the mean that remains, by hand: the table law 0.1, 0.2, 0.3, 0.4.
TEST(Sequence, KnowsHowLongAStateLastsAndMayStillLast) {
  const Decider decider = decider_with(walking_model());
  Stream stream = start_recording(decider, {}).value();
  const std::vector<float> other = {40.0f, 0.0f, 0.0f}, table = {0.0f, 0.0f, 40.0f};
  SequenceAnswer answer;
  for (int t = 0; t < 6; ++t) answer = *decide_next(decider, other, {}, stream).sequence;
  EXPECT_EQ(answer.state, 0u);
  EXPECT_TRUE(answer.at_least);
  EXPECT_EQ(answer.lasted_windows, 6u);
  EXPECT_FALSE(answer.remaining_windows);
  for (int t = 0; t < 2; ++t) answer = *decide_next(decider, table, {}, stream).sequence;
  EXPECT_EQ(answer.state, 2u);
  EXPECT_FALSE(answer.at_least);
  EXPECT_EQ(answer.lasted_windows, 2u);
  EXPECT_EQ(answer.lasted_s, 4.0);
  EXPECT_GT(answer.lasted_probability, 0.99);
  EXPECT_NEAR(answer.end_probability, 0.2 / 0.9, 0.002);
  EXPECT_NEAR(*answer.remaining_windows, (0.9 + 0.7 + 0.4) / 0.9, 1e-6);
}

TEST(Sequence, AWindowThatIsNoNumberIsTimeWithoutEvidence) {
  const Decider decider = decider_with(walking_model());
  const std::vector<float> good = {4.0f, 0.0f, 0.0f}, bad = {NAN, 0.0f, 0.0f};
  Stream stream = start_recording(decider, {}).value();
  Stream other = start_recording(decider, {}).value();
  for (int t = 0; t < 5; ++t) {
    decide_next(decider, good, {}, stream);
    decide_next(decider, good, {}, other);
  }
  const SequenceAnswer with_nan = *decide_next(decider, bad, {}, stream).sequence;
  const SequenceAnswer missed = step_without_window(*other.sequence);
  EXPECT_FALSE(with_nan.evidence);
  EXPECT_EQ(with_nan.lasted_windows, 6u);
  for (size_t s = 0; s < kStates; ++s) {
    EXPECT_EQ(with_nan.probabilities[s], missed.probabilities[s]);
    EXPECT_TRUE(std::isfinite(missed.probabilities[s]));
  }
}

TEST(Sequence, AnotherRecordingBeginsAnew) {
  const Decider decider = decider_with(walking_model());
  const std::vector<float> logits = sample_logits(30);
  SequenceOptions options;
  options.commit = true;
  Stream fresh = start_recording(decider, options).value();
  Stream stream = start_recording(decider, options).value();
  for (size_t t = 0; t < 30; ++t) decide_next(decider, row(logits, t), {}, stream);
  restart_recording(stream);
  for (size_t t = 0; t < 30; ++t) {
    const SequenceAnswer a = *decide_next(decider, row(logits, t), {}, stream).sequence;
    const SequenceAnswer b = *decide_next(decider, row(logits, t), {}, fresh).sequence;
    EXPECT_EQ(a.window, t);
    EXPECT_TRUE(
        std::equal(a.probabilities.begin(), a.probabilities.end(), b.probabilities.begin()));
    EXPECT_EQ(a.committed.size(), b.committed.size());
  }
  EXPECT_EQ(finish(*stream.sequence), finish(*fresh.sequence));
}

TEST(Sequence, AnotherHopIsRescaledAndAnotherRateRefused) {
  const Decider decider = decider_with(walking_model());
  SequenceOptions half;
  half.hop_samples = 25;
  const Stream stream = start_recording(decider, half).value();
  EXPECT_TRUE(stream.sequence->shared->rescaled);
  EXPECT_EQ(stream.sequence->shared->hop_s(), 1.0);
  EXPECT_NEAR(stream.sequence->shared->tables->durations[0].mean, 24.0, 1.0);
  half.rate_hz = 50.0;
  EXPECT_NE(start_recording(decider, half).error().message().find("fitted on windows of 25"),
            std::string::npos);
  half = {};
  half.hop_samples = -25;
  EXPECT_NE(start_recording(decider, half).error().message().find("is -25 samples"),
            std::string::npos);
  half = {};
  half.lag = kMaxLag + 1;
  EXPECT_FALSE(start_recording(decider, half).ok());
}

TEST(Sequence, WhatCannotBeFollowedIsSaid) {
  Block block;
  block.classes = kStates;
  const Decider none = make_decider(block, kStates).value();
  EXPECT_NE(start_recording(none, {}).error().message().find("has no HSMM"), std::string::npos);
  block.hsmm = format_hsmm(walking_model()).value();
  block.classes = 4;
  EXPECT_NE(make_decider(block, 4).error().message().find("3 states"), std::string::npos);
  Hsmm contexts = walking_model();
  contexts.transitions.push_back(contexts.transitions[0]);
  EXPECT_NE(start_recording(decider_with(contexts), {}).error().message().find("2 contexts"),
            std::string::npos);
  Hsmm codes = walking_model();
  codes.emission.use = EmissionUse::kCodes;
  codes.emission.levels = {2};
  codes.emission.digits = {{0.9, 0.1}, {0.1, 0.9}, {0.5, 0.5}};
  const Decider reads_codes = decider_with(codes);
  EXPECT_NE(start_recording(reads_codes, {}).error().message().find("FSQ digits"),
            std::string::npos);
  Stream stream = start_recording(reads_codes, {}, 1).value();
  const std::vector<float> logits = {NAN, 0.0f, 0.0f};
  const std::vector<int64_t> first = {0}, beyond = {2};
  EXPECT_TRUE(decide_next(reads_codes, logits, {}, stream, first).sequence->evidence);
  EXPECT_FALSE(decide_next(reads_codes, logits, {}, stream, beyond).sequence->evidence);
  EXPECT_FALSE(decide_next(reads_codes, logits, {}, stream).sequence->evidence);
}

}  // namespace
}  // namespace graupel::decide
