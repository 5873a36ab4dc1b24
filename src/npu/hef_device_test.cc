// Written HEFs and, if it is there, the production file of the network graupel started from.
#include "npu/hef_device.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "hef/hef_writer.h"

namespace graupel::npu {
namespace {

hef::WrittenStream output() {
  hef::WrittenStream stream;
  stream.name = "net/normalization1";
  stream.output = true;
  stream.height = stream.width = 1;
  stream.features = 5;
  stream.format = 2;  // NC
  stream.zero_point = 128.0f;
  stream.scale = 0.5f;
  return stream;
}

TEST(HefDevice, HasTheStreamsOfTheFileAndTheirQuantisation) {
  const Result<HefDevice> device = hef_device(hef::sample_hef(2, {}, output()));
  ASSERT_TRUE(device.ok()) << device.error().message();
  ASSERT_EQ(device->inputs.size(), 1u);
  EXPECT_EQ(device->options.inputs[0].name, "net/input_layer1");
  EXPECT_EQ(device->options.inputs[0].size_bytes, 1800u);
  EXPECT_EQ(device->inputs[0].channels, 9);
  EXPECT_EQ(device->inputs[0].scale, 0.02f);
  EXPECT_EQ(device->inputs[0].low, -2.5f);
  EXPECT_EQ(device->options.outputs[0].size_bytes, 5u);
  const std::vector<float> window(1800, 1.0f);
  const Result<Frames> frames = frames_for(device->inputs, {window});
  ASSERT_TRUE(frames.ok());
  EXPECT_EQ(frames->at(0), std::vector<std::byte>(1800, std::byte{50}));
  const Frames answer = {std::vector<std::byte>(5, std::byte{130})};
  EXPECT_EQ(values_of(device->outputs, answer)->at(0), std::vector<float>(5, 1.0f));
  EXPECT_FALSE(frames_for(device->inputs, {}).ok());
  EXPECT_FALSE(values_of(device->outputs, {}).ok());
}

TEST(HefDevice, WhatGraupelCannotRunIsRefusedBeforeTheLibrarySeesIt) {
  EXPECT_FALSE(hef_device("DUMMY_HEF_CONTENT").ok());
  const std::string good = hef::sample_hef(1, {}, output());
  EXPECT_FALSE(hef_device(good.substr(0, good.size() - 1)).ok());
  hef::WrittenFile other;
  other.arch = 103;
  other.groups = {
      hef::group_message("net", {{hef::edge_message({}), hef::edge_message(output())}})};
  const std::string wrong = hef::wrap_hef(1, hef::hef_protobuf(other), "cccccccc");
  EXPECT_EQ(hef_device(wrong).error().code, ErrorCode::kUnsupported);
}

TEST(HefDevice, TheProductionFile) {
  const Result<std::string> bytes = read_file(
      std::string(GRAUPEL_SOURCE_DIR) + "/../shared/data/hef/fsq_m13_behavioral_analysis.hef");
  if (!bytes.ok()) GTEST_SKIP() << "the real file is not on this machine";
  const Result<HefDevice> device = hef_device(*bytes);
  ASSERT_TRUE(device.ok()) << device.error().message();
  EXPECT_EQ(device->options.inputs[0].size_bytes, 1800u);
  EXPECT_EQ(device->options.outputs[0].size_bytes, 5u);
  EXPECT_EQ(device->outputs[0].zero_point, 128.0f);
  std::vector<float> window(1800, 0.5f);
  for (size_t i = 0; i < 900; ++i) window[i] = -0.5f;
  EXPECT_EQ(clipped_values(window, device->inputs[0]), 900u);
}

}  // namespace
}  // namespace graupel::npu
