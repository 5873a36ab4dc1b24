// The chain against a literal loop and values worked out by hand.
#include "data/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"

namespace graupel::data {
namespace {

TEST(Normalization, ComesBackFromItsText) {
  const Normalization normalization = {{0.1, -9.80665}, {1.0 / 3.0, 0.0}, 1e-8};
  const std::string text = format_normalization(normalization);
  EXPECT_EQ(parse_normalization(text).value(), normalization);
  EXPECT_EQ(parse_normalization("{\"mean\":[0],\"std\":[2]}").value(),
            (Normalization{{0.0}, {2.0}, 1e-8}));
}

TEST(Normalization, RefusesWhatCannotScale) {
  for (const char* const text :
       {"", "[]", "{", "{\"mean\":[1]}", "{\"mean\":[1],\"std\":[1,2]}",
        "{\"mean\":[\"1\"],\"std\":[1]}", "{\"mean\":1,\"std\":1}", "{\"mean\":[],\"std\":[]}",
        "{\"mean\":[1],\"std\":[-1]}", "{\"mean\":[1e999],\"std\":[1]}",
        "{\"mean\":[1],\"std\":[0],\"epsilon\":0}", "{\"mean\":[1],\"std\":[1],\"epsilon\":-1}",
        "{\"mean\":[1],\"std\":[1],\"epsilon\":\"x\"}"}) {
    EXPECT_FALSE(parse_normalization(text).ok()) << text;
  }
  const Result<Tensor> other = preprocess(Tensor(DType::kFloat32, {1, 3, 2}), {{0.0}, {1.0}, 1e-8});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().message(), "normalization: is for 1 channels, the windows have 3");
}

TEST(Preprocess, IsWhatItsDefinitionSays) {
  // A literal loop over (n, c, h, w), written apart from the code under test.
  Rng rng(4);
  Tensor windows(DType::kFloat32, {3, 4, 2, 5});
  for (float& x : windows.mutable_data<float>()) x = static_cast<float>(9.81 + 3.0 * rng.normal());
  const Normalization chain = {{9.5, 0, 0.5, 0}, {2.0, 3.0, 1.0, 1.0}, 1e-8, {1, 3}, 0.75};
  const Tensor result = preprocess(windows, chain).value();
  const float* const x = windows.data<float>().data();
  int clipped = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    const size_t c = i / 10 % 4;
    float v = x[i];
    if (c == 1 || c == 3) {
      double sum = 0.0;
      for (size_t w = 0; w < 5; ++w) sum += static_cast<double>(x[i / 5 * 5 + w]);
      v = static_cast<float>(static_cast<double>(v) - sum / 5.0);
    }
    v = static_cast<float>((static_cast<double>(v) - chain.mean[c]) / (chain.std[c] + 1e-8));
    clipped += std::abs(v) > 0.75f ? 1 : 0;
    EXPECT_EQ(result.data<float>()[i], std::fmin(std::fmax(v, -0.75f), 0.75f)) << i;
  }
  EXPECT_GT(clipped, 10);
}

TEST(Preprocess, RemovesTheMeanOfEachSensorAndWindow) {
  const Tensor windows = Tensor::of<float>({2, 2, 2, 2}, {1, 3, 10, 30, 5, 6, 7, 8,  //
                                                          2, 4, 20, 40, 5, 6, 7, 8});
  const Tensor centred = remove_window_mean(windows, {0}).value();
  EXPECT_TRUE(centred == Tensor::of<float>({2, 2, 2, 2}, {-1, 1, -10, 10, 5, 6, 7, 8,  //
                                                          -1, 1, -10, 10, 5, 6, 7, 8}));
  EXPECT_FALSE(remove_window_mean(windows, {2}).ok());
  EXPECT_FALSE(remove_window_mean(windows, {1, 0}).ok());
  EXPECT_FALSE(remove_window_mean(windows.reshaped({4, 4}), {0}).ok());
}

TEST(Preprocess, KeepsWhatIsNotANumber) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Tensor windows = Tensor::of<float>({1, 1, 1, 2}, {kNan, 9.0f});
  const Tensor result = preprocess(windows, {{0.0}, {1.0}, 0.0, {}, 1.0}).value();
  EXPECT_TRUE(std::isnan(result.data<float>()[0]));
  EXPECT_EQ(result.data<float>()[1], 1.0f);
}

TEST(Preprocess, ChainComesBackFromItsText) {
  const Normalization chain = {{0, 0}, {0.1, 2}, 1e-8, {1}, 10.5};
  const std::string text = format_normalization(chain);
  EXPECT_EQ(text,
            "{\"format_version\":2,\"steps\":["
            "{\"step\":\"remove_window_mean\",\"channels\":[1]},"
            "{\"step\":\"scale\",\"mean\":[0.0,0.0],\"std\":[0.1,2.0],\"epsilon\":1e-08},"
            "{\"step\":\"clip\",\"limit\":10.5}]}\n");
  EXPECT_EQ(parse_normalization(text).value(), chain);
  // A z-score alone keeps the older form, which older readers know.
  EXPECT_EQ(format_normalization({{1}, {2}, 1e-8}),
            "{\"mean\":[1.0],\"std\":[2.0],\"epsilon\":1e-08}\n");
}

TEST(Preprocess, RefusesChainsItDoesNotKnow) {
  const auto message = [](const std::string& steps) {
    const Result<Normalization> parsed =
        parse_normalization("{\"format_version\":2,\"steps\":[" + steps + "]}");
    return parsed.ok() ? "" : parsed.error().message();
  };
  const std::string scale = R"({"step":"scale","mean":[0],"std":[1]})";
  const std::string clip = R"({"step":"clip","limit":1})";
  EXPECT_EQ(message(scale + "," + clip), "");
  EXPECT_NE(message(clip + "," + scale).find("out of place"), std::string::npos);
  EXPECT_NE(message(scale + "," + scale).find("out of place"), std::string::npos);
  EXPECT_NE(message(R"({"step":"detrend"})").find("not remove_window_mean"), std::string::npos);
  EXPECT_NE(message(clip), "");
  EXPECT_NE(message(scale + R"(,{"step":"clip","limit":0})"), "");
  EXPECT_NE(message(scale + R"(,{"step":"clip","limit":1e300})"), "");
  EXPECT_NE(message(R"({"step":"remove_window_mean","channels":[1]},)" + scale), "");
  EXPECT_NE(message(R"({"step":"remove_window_mean","channels":[0.5]},)" + scale), "");
  EXPECT_NE(message("1"), "");
  EXPECT_EQ(parse_normalization(R"({"format_version":3,"steps":[]})").error().code,
            ErrorCode::kUnsupported);
  EXPECT_FALSE(parse_normalization(R"({"format_version":1,"mean":[0],"std":[1]})").ok());
  EXPECT_FALSE(parse_normalization(R"({"format_version":2})").ok());
}

}  // namespace
}  // namespace graupel::data
