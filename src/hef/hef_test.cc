// HEFs of every form: files made by hef_writer.h, each byte of one damaged in turn, and the
// production file where it is at hand (facts of it were read with the vendor's own library 4.23).
#include "hef/hef.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "hef/hef_writer.h"

namespace graupel::hef {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

WrittenStream output_stream() {
  WrittenStream stream;
  stream.name = "net/fc1";
  stream.output = true;
  stream.height = stream.width = 1;
  stream.features = 10;
  stream.format = 2;  // NC
  stream.original_names = {"/fc/Gemm"};
  return stream;
}

std::vector<std::string> ids(const std::vector<Finding>& findings) {
  std::vector<std::string> list;
  for (const Finding& finding : findings) list.push_back(finding.id);
  return list;
}

TEST(Hef, EveryContainerVersionIsReadAndVerified) {
  for (uint32_t version = 0; version < 4; ++version) {
    const std::string bytes = sample_hef(version, {}, output_stream());
    const Result<Hef> hef = read_hef(bytes);
    ASSERT_TRUE(hef.ok()) << version << ": " << hef.error().message();
    EXPECT_EQ(hef->header_version, version);
    EXPECT_EQ(hef->file_bytes, bytes.size());
    EXPECT_EQ(hef->config_bytes, version == 0 ? 0u : 800u);
    EXPECT_EQ(hef->mapping_bytes, 1000u);
    EXPECT_EQ(hef->compiler_version, "3.32.0");
    EXPECT_EQ(utc_text(hef->timestamp_ms), "2025-09-22 15:34:59 UTC");
    ASSERT_EQ(hef->groups.size(), 1u);
    const Group& group = hef->groups[0];
    EXPECT_EQ(group.name, "net");
    EXPECT_EQ(group.contexts, 1u);
    EXPECT_EQ(group.bottleneck_fps, 90518.2);
    ASSERT_EQ(group.inputs.size(), 1u);
    EXPECT_EQ(group.inputs[0].device_order, "NHCW");
    EXPECT_EQ(group.inputs[0].host_order, "NHWC");
    EXPECT_EQ(group.inputs[0].frame_bytes(), 1800u);
    ASSERT_EQ(group.outputs.size(), 1u);
    EXPECT_THAT(group.outputs[0].original_names, ElementsAre("/fc/Gemm"));
    EXPECT_THAT(judge_hef(*hef), testing::IsEmpty());
  }
  EXPECT_EQ(oldest_runtime(*read_hef(sample_hef(2, {}, output_stream()))), "4.20");
}

TEST(Hef, NoDamagedByteAndNoCutGoesUnnoticed) {
  for (uint32_t version = 0; version < 4; ++version) {
    const std::string whole = sample_hef(version, {}, output_stream());
    // Reserved fields and sizes within the covered part are themselves covered by nothing.
    const size_t header = std::vector<size_t>{32, 28, 44, 56}[version];
    for (size_t at = 0; at < whole.size(); ++at) {
      const bool reserved = (version == 0 && at >= 12 && at < 16) ||
                            (version == 1 && at >= 24 && at < 28) ||
                            (version >= 2 && at >= 28 && at < header);
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      EXPECT_TRUE(reserved || !read_hef(damaged).ok()) << version << " byte " << at;
    }
    for (size_t size = 0; size < whole.size(); size += 7) {
      EXPECT_FALSE(read_hef(std::string_view(whole).substr(0, size)).ok()) << size;
    }
    EXPECT_FALSE(read_hef(whole + "x").ok());
  }
}

TEST(Hef, PlaceholdersAreNamedAsWhatTheyAre) {
  for (const char* text : {"DUMMY_HEF_CONTENT for tests\n", "{\"mock_hef\": true, \"n\": 1}"}) {
    const Result<Hef> hef = read_hef(text);
    ASSERT_FALSE(hef.ok());
    EXPECT_THAT(hef.error().message(), HasSubstr("placeholder"));
  }
  EXPECT_THAT(read_hef(std::string("\x08\x01\x00\x00zzzzzzzz", 12)).error().message(),
              HasSubstr("no HEF"));
  EXPECT_EQ(read_hef(std::string("\x01HEF\x00\x00\x00\x09zzzz", 12)).error().code,
            ErrorCode::kUnsupported);
}

TEST(Hef, FilesForHailo8LHoldTheGroupInPartials) {
  const Message core = group_message("net", {{edge_message({}), edge_message(output_stream())}});
  Message group = Message().message(1, Message().text(1, "outer"));
  // The runtime names the group by the first and takes the streams of the smallest bitmap.
  const Message other = group_message("net", {{edge_message(output_stream())}});
  group.message(7, Message().message(1, other).message(2, Message().number(1, 6)));
  group.message(7, Message().message(1, core).message(2, Message().number(1, 3)));
  WrittenFile file;
  file.arch = 3;
  file.groups = {group};
  const Result<Hef> hef = read_hef(wrap_hef(2, hef_protobuf(file), "c"));
  ASSERT_TRUE(hef.ok()) << hef.error().message();
  EXPECT_EQ(hef->groups[0].name, "net");
  EXPECT_EQ(hef->groups[0].partial_groups, 2u);
  EXPECT_EQ(hef->groups[0].inputs.size(), 1u);
  EXPECT_THAT(devices_for(3), ElementsAre("hailo8l", "hailo8"));
  // Without one the vendor's library 4.23 crashes.
  file.groups = {core};
  EXPECT_THAT(read_hef(wrap_hef(2, hef_protobuf(file), "c")).error().message(),
              HasSubstr("crashes"));
}

TEST(Hef, AStreamIndexNoRuntimeTakesIsRefused) {
  WrittenFile file;
  Message base = Message().number(1, 1).number(3, 1).number(5, 1).number(7, 2).number(8, 256);
  const Message info = Message().text(1, "net/in").message(2, base);
  file.groups = {group_message("net", {{Message().message(3, info)}})};
  EXPECT_THAT(read_hef(wrap_hef(2, hef_protobuf(file), "c")).error().message(),
              HasSubstr("stream index 256"));
}

Hef nms_hef(const WrittenNmsOp& nms) {
  WrittenFile file;
  file.extensions = {13, 14, 26, 27};
  file.groups = {nms_group_message({}, nms)};
  const Result<Hef> hef = read_hef(wrap_hef(3, hef_protobuf(file), "c"));
  EXPECT_TRUE(hef.ok()) << hef.error().message();
  return hef.ok() ? *hef : Hef{};
}

TEST(Hef, ANmsOperationHidesTheOutputsItReads) {
  const Hef hef = nms_hef({});
  ASSERT_EQ(hef.groups[0].outputs.size(), 2u);
  EXPECT_TRUE(hef.groups[0].net_flow);
  const Stream& boxes = hef.groups[0].outputs[0];
  EXPECT_EQ(boxes.name, "net/nms_postprocess");
  EXPECT_EQ(boxes.host_order, "HAILO NMS BY CLASS");
  EXPECT_EQ(boxes.frame_bytes(), 80u * (1 + 5 * 100) * 4);
  EXPECT_THAT(boxes.parts, ElementsAre("net/boxes", "net/scores"));
  ASSERT_TRUE(boxes.nms.has_value());
  EXPECT_TRUE(boxes.nms->on_host);
  EXPECT_EQ(boxes.nms->decoder, "yolov8");
  EXPECT_EQ(boxes.nms->classes, 80u);
  EXPECT_EQ(boxes.nms->boxes_per_class, 100u);
  EXPECT_EQ(boxes.nms->score_threshold, 0.2);
  EXPECT_EQ(boxes.nms->iou_threshold, 0.7);
  EXPECT_EQ(boxes.nms->image_height, 640.0);
  EXPECT_EQ(boxes.nms->image_width, 480.0);
  EXPECT_EQ(boxes.nms->layers, 3u);
  EXPECT_EQ(hef.groups[0].outputs[1].name, "net/other");
  EXPECT_THAT(judge_hef(hef), testing::IsEmpty());
}

TEST(Hef, EveryDecoderOfNmsIsNamed) {
  struct Case {
    uint32_t field, list;
    std::string name;
  };
  for (const Case& kind : std::vector<Case>{{7, 4, "yolov5"},
                                            {8, 3, "yolox"},
                                            {9, 9, "ssd"},
                                            {10, 0, "iou"},
                                            {11, 3, "yolov5_seg"},
                                            {12, 4, "yolov8"}}) {
    WrittenNmsOp nms;
    nms.decoder = kind.field;
    nms.decoder_list = kind.list;
    const Hef hef = nms_hef(nms);
    EXPECT_EQ(hef.groups[0].outputs[0].nms->decoder, kind.name);
    EXPECT_EQ(hef.groups[0].outputs[0].nms->layers, kind.list == 0 ? 0u : 3u);
    EXPECT_THAT(judge_hef(hef), testing::IsEmpty()) << kind.name;
  }
}

TEST(Hef, OddNmsIsFound) {
  const auto found = [](const auto& change) {
    WrittenNmsOp nms;
    change(nms);
    return ids(judge_hef(nms_hef(nms)));
  };
  EXPECT_THAT(found([](auto& nms) { nms.score_threshold = 0.0; }), ElementsAre("nms_threshold"));
  EXPECT_THAT(found([](auto& nms) { nms.score_threshold = 20.0; }), ElementsAre("nms_threshold"));
  EXPECT_THAT(found([](auto& nms) { nms.iou_threshold = -1.0; }), ElementsAre("nms_threshold"));
  EXPECT_THAT(found([](auto& nms) { nms.iou_threshold = 1.0; }), testing::IsEmpty());
  EXPECT_THAT(found([](auto& nms) { nms.classes = 0; }), ElementsAre("nms_empty"));
  EXPECT_THAT(found([](auto& nms) { nms.boxes_per_class = 0; }), ElementsAre("nms_empty"));
  EXPECT_THAT(found([](auto& nms) { nms.decoder = 0; }), ElementsAre("nms_decoder"));
  EXPECT_THAT(found([](auto& nms) { nms.decoded_layers = 0; }), ElementsAre("nms_decoder"));
  EXPECT_THAT(found([](auto& nms) { nms.background = 80; }), ElementsAre("nms_background"));
  // Without suppression the thresholds are not used.
  EXPECT_THAT(found([](auto& nms) {
                nms.decoding_only = true;
                nms.score_threshold = nms.iou_threshold = 0.0;
              }),
              testing::IsEmpty());
  WrittenNmsOp background;
  background.background = 0;
  EXPECT_EQ(nms_hef(background).groups[0].outputs[0].nms->classes, 79u);
}

// The device gives NMS in parts; the runtime shows one output.
TEST(Hef, FusedNmsIsOneOutput) {
  std::vector<Message> edges = {edge_message({})};
  for (const char* name : {"net/nms1_d0", "net/nms1_d1"}) {
    WrittenStream part = output_stream();
    part.name = name;
    part.format = 6;
    part.data_bytes = 2;
    part.nms = {40, 20, "net/nms1"};
    edges.push_back(edge_message(part));
  }
  WrittenStream other = output_stream();
  edges.push_back(edge_message(other));
  Message group = group_message("net", {edges}, {"net/nms1_d0", "net/nms1_d1", "net/fc1"});
  group.message(5, fused_message("net/nms1", {"net/nms1_d0", "net/nms1_d1"}, {80, 20, ""},
                                 {"net/fc1", "net/nms1"}));
  WrittenFile file;
  file.groups = {group};
  const Result<Hef> hef = read_hef(wrap_hef(2, hef_protobuf(file), "c"));
  ASSERT_TRUE(hef.ok()) << hef.error().message();
  const std::vector<Stream>& outputs = hef->groups[0].outputs;
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].name, "net/fc1");
  EXPECT_EQ(outputs[1].name, "net/nms1");
  EXPECT_THAT(outputs[1].parts, ElementsAre("net/nms1_d0", "net/nms1_d1"));
  EXPECT_EQ(outputs[1].nms->classes, 80u);
  EXPECT_EQ(outputs[1].nms->boxes_per_class, 20u);
  EXPECT_FALSE(outputs[1].nms->on_host);
  EXPECT_EQ(outputs[1].frame_bytes(), 80u * (1 + 5 * 20) * 4);
  const Promise promise{"bundle", {}, {{"y", 10, {}, {}, {}}, {"z", 20, {}, {}, {}}}};
  EXPECT_THAT(ids(compare_with(*hef, promise)), ElementsAre("nms_output"));
}

