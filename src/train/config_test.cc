// The TOML form: what is read back, what is refused and with which words; the named networks.
#include "train/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "train/export.h"

namespace graupel::train {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& text) {
  const Result<Config> config = parse_config(text, "t.toml");
  return config.ok() ? "accepted" : config.error().message();
}

int64_t trained_numbers(const Network& network) {
  int64_t sum = 0;
  const auto shapes = weight_shapes(network, {9, 2, 100}, 10);
  EXPECT_TRUE(shapes.ok());
  for (const auto& [name, shape] : *shapes) {
    if (name.find("running_") == std::string::npos) sum += *element_count(shape);
  }
  return sum;
}

TEST(Config, IsReadBackAsWritten) {
  Config config = default_config();
  config.network.layers[1].separable = true;
  config.network.layers[2].pool = {1, 2};
  config.network.pooling = Pooling::kMax;
  config.network.fsq_levels = {7, 5, 5};
  config.network.fsq_variant = "symmetric";
  config.network.hidden = 0;
  config.optimization = {3,     17,   0.1, 1e-4, Schedule::kCosine, 0.25,
                         0.125, true, 5,   0.99, 1234567890123};
  config.augmentation = {1.5, 0.25, 1e-3, 0.2, 0.3, 0.4};
  config.distillation = {0.75, 3};
  const Result<Config> again = parse_config(format_config(config), "again");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(*again, config);
  EXPECT_EQ(format_config(*again), format_config(config));
}

TEST(Config, AnEmptyFileIsTheDefault) {
  const Result<Config> config = parse_config("", "empty");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(*config, default_config());
}

TEST(Config, AKeyChangesOnlyItsField) {
  const Result<Config> config =
      parse_config("[optimization]\nepochs = 3\n[network]\nname = \"plain\"\n", "t");
  ASSERT_TRUE(config.ok()) << config.error().message();
  Config expected = default_config();
  expected.optimization.epochs = 3;
  expected.network = named_network("plain").value();
  EXPECT_EQ(*config, expected);
}

TEST(Config, TheNameOfANetworkKeepsTheQuantizerWhateverTheOrder) {
  for (const char* text : {"[fsq]\nlevels = [4, 4]\n[network]\nname = \"wide\"\n",
                           "[network]\nname = \"wide\"\n[fsq]\nlevels = [4, 4]\n"}) {
    const Result<Config> config = parse_config(text, "t");
    ASSERT_TRUE(config.ok());
    EXPECT_EQ(config->network.fsq_levels, (std::vector<int64_t>{4, 4}));
    EXPECT_EQ(config->network.layers, named_network("wide")->layers);
  }
}

TEST(Config, RefusalsNameFileLineKeyAndWhatIsExpected) {
  EXPECT_THAT(refusal("[optimization]\nepoch = 3\n"),
              HasSubstr("t.toml:2: unknown key 'optimization.epoch'; expected epochs, batch"));
  EXPECT_THAT(refusal("[training]\n"), HasSubstr("unknown table 'training'"));
  EXPECT_THAT(refusal("[optimization]\n\nepochs = \"3\"\n"),
              HasSubstr("t.toml:3: 'optimization.epochs' is not a whole number"));
  EXPECT_THAT(refusal("[optimization]\nepochs = 0\n"), HasSubstr("epochs is 0; expected 1 to"));
  EXPECT_THAT(refusal("[optimization]\nlearning_rate = nan\n"), HasSubstr("is not a number"));
  EXPECT_THAT(refusal("[optimization]\nschedule = \"step\"\n"),
              HasSubstr("is not one of constant, cosine, one-cycle"));
  EXPECT_THAT(refusal("[optimization]\nseed = -1\n"), HasSubstr("a whole number of 0 or more"));
  EXPECT_THAT(refusal("[network]\nname = \"resnet\"\n"),
              HasSubstr("t.toml:2: there is no network 'resnet'; expected one of cross, plain"));
  EXPECT_THAT(refusal("[[network.layer]]\nchannels = 0\n"), HasSubstr("channels of a layer is 0"));
  EXPECT_THAT(refusal("[[network.layer]]\nchannels = 4\nkernel = [1, 4]\n"),
              HasSubstr("kernel 4 along samples is even"));
  EXPECT_THAT(refusal("[[network.layer]]\nchannels = 4\nkernel = 7\n"),
              HasSubstr("'network.layer.kernel' is not a list"));
  EXPECT_THAT(refusal("[fsq]\nlevels = [8, 1]\n"), HasSubstr("FSQ levels is 1; expected 2 to 128"));
  EXPECT_THAT(refusal("[fsq]\nvariant = \"other\"\n"), HasSubstr("no FSQ variant 'other'"));
  EXPECT_THAT(refusal("[augmentation]\nrotation_deg = 200\n"), HasSubstr("rotation_deg is 200"));
  EXPECT_THAT(refusal("network = 3\n"), HasSubstr("'network' is not a table"));
  EXPECT_THAT(refusal("[optimization\n"), HasSubstr("t.toml:1: "));
}

TEST(Config, TheNamedNetworksHaveTheSizesTheDocumentsState) {
  EXPECT_EQ(trained_numbers(named_network("cross").value()), 48895);
  EXPECT_EQ(trained_numbers(named_network("plain").value()), 55343);
  EXPECT_LT(trained_numbers(named_network("separable").value()), 46000);
  EXPECT_GT(trained_numbers(named_network("wide").value()), 150000);
}

}  // namespace
}  // namespace graupel::train
