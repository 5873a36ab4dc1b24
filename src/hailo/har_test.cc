// HARs as public scripts describe them: archives are made by libarchive, JSON by hand.
#include "hailo/har.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hailo/har_writer.h"

namespace graupel::hailo {
namespace {

const std::string kHn =
    R"({"name":"net","net_params":{"output_layers_order":["net/conv1"]},"layers":{
 "net/input_layer1":{"type":"input_layer","input":[],"output":["net/conv1"],
  "input_shapes":[[-1,2,100,9]],"output_shapes":[[-1,2,100,9]],"original_names":["imu"]},
 "net/conv1":{"type":"conv","input":["net/input_layer1"],"output":["net/output_layer1"],
  "input_shapes":[[-1,2,100,9]],"output_shapes":[[-1,2,100,32]],
  "original_names":["/conv/Conv","/relu/Relu"],"params":{"kernel_shape":[3,3,9,32]}},
 "net/output_layer1":{"type":"output_layer","input":["net/conv1"],"output":[],
  "input_shapes":[-1,2,100,32],"output_shapes":[-1,2,100,32]}}})";

TEST(Har, TellsStateLayersShapesAndNames) {
  for (const Packing packing : {Packing::kTar, Packing::kGzip}) {
    const std::string bytes =
        har_bytes({{"net.native.hn", "{}"},
                   {"net.hn", kHn},
                   {"net.npz", std::string(5000, 'w')},
                   {"net.metadata.json",
                    R"({"state":"quantized_model","sdk_version":"3.32.0","hw_arch":"hailo8"})"}},
                  packing);
    EXPECT_TRUE(looks_like_har(bytes));
    const Result<Har> har = read_har(bytes);
    ASSERT_TRUE(har.ok()) << har.error().message();
    EXPECT_EQ(har->network, "net");
    EXPECT_EQ(har->state, "quantized_model");
    EXPECT_EQ(har->compiler, "3.32.0");
    EXPECT_EQ(har->device, "hailo8");
    EXPECT_EQ(har->hn, "net.hn");
    EXPECT_EQ(har->files.size(), 4u);
    ASSERT_EQ(har->layers.size(), 3u);
    EXPECT_EQ(har->layers[1].type, "conv");
    EXPECT_THAT(har->layers[1].original_names, testing::ElementsAre("/conv/Conv", "/relu/Relu"));
    EXPECT_THAT(har->layers[1].output_shapes[0], testing::ElementsAre(-1, 2, 100, 32));
    EXPECT_THAT(har->layers[2].output_shapes[0], testing::ElementsAre(-1, 2, 100, 32));
    EXPECT_THAT(har->output_layers, testing::ElementsAre("net/conv1"));
  }
}

TEST(Har, WithoutMetadataTheMembersTellTheState) {
  EXPECT_EQ(read_har(har_bytes({{"net.hn", kHn}}, Packing::kTar))->state,
            "translated (by its members)");
  EXPECT_EQ(read_har(har_bytes({{"net.hn", kHn}, {"net.hef", "x"}}, Packing::kTar))->state,
            "compiled (by its members)");
}

TEST(Har, RefusesWhatIsNone) {
  EXPECT_EQ(read_har("DUMMY").error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(read_har(har_bytes({{"readme", "x"}}, Packing::kTar)).error().code,
            ErrorCode::kInvalidInput);
  for (const char* text : {"", "[]", "{", "{\"layers\":[]}", "{\"layers\":{\"a\":1}}"}) {
    EXPECT_EQ(read_har(har_bytes({{"net.hn", text}}, Packing::kTar)).error().code,
              ErrorCode::kCorrupt)
        << text;
  }
}

TEST(Har, EveryShorterFileIsRefusedOrTheSame) {
  const std::string whole = har_bytes({{"net.hn", kHn}}, Packing::kGzip);
  for (size_t size = 0; size < whole.size(); size += 7) {
    const Result<Har> har = read_har(std::string_view(whole).substr(0, size));
    // Only the end of the tar is missing.
    if (har.ok()) {
      EXPECT_EQ(har->layers.size(), 3u);
    }
  }
}

// A gigabyte of zeros in a megabyte: skipped without being kept.
TEST(Har, ABombIsRefused) {
  const std::string bytes =
      har_bytes({{"net.hn", std::string(size_t{40} << 20, ' ')}}, Packing::kGzip);
  EXPECT_LT(bytes.size(), size_t{1} << 20);
  EXPECT_EQ(read_har(bytes).error().code, ErrorCode::kUnsupported);
}

// Each member is within its bound; what is kept of them together is not.
TEST(Har, ManySmallBombsAreRefused) {
  const std::string blank(size_t{30} << 20, ' ');
  std::vector<std::pair<std::string, std::string>> members = {{"net.hn", kHn}};
  for (const char* name : {"a", "b", "c", "d"}) {
    members.emplace_back(std::string("net.") + name + ".hn", blank);
  }
  EXPECT_TRUE(read_har(har_bytes(members, Packing::kGzip)).ok());
  members.emplace_back("net.e.hn", blank);
  const Result<Har> har = read_har(har_bytes(members, Packing::kGzip));
  ASSERT_FALSE(har.ok());
  EXPECT_EQ(har.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace graupel::hailo