TEST(Hef, LayersBetweenContextsAreNotTheApplications) {
  WrittenStream between = output_stream(), back;
  between.name = back.name = "net/between";
  between.connection = back.connection = 1;
  WrittenFile file;
  file.groups = {group_message("net", {{edge_message({}), edge_message(between)},
                                       {edge_message(back), edge_message(output_stream())}})};
  const Result<Hef> hef = read_hef(wrap_hef(1, hef_protobuf(file), "c"));
  ASSERT_TRUE(hef.ok());
  EXPECT_EQ(hef->groups[0].contexts, 2u);
  EXPECT_EQ(hef->groups[0].inputs.size(), 1u);
  ASSERT_EQ(hef->groups[0].outputs.size(), 1u);
  EXPECT_EQ(hef->groups[0].outputs[0].context, 1u);
}

TEST(Hef, AMultiplexedStreamIsSeveralOfTheApplication) {
  WrittenStream first = output_stream(), second = output_stream();
  first.name = "net/a";
  second.name = "net/b";
  const Message inner =
      Message().text(1, "inner").message(5, Message().message(1, info_message(second)));
  const Message mux = Message()
                          .text(1, "mux")
                          .message(5, Message().message(1, info_message(first)))
                          .message(5, Message().message(2, inner));
  const Message edge = Message().number(1, 1).number(2, 1).message(4, mux);
  WrittenFile file;
  file.groups = {group_message("net", {{edge_message({}), edge}}, {"net/b", "net/a"})};
  const Result<Hef> hef = read_hef(wrap_hef(2, hef_protobuf(file), "c"));
  ASSERT_TRUE(hef.ok()) << hef.error().message();
  ASSERT_EQ(hef->groups[0].outputs.size(), 2u);
  EXPECT_EQ(hef->groups[0].outputs[0].name, "net/b");
}

