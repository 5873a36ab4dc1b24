// Expected numbers in tests/data/npy/statistics.npz are numpy's.
#include "data/statistics.h"

#include <gtest/gtest.h>

#include <limits>

#include "data/npy.h"

namespace graupel::data {
namespace {

TEST(Statistics, AgreeWithNumpy) {
  const std::vector<NamedTensor> arrays =
      read_npz(GRAUPEL_SOURCE_DIR "/tests/data/npy/statistics.npz").value();
  ASSERT_EQ(arrays.size(), 4u);
  const Tensor& windows = arrays[0].tensor;
  const std::vector<ChannelStatistics> channels = channel_statistics(windows).value();
  ASSERT_EQ(channels.size(), 3u);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(channels[c].mean, arrays[1].tensor.data<double>()[c], 1e-11);
    EXPECT_NEAR(channels[c].std, arrays[2].tensor.data<double>()[c], 1e-12);
    EXPECT_EQ(channels[c].finite_count, 40);
    EXPECT_EQ(channels[c].is_constant, c == 2);
  }
  const Tensor scaled = z_score(windows, normalization_of(channels)).value();
  for (size_t i = 0; i < scaled.size(); ++i) {
    EXPECT_NEAR(scaled.data<float>()[i], arrays[3].tensor.data<float>()[i], 1e-6) << i;
  }
}

TEST(Statistics, CountWhatIsNotFiniteAndLeaveItOut) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Tensor windows = Tensor::of<float>({2, 2, 2}, {1, kNan, 5, 5, 3, kInfinity, -kInfinity, 5});
  const std::vector<ChannelStatistics> channels = channel_statistics(windows).value();
  EXPECT_EQ(channels[0].mean, 2.0);
  EXPECT_EQ(channels[0].std, 1.0);
  EXPECT_EQ(channels[0].minimum, 1.0);
  EXPECT_EQ(channels[0].maximum, 3.0);
  EXPECT_EQ(channels[0].nan_count, 1);
  EXPECT_EQ(channels[0].infinite_count, 1);
  EXPECT_FALSE(channels[0].is_constant);
  EXPECT_EQ(channels[1].infinite_count, 1);
  EXPECT_TRUE(channels[1].is_constant);
}

TEST(Statistics, AChannelWithoutFiniteValuesIsZeroNotNan) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const ChannelStatistics channel =
      channel_statistics(Tensor::of<float>({1, 1, 2}, {nan, nan})).value()[0];
  EXPECT_EQ(channel.mean, 0.0);
  EXPECT_EQ(channel.std, 0.0);
  EXPECT_EQ(channel.finite_count, 0);
  EXPECT_FALSE(channel.is_constant);
}

TEST(Statistics, RefuseWhatHasNoChannels) {
  EXPECT_FALSE(channel_statistics(Tensor::of<float>({3}, {1, 2, 3})).ok());
  EXPECT_FALSE(channel_statistics(Tensor(DType::kFloat64, {1, 1})).ok());
  EXPECT_FALSE(channel_statistics(Tensor(DType::kFloat32, {0, 2, 3})).ok());
}

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
  const Result<Tensor> other = z_score(Tensor(DType::kFloat32, {1, 3, 2}), {{0.0}, {1.0}, 1e-8});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().message(), "normalization: is for 1 channels, the windows have 3");
}

}  // namespace
}  // namespace graupel::data
