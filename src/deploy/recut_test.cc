// A bundle cut again where it was not: the answers have to stay, bit for bit.
#include "deploy/recut.h"

#include <gtest/gtest.h>

#include <cstring>

#include "deploy/deploy.h"
#include "deploy/stages.h"

namespace graupel::deploy {
namespace {

bundle::Bundle parsed_example() {
  ParseOptions options;
  options.target = "hailo8";
  Result<Parsed> parsed = parse(std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu.onnx", options);
  EXPECT_TRUE(parsed.ok());
  return *to_bundle(*parsed);
}

Tensor answers(const bundle::Bundle& bundle) {
  const Halves halves = *float_halves(bundle);
  Tensor windows(DType::kFloat32, {4, 9, 2, 100});
  const std::span<float> values = windows.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 37) * 0.1f - 1.8f;
  auto made = evaluate_halves(halves, windows);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return (*made)[halves.host.value(halves.host.outputs[0]).name];
}

TEST(Recut, KeepsTheAnswersAtEveryNodeOfTheDevicePart) {
  const bundle::Bundle first = parsed_example();
  const Tensor expected = answers(first);
  const ir::Graph device = *member_graph(first, "device.onnx");
  for (const ir::NodeId id : ir::live_nodes(device)) {
    bundle::Bundle bundle = first;
    bundle.members["device.json"] = "of the cut before";
    const std::string end = device.node(id).name;
    const Result<void> done = recut(bundle, {end});
    ASSERT_TRUE(done.ok()) << end << ": " << done.error().message();
    const ir::Graph made = *member_graph(bundle, "device.onnx");
    const ir::Uses uses = ir::find_uses(made);
    EXPECT_EQ(made.node(uses.producer[made.outputs[0].index()]).name, end);
    const Tensor found = answers(bundle);
    ASSERT_EQ(found.size_bytes(), expected.size_bytes()) << end;
    EXPECT_EQ(std::memcmp(found.bytes(), expected.bytes(), expected.size_bytes()), 0) << end;
    EXPECT_EQ(bundle.manifest.stage, bundle::Stage::kParsed);
    EXPECT_FALSE(bundle.members.contains("device.json"));
  }
}

// The manifest's provenance is anybody's JSON.
TEST(Recut, OptimizesByDefaultsWhereTheManifestSaysNothingOfUse) {
  const bundle::Bundle first = parsed_example();
  const std::string end = member_graph(first, "device.onnx")->nodes.front().name;
  for (const char* recorded :
       {"7", "[1]", "null", R"({"level":"high"})", R"({"scheme":1,"calibrator":[]})"}) {
    bundle::Bundle bundle = first;
    bundle.manifest.provenance["optimize"] = nlohmann::ordered_json::parse(recorded);
    const Result<void> done = recut_and_optimize(bundle, {end}, "random");
    ASSERT_TRUE(done.ok()) << recorded << ": " << done.error().message();
    EXPECT_EQ(bundle.manifest.provenance["optimize"]["level"], 1) << recorded;
  }
}

TEST(Recut, RefusesNodesTheDevicePartDoesNotHave) {
  bundle::Bundle bundle = parsed_example();
  EXPECT_EQ(recut(bundle, {"/nowhere"}).error().code, ErrorCode::kInvalidInput);
  const ir::Graph host = *member_graph(bundle, "host.onnx");
  ASSERT_FALSE(host.nodes.empty());
  EXPECT_FALSE(recut(bundle, {host.nodes.back().name}).ok());
}

}  // namespace
}  // namespace graupel::deploy