TEST(Judge, NamesWhatWouldGoWrong) {
  WrittenStream input;
  input.low = 0.0f;
  input.high = 1.0f;
  WrittenStream output = output_stream();
  output.scale = 0.0f;
  const Hef hef = *read_hef(sample_hef(2, input, output));
  EXPECT_THAT(ids(judge_hef(hef)), ElementsAre("input_clips_negatives", "zero_scale"));
  Promise promise{"bundle", {{"x", 1800, {2, 100, 9}, {}, {{-3.0, 3.0}}}}, {{"y", 5, {}, {}, {}}}};
  EXPECT_THAT(ids(compare_with(hef, promise)), ElementsAre("input_clips", "output_mismatch"));
  promise.inputs[0].range = {0.0, 1.01};
  promise.outputs = {{"y", 10, {1, 1, 10}, {"/fc/Gemm"}, {}}};
  EXPECT_THAT(compare_with(hef, promise), testing::IsEmpty());
  promise.outputs[0].nodes = {"/other/Gemm"};
  EXPECT_THAT(ids(compare_with(hef, promise)), ElementsAre("output_node"));
}

// Ranges of the bundle's own INT8 plan against limits and scale of the HEF.
TEST(Compare, SeesOutputsThatClipAndThatAreCoarse) {
  const auto found = [](float low, float high, std::pair<double, double> kept,
                        uint64_t element_bytes = 1) {
    WrittenStream output = output_stream();
    output.low = low;
    output.high = high;
    output.data_bytes = element_bytes;
    const Promise promise{"bundle", {}, {{"y", 10, {1, 1, 10}, {"/fc/Gemm"}, kept}}};
    return compare_with(*read_hef(sample_hef(2, {}, output)), promise);
  };
  EXPECT_THAT(found(-2.5f, 2.5f, {-2.5, 2.5}), testing::IsEmpty());
  EXPECT_THAT(found(-2.5f, 2.5f, {-2.6, 2.6}), testing::IsEmpty());
  EXPECT_THAT(found(-2.5f, 2.5f, {-1.3, 1.3}), testing::IsEmpty());
  const std::vector<Finding> clips = found(-2.5f, 2.5f, {-9.0, 2.0});
  ASSERT_THAT(ids(clips), ElementsAre("output_clips"));
  EXPECT_EQ(clips[0].severity, "warning");
  EXPECT_THAT(clips[0].message, HasSubstr("keeps -9 to 2, its limits are -2.5 to 2.5"));
  const std::vector<Finding> coarse = found(-8.0f, 8.0f, {-2.0, 2.0});
  ASSERT_THAT(ids(coarse), ElementsAre("output_coarse"));
  EXPECT_THAT(coarse[0].message, HasSubstr("4.0 times as wide"));
  EXPECT_THAT(coarse[0].message, HasSubstr("2.0 of its 8 bits"));
  // Sixteen bits have resolution to spare; without limits the scale tells the range (0.02 * 255).
  EXPECT_THAT(found(-8.0f, 8.0f, {-2.0, 2.0}, 2), testing::IsEmpty());
  EXPECT_THAT(ids(found(0.0f, 0.0f, {0.0, 1.0})), ElementsAre("output_coarse"));
  EXPECT_THAT(ids(found(0.0f, 0.0f, {0.0, 9.0})), ElementsAre("output_clips"));
}

