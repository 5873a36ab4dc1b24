// Timelines from logits: segments found, written in every form, compared with labels; and the
// HSMM into a bundle and out again.
#include "deploy/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/rng.h"

namespace graupel::deploy {
namespace {

// Two people; behaviours of 12 windows each in turn; every fifth window shows another class.
Recordings sample() {
  Recordings recordings;
  recordings.classes = 3;
  recordings.window_samples = 100;
  recordings.hop_samples = 50;
  recordings.rate_hz = 25.0;
  Rng rng(4);
  for (int64_t person = 0; person < 2; ++person) {
    Stretch stretch;
    stretch.subject = person;
    stretch.start_s = 10.0 * static_cast<double>(person);
    for (size_t t = 0; t < 240; ++t) {
      const auto label = static_cast<int64_t>((t / 12) % 3);
      const int64_t shown = t % 5 == 2 ? (label + 1) % 3 : label;
      for (int64_t c = 0; c < 3; ++c) {
        stretch.logits.push_back((c == shown ? 2.0f : 0.0f) + static_cast<float>(rng.uniform()));
      }
      stretch.labels.push_back(label);
    }
    stretch.windows = 240;
    recordings.stretches.push_back(std::move(stretch));
  }
  return recordings;
}

BundleHsmm in_bundle(const bundle::Bundle& bundle) {
  BundleHsmm hsmm;
  hsmm.block = decide::parse_block(bundle.members.at(std::string(decide::kBlockMember))).value();
  hsmm.model = decide::parse_hsmm(hsmm.block.hsmm).value();
  return hsmm;
}

TEST(Decode, ABundleLearnsAndATimelineComesOut) {
  const std::string path = std::filesystem::temp_directory_path() / "graupel_decode_test.graupel";
  const Recordings recordings = sample();
  bundle::Bundle bundle;
  bundle.manifest.model_name = "decode";
  ASSERT_TRUE(bundle::write_bundle(path, bundle).ok());
  const Result<BundleHsmm> none = bundle_hsmm(path);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message().find("has no HSMM"), std::string::npos);
  const Result<calibrate::HsmmFit> fit = add_hsmm(bundle, recordings, FitBy::kLabels);
  ASSERT_TRUE(fit.ok()) << fit.error().message();
  ASSERT_TRUE(bundle::write_bundle(path, bundle).ok());
  const Result<BundleHsmm> hsmm = bundle_hsmm(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(hsmm.ok()) << hsmm.error().message();

  for (const DecodeMode mode : {DecodeMode::kOffline, DecodeMode::kLag, DecodeMode::kFilter}) {
    const Result<Timeline> timeline =
        decode(*hsmm, recordings, {"rest", "a,b", "<run>"}, {mode, 6});
    ASSERT_TRUE(timeline.ok()) << timeline.error().message();
    EXPECT_EQ(timeline->labelled_windows, 480u);
    EXPECT_NEAR(timeline->argmax_accuracy, 0.8, 1e-9);
    EXPECT_GT(timeline->accuracy, mode == DecodeMode::kFilter ? 0.85 : 0.95);
  }
  const Timeline timeline = decode(*hsmm, recordings, {"rest", "a,b", "<run>"}, {}).value();
  EXPECT_EQ(timeline.stretches[0].segments.size(), 20u);
  const Json json = timeline_json(timeline);
  const Json& second = json["recordings"][1]["segments"][1];
  EXPECT_NEAR(second["start"].get<double>(), 10.0 + 24.0, 2.01);
  EXPECT_EQ(second["label"], "a,b");
  EXPECT_TRUE(json["recordings"][0]["segments"][0]["cut_at_start"].get<bool>());
  EXPECT_NE(timeline_csv(timeline).find(",1,\"a,b\","), std::string::npos);
  EXPECT_NE(timeline_svg(timeline).find("&lt;run&gt;"), std::string::npos);
  EXPECT_EQ(timeline_svg(timeline).find("<run>"), std::string::npos);
  EXPECT_NE(timeline_text(timeline).find("at least"), std::string::npos);

  Recordings twice = recordings;  // another hop is said, another rate is refused
  twice.hop_samples = 25;
  EXPECT_FALSE(decode(*hsmm, twice, {}, {}).value().notes.empty());
  twice.rate_hz = 50.0;
  EXPECT_FALSE(decode(*hsmm, twice, {}, {}).ok());
  twice = recordings;
  twice.stretches[1].labels[7] = -1;
  EXPECT_FALSE(add_hsmm(bundle, twice, FitBy::kLabels).ok());
  EXPECT_TRUE(add_hsmm(bundle, twice, FitBy::kEm).ok());
}

// Segments of 1 to about 30 windows in any order; one window in six shows another class.
Recordings varied() {
  Recordings recordings = sample();
  Rng rng(8);
  for (Stretch& stretch : recordings.stretches) {
    stretch.windows = 250;
    stretch.labels.clear();
    stretch.logits.clear();
    int64_t label = 0;
    for (size_t t = 0; t < stretch.windows; ++t) {
      if (rng.below(10) == 0) label = (label + 1 + static_cast<int64_t>(rng.below(2))) % 3;
      const int64_t shown = rng.below(6) == 0 ? static_cast<int64_t>(rng.below(3)) : label;
      for (int64_t c = 0; c < 3; ++c) {
        stretch.logits.push_back((c == shown ? 4.0f : 0.0f) + static_cast<float>(rng.uniform()));
      }
      stretch.labels.push_back(label);
    }
  }
  return recordings;
}

TEST(Decode, CommittedSegmentsAreThoseOfTheWholeRecording) {
  const Recordings recordings = varied();
  bundle::Bundle bundle;
  ASSERT_TRUE(add_hsmm(bundle, recordings, FitBy::kLabels).ok());
  const BundleHsmm hsmm = in_bundle(bundle);
  const Timeline whole = decode(hsmm, recordings, {}, {}).value();
  const Timeline early = decode(hsmm, recordings, {}, {DecodeMode::kCommit, 0}).value();
  size_t final_early = 0;
  for (size_t i = 0; i < 2; ++i) {
    const DecodedStretch &a = early.stretches[i], &b = whole.stretches[i];
    ASSERT_EQ(a.segments.size(), b.segments.size());
    ASSERT_EQ(a.delays.size(), a.segments.size());
    for (size_t k = 0; k < a.segments.size(); ++k) {
      EXPECT_EQ(a.segments[k].start, b.segments[k].start);
      EXPECT_EQ(a.segments[k].state, b.segments[k].state);
      EXPECT_GT(a.segments[k].confidence, 0.3);
      EXPECT_LE(a.segments[k].confidence, 1.0);
      final_early += a.delays[k] >= 0 ? 1 : 0;
    }
  }
  EXPECT_GT(final_early, 15u);
  EXPECT_EQ(early.forced, 0u);
  EXPECT_NE(timeline_text(early).find("final +"), std::string::npos);
  EXPECT_NE(timeline_text(early).find("(median)"), std::string::npos);
  const Json json = timeline_json(early);
  EXPECT_EQ(json["mode"], "commit");
  EXPECT_TRUE(json["recordings"][0]["segments"].back()["final_after_windows"].is_null());
  EXPECT_TRUE(json["recordings"][0]["segments"][0]["final_after_windows"].is_number());
}

// The logits say nothing at all; the digits name the class in three of four windows.
TEST(Decode, FsqCodesAloneOrBesideTheProbabilities) {
  Recordings recordings = sample();
  recordings.digits = 2;
  Rng rng(9);
  for (Stretch& stretch : recordings.stretches) {
    std::fill(stretch.logits.begin(), stretch.logits.end(), 0.0f);
    for (const int64_t label : stretch.labels) {
      stretch.digits.push_back(rng.uniform() < 0.75 ? label : static_cast<int64_t>(rng.below(3)));
      stretch.digits.push_back(static_cast<int64_t>(rng.below(2)));
    }
  }
  bundle::Bundle bundle;
  const auto without_levels =
      add_hsmm(bundle, recordings, FitBy::kLabels, decide::EmissionUse::kCodes);
  EXPECT_NE(without_levels.error().message().find("run graupel calibrate"), std::string::npos);
  decide::Block block;
  block.classes = 3;
  block.fsq = decide::Fsq{};
  block.fsq->levels = {3, 2};
  const std::string member(decide::kBlockMember);
  bundle.members[member] = decide::format_block(block).value();
  for (const auto use : {decide::EmissionUse::kCodes, decide::EmissionUse::kBoth}) {
    const auto fit = add_hsmm(bundle, recordings, FitBy::kLabels, use);
    ASSERT_TRUE(fit.ok()) << fit.error().message();
    EXPECT_GT(fit->model.emission.digits[1][1], 0.7);  // class 1, first digit, level 1
    EXPECT_NEAR(fit->model.emission.digits[1][3], 0.5, 0.1);
    const BundleHsmm hsmm = in_bundle(bundle);
    const Timeline timeline = decode(hsmm, recordings, {}, {}).value();
    EXPECT_GT(timeline.accuracy, 0.95);
    EXPECT_LT(timeline.argmax_accuracy, 0.5);
    Recordings beyond = recordings;
    beyond.stretches[0].digits[10] = 3;
    EXPECT_NE(decode(hsmm, beyond, {}, {}).value().notes[0].find("1 windows"), std::string::npos);
    EXPECT_FALSE(add_hsmm(bundle, beyond, FitBy::kLabels, use).ok());
    EXPECT_NE(decode(hsmm, sample(), {}, {}).error().message().find("2 FSQ digits"),
              std::string::npos);
  }
  EXPECT_FALSE(add_hsmm(bundle, sample(), FitBy::kLabels, decide::EmissionUse::kCodes).ok());
}

// In one context the behaviours follow each other upwards, in the other downwards.
TEST(Decode, TransitionsMayDependOnAContext) {
  Recordings recordings = sample();
  recordings.contexts = 2;
  for (size_t i = 0; i < 2; ++i) {
    Stretch& stretch = recordings.stretches[i];
    stretch.contexts.assign(stretch.windows, static_cast<int32_t>(i));
    if (i == 0) continue;
    std::reverse(stretch.labels.begin(), stretch.labels.end());
    for (size_t t = 0; t < stretch.windows; ++t) {
      for (size_t c = 0; c < 3; ++c) {
        stretch.logits[t * 3 + c] = static_cast<int64_t>(c) == stretch.labels[t] ? 2.0f : 0.0f;
      }
    }
  }
  bundle::Bundle bundle;
  const auto fit = add_hsmm(bundle, recordings, FitBy::kLabels);
  ASSERT_TRUE(fit.ok()) << fit.error().message();
  ASSERT_EQ(fit->model.transitions.size(), 2u);
  EXPECT_GT(fit->model.transitions[0][1], 0.7);  // 0 to 1
  EXPECT_GT(fit->model.transitions[1][2], 0.6);  // 0 to 2
  const BundleHsmm hsmm = in_bundle(bundle);
  EXPECT_GT(decode(hsmm, recordings, {}, {}).value().accuracy, 0.95);
  EXPECT_NE(decode(hsmm, sample(), {}, {}).error().message().find("--contexts"), std::string::npos);
  Recordings third = recordings;
  third.contexts = 3;
  EXPECT_FALSE(decode(hsmm, third, {}, {}).ok());
}

}  // namespace
}  // namespace graupel::deploy
