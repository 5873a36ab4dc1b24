// Expected numbers in tests/data/npy/statistics.npz are numpy's.
#include "data/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
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
  const Tensor scaled = preprocess(windows, normalization_of(channels)).value();
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

TEST(Statistics, OneScalePerGroupIsTheRootMeanSquare) {
  // Channels {3, -3}, {4, 4} and {1, 1}: the first two share sqrt((9 + 9 + 16 + 16) / 4).
  const Tensor windows = Tensor::of<float>({1, 3, 2}, {3, -3, 4, 4, 1, 1});
  const std::vector<ChannelStatistics> channels = channel_statistics(windows).value();
  const Normalization scales = grouped_normalization_of(channels, {0, 0, 1}).value();
  EXPECT_EQ(scales.mean, (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(scales.std, (std::vector<double>{std::sqrt(12.5), std::sqrt(12.5), 1.0}));
  EXPECT_FALSE(grouped_normalization_of(channels, {0, 0}).ok());
}

}  // namespace
}  // namespace graupel::data