// Same numbers of values, other dimensions; and two streams that changed places.
TEST(Compare, SeesDimensionsAndOrder) {
  WrittenStream turned;
  turned.height = 100;
  turned.width = 2;
  const Promise shapes{"bundle", {{"x", 1800, {2, 100, 9}, {}, {}}}, {}};
  EXPECT_THAT(ids(compare_with(*read_hef(sample_hef(2, turned, output_stream())), shapes)),
              ElementsAre("input_shape"));
  WrittenStream second = output_stream();
  second.name = "net/fc2";
  second.original_names = {"/fc2/Gemm"};
  WrittenFile file;
  file.groups = {group_message(
      "net", {{edge_message({}), edge_message(output_stream()), edge_message(second)}},
      {"net/fc2", "net/fc1"})};
  const Hef hef = *read_hef(wrap_hef(2, hef_protobuf(file), "c"));
  const PromisedStream one{"a", 10, {1, 1, 10}, {"/fc/Gemm"}, {}};
  const PromisedStream two{"b", 10, {1, 1, 10}, {"/fc2/Gemm"}, {}};
  EXPECT_THAT(ids(compare_with(hef, {"bundle", {}, {one, two}})),
              ElementsAre("output_order", "output_order"));
  EXPECT_THAT(compare_with(hef, {"bundle", {}, {two, one}}), testing::IsEmpty());
}

