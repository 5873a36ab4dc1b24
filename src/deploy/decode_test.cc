// Timelines from logits: segments found, written in every form, compared with labels; and the
// HSMM into a bundle and out again.
#include "deploy/decode.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace graupel::deploy
