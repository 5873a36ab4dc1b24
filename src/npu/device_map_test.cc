// device.json: round trip, refusals, and which streams are joined to which tensors.
#include "npu/device_map.h"

#include <gmock/gmock.h>

#include "hef/hef_writer.h"

namespace graupel::npu {
namespace {

using testing::HasSubstr;

DeviceMap sample() {
  return {"", {{"imu", {1, 9, 2, 100}, "", ""}}, {{"codes", {1, 5}, "/fsq/Sub", ""}}};
}

hef::WrittenStream output(const std::string& name, uint64_t features,
                          std::vector<std::string> nodes) {
  hef::WrittenStream stream;
  stream.name = name;
  stream.output = true;
  stream.height = stream.width = 1;
  stream.features = features;
  stream.format = 2;
  stream.original_names = std::move(nodes);
  return stream;
}

hef::Hef hef_of(const std::vector<hef::WrittenStream>& outputs) {
  std::vector<hef::Message> edges = {hef::edge_message({})};
  std::vector<std::string> order;
  for (const hef::WrittenStream& stream : outputs) {
    edges.push_back(hef::edge_message(stream));
    order.push_back(stream.name);
  }
  hef::WrittenFile file;
  file.groups = {hef::group_message("net", {edges}, order)};
  Result<hef::Hef> read = hef::read_hef(hef::wrap_hef(2, hef::hef_protobuf(file), "cccccccc"));
  EXPECT_TRUE(read.ok()) << read.error().message();
  return *std::move(read);
}

TEST(DeviceMap, ReadsBackWhatItWrites) {
  DeviceMap map = sample();
  EXPECT_EQ(parse_device_map(format_device_map(map)).value(), map);
  map.hef_sha256 = "ab";
  map.inputs[0].stream = "net/input_layer1";
  map.outputs[0].stream = "net/fc1";
  EXPECT_EQ(parse_device_map(format_device_map(map)).value(), map);
}

TEST(DeviceMap, WhatIsNotTheFormatIsRefused) {
  const std::string good = format_device_map(sample());
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("[]"), good.substr(0, good.size() - 3),
        changed("\"node\": \"\"", "\"nodes\": \"\""), changed("100", "0"), changed("100", "-1"),
        changed("100", "1e3"), changed("100", "99999999999"),
        changed("\"hef_sha256\": \"\"", "\"hef_sha256\": 1"),
        changed("\"hef_sha256\": \"\"", "\"hef_sha256\": \"ab\""), changed("\"imu\"", "7"),
        changed("\"inputs\"", "\"input\""),
        changed("\"format_version\": 1", "\"format_version\": \"1\""),
        changed("\"stream\": \"\"", "\"stream\": \"x\"")}) {
    const Result<DeviceMap> map = parse_device_map(text);
    ASSERT_FALSE(map.ok()) << text;
    EXPECT_EQ(map.error().code, ErrorCode::kCorrupt) << map.error().message();
  }
  const Result<DeviceMap> newer =
      parse_device_map(changed("\"format_version\": 1", "\"format_version\": 2"));
  EXPECT_EQ(newer.error().code, ErrorCode::kUnsupported);
}

TEST(DeviceMap, OutputsAreJoinedByTheNodeTheyComeFrom) {
  DeviceMap map = sample();
  map.outputs.push_back({"other", {1, 5}, "/other", ""});
  ASSERT_TRUE(match_streams(map, hef_of({output("net/a", 5, {"/head", "/other"}),
                                         output("net/b", 5, {"/fsq/Sub"})}))
                  .ok());
  EXPECT_EQ(map.inputs[0].stream, "net/input_layer1");
  EXPECT_EQ(map.outputs[0].stream, "net/b");
  EXPECT_EQ(map.outputs[1].stream, "net/a");
  // Without names, by their order.
  ASSERT_TRUE(match_streams(map, hef_of({output("net/a", 5, {}), output("net/b", 5, {})})).ok());
  EXPECT_EQ(map.outputs[0].stream, "net/a");
}

TEST(DeviceMap, AHefOfAnotherNetworkIsRefused) {
  DeviceMap map = sample();
  const Result<void> ten = match_streams(map, hef_of({output("net/fc1", 10, {})}));
  ASSERT_FALSE(ten.ok());
  EXPECT_EQ(ten.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(ten.error().message(), HasSubstr("net/fc1 1x1x10"));
  EXPECT_FALSE(match_streams(map, hef_of({output("a", 5, {}), output("b", 5, {})})).ok());
  map.inputs[0].shape = {1, 2, 9, 100};  // the same number of values, turned
  EXPECT_FALSE(match_streams(map, hef_of({output("net/fc1", 5, {})})).ok());
}

TEST(DeviceMap, ShapesOfEveryRankMeetTheirStream) {
  hef::Stream stream;
  stream.height = 2;
  stream.width = 100;
  stream.features = 9;
  EXPECT_TRUE(same_values({1, 9, 2, 100}, stream));
  EXPECT_TRUE(same_values({1, 9, 200}, stream));
  EXPECT_FALSE(same_values({1, 9, 100, 2}, stream));
  EXPECT_FALSE(same_values({1, 1800}, stream));
  EXPECT_FALSE(same_values({2, 9, 2, 100}, stream));
  EXPECT_FALSE(same_values({1800}, stream));
  stream.height = stream.width = 1;
  EXPECT_TRUE(same_values({1, 9}, stream));
  EXPECT_TRUE(same_values({1, 9, 1, 1}, stream));
}

}  // namespace
}  // namespace graupel::npu