TEST(RealFile, ShowsWhatTheVendorsLibraryShowsAndBothMistakes) {
  const std::string path =
      std::string(GRAUPEL_SOURCE_DIR) + "/../shared/data/hef/fsq_m13_behavioral_analysis.hef";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const Result<Hef> hef = read_hef(*read_file(path));
  ASSERT_TRUE(hef.ok()) << hef.error().message();
  EXPECT_EQ(hef->header_version, 2u);
  EXPECT_EQ(hef->file_bytes, 802878u);
  EXPECT_EQ(hef->protobuf_bytes, 326386u);
  EXPECT_EQ(hef->config_bytes, 476448u);
  EXPECT_EQ(hef->mapping_bytes, 322776u);
  EXPECT_EQ(arch_name(hef->arch), "HAILO8");
  EXPECT_THAT(devices_for(hef->arch), ElementsAre("hailo8"));
  EXPECT_THAT(hef->extensions, ElementsAre(0, 3, 26, 12));
  EXPECT_THAT(hef->optional_extensions, ElementsAre(8, 11));
  ASSERT_EQ(hef->groups.size(), 1u);
  const Group& group = hef->groups[0];
  EXPECT_EQ(group.name, "fsq_m13_behavioral_analysis");
  EXPECT_NEAR(group.bottleneck_fps, 90518.21679112922, 1e-9);
  EXPECT_EQ(group.latency_s, 0.0001473925);
  ASSERT_EQ(group.inputs.size(), 1u);
  EXPECT_THAT(group.inputs[0].name, HasSubstr("input_layer1"));
  EXPECT_EQ(group.inputs[0].frame_bytes(), 1800u);
  EXPECT_FLOAT_EQ(group.inputs[0].quantization.scale, 0.00392153254f);
  EXPECT_FLOAT_EQ(group.inputs[0].quantization.limit_high, 0.999990821f);
  ASSERT_EQ(group.outputs.size(), 1u);
  EXPECT_EQ(group.outputs[0].features, 5u);
  EXPECT_EQ(group.outputs[0].quantization.zero_point, 128.0f);
  EXPECT_THAT(group.outputs[0].original_names,
              ElementsAre("/fsq_model/fsq/Mul", "/fsq_model/fsq/Sub"));
  EXPECT_THAT(ids(judge_hef(*hef)), ElementsAre("input_clips_negatives"));
  EXPECT_THAT(
      ids(compare_with(*hef, {"the metadata", {{"", 1800, {}, {}, {}}}, {{"", 10, {}, {}, {}}}})),
      ElementsAre("output_mismatch"));
}

}  // namespace
}  // namespace graupel::hef
