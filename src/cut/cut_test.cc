// The cut: automatic against brute force over all device parts, named nodes and their errors,
// shapes of cut that need care (skips, several outputs, everything on one side), and the proof.
#include "cut/cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "ir/eval.h"
#include "ir/testing.h"
#include "onnx/onnx.h"
#include "simplify/simplify.h"

namespace graupel::cut {
namespace {

using ir::graph_of;
using ir::NodeId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ir::Graph body(const std::string& text) {
  return graph_of("graph g opset 17 ir 8 {\n" + text + "\n}\n");
}

// All nodes but those whose operator is in `types`.
std::vector<bool> all_but(const ir::Graph& graph, const std::vector<std::string>& types) {
  std::vector<bool> supported;
  for (const ir::Node& node : graph.nodes) {
    supported.push_back(std::find(types.begin(), types.end(), ir::op_type(node.op)) == types.end());
  }
  return supported;
}

std::vector<std::string> nodes_of(const ir::Graph& graph, const Cut& cut, Part part) {
  std::vector<std::string> names;
  for (const NodeId id : ir::live_nodes(graph)) {
    if (cut.parts[id.index()] == part) names.push_back(graph.node(id).name);
  }
  return names;
}

std::vector<std::string> crossing_values(const Cut& cut) {
  std::vector<std::string> names;
  for (const Crossing& crossing : cut.crossings) names.push_back(crossing.value);
  return names;
}

Cut sound_cut(const ir::Graph& graph, const std::vector<bool>& supported,
              const CutOptions& options = {}) {
  const Result<Cut> result = cut(graph, supported, options);
  EXPECT_TRUE(result.ok()) << result.error().message();
  if (!result.ok()) return {};
  for (const ir::Graph* part : {&result->before, &result->device, &result->host}) {
    const Result<void> verified = ir::verify(*part);
    EXPECT_TRUE(verified.ok()) << verified.error().message();
  }
  const Result<void> proof = prove_recombination(graph, *result, 3);
  EXPECT_TRUE(proof.ok()) << proof.error().message();
  return *result;
}

std::string error_of(const ir::Graph& graph, const std::vector<bool>& supported,
                     const CutOptions& options, ErrorCode code = ErrorCode::kInvalidInput) {
  const Result<Cut> result = cut(graph, supported, options);
  EXPECT_FALSE(result.ok());
  if (result.ok()) return "";
  EXPECT_EQ(result.error().code, code);
  return result.error().message();
}

constexpr const char* kPlain = R"(
  input x: float32[1x2x4x4]
  const w: float32[2x2x1x1] = [1, 2, 3, 4]
  conv: Conv(x, w) -> a
  relu: Relu(a) -> b
  round: Round(b) -> c
  second: Conv(c, w) -> y
  output y)";

TEST(Cut, EndsInFrontOfTheFirstUnsupportedNode) {
  const ir::Graph graph = body(kPlain);
  const Cut result = sound_cut(graph, all_but(graph, {"Round"}));
  EXPECT_THAT(nodes_of(graph, result, Part::kDevice), ElementsAre("conv", "relu"));
  EXPECT_THAT(nodes_of(graph, result, Part::kHost), ElementsAre("round", "second"));
  ASSERT_EQ(result.crossings.size(), 1u);
  EXPECT_EQ(result.crossings[0].value, "b");
  EXPECT_EQ(result.crossings[0].end_node, "relu");
  EXPECT_EQ(result.crossings[0].size_bytes, 32);
  EXPECT_FALSE(result.fsq);
}

TEST(Cut, FewestBytesCross) {
  // Behind the pool 8 bytes cross; behind the Resize 32 would.
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    const roi: float32[0] = []
    const scales: float32[4] = [1, 1, 2, 2]
    conv: Conv(x, w) -> a
    pool: MaxPool{kernel_shape=[2, 2], strides=[2, 2]}(a) -> b
    resize: Resize{mode=nearest, coordinate_transformation_mode=asymmetric,
                   nearest_mode=floor}(b, _, scales) -> c
    round: Round(c) -> y
    output y)");
  const Cut result = sound_cut(graph, all_but(graph, {"Round"}));
  EXPECT_THAT(nodes_of(graph, result, Part::kDevice), ElementsAre("conv", "pool"));
}

TEST(Cut, SkipConnectionsCrossOnce) {
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    conv: Conv(x, w) -> a
    second: Conv(a, w) -> b
    round: Round(b) -> c
    skip: Add(c, a) -> d
    again: Mul(d, a) -> e
    inputs: Add(e, x) -> y
    output y)");
  const Cut result = sound_cut(graph, all_but(graph, {"Round"}));
  EXPECT_THAT(nodes_of(graph, result, Part::kDevice), ElementsAre("conv", "second"));
  EXPECT_THAT(crossing_values(result), ElementsAre("b", "a"));
  EXPECT_EQ(result.host.inputs.size(), 3u) << "b, a, and the network's own input";
}

TEST(Cut, NotBehindAConcatIfItCostsNothing) {
  const std::string front = R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    const shape: int64[2] = [1, -1]
    a: Conv(x, w) -> a
    b: Conv(a, w) -> b
    concat: Concat{axis=1}(a, b) -> c
    reshape: Reshape(c, shape) -> d)";
  const ir::Graph end = body(front + "\nround: Round(d) -> y\noutput y");
  EXPECT_THAT(nodes_of(end, sound_cut(end, all_but(end, {"Round"})), Part::kDevice),
              ElementsAre("a", "b"));
  const ir::Graph last = body(front + "\noutput d");
  EXPECT_THAT(nodes_of(last, sound_cut(last, all_but(last, {})), Part::kDevice),
              ElementsAre("a", "b"));
  // A convolution behind it has to stay on the device, and takes the Concat along.
  const ir::Graph needed = body(front + R"(
    const v: float32[64x3] = splat 0.5
    gemm: Gemm(d, v) -> e
    round: Round(e) -> y
    output y)");
  EXPECT_THAT(nodes_of(needed, sound_cut(needed, all_but(needed, {"Round"})), Part::kDevice),
              ElementsAre("a", "b", "concat", "reshape", "gemm"));
}

TEST(Cut, EverythingOnTheDeviceLeavesAHostThatPassesValuesThrough) {
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    conv: Conv(x, w) -> a
    relu: Relu(a) -> b
    second: Conv(a, w) -> c
    output b
    output c)");
  const Cut result = sound_cut(graph, all_but(graph, {}));
  EXPECT_THAT(nodes_of(graph, result, Part::kHost), IsEmpty());
  EXPECT_EQ(result.host.nodes.size(), 0u);
  EXPECT_THAT(crossing_values(result), ElementsAre("b", "c"));
  // It can be written, read back and evaluated.
  const Result<std::string> bytes = onnx::format_model(result.host);
  ASSERT_TRUE(bytes.ok()) << bytes.error().message();
  const Result<ir::Graph> back = onnx::parse_model(*bytes);
  ASSERT_TRUE(back.ok()) << back.error().message();
  const std::vector<Tensor> inputs = ir::probe_inputs(*back, 5);
  const Result<std::vector<Tensor>> outputs = ir::evaluate(*back, inputs);
  ASSERT_TRUE(outputs.ok()) << outputs.error().message();
  EXPECT_TRUE(outputs.value() == inputs);
}

TEST(Cut, AnOutputThatIsAnInputGoesAround) {
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    conv: Conv(x, w) -> a
    round: Round(a) -> b
    output x
    output b
    output a)");
  const Cut result = sound_cut(graph, all_but(graph, {"Round"}));
  EXPECT_THAT(crossing_values(result), ElementsAre("a"));
  EXPECT_EQ(result.host.inputs.size(), 2u);
  EXPECT_EQ(result.host.outputs.size(), 3u);
}

TEST(Cut, WithoutMultiplyAddsTheDeviceTakesWhatItCan) {
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    relu: Relu(x) -> a
    pool: GlobalAveragePool(a) -> b
    round: Round(b) -> y
    output y)");
  EXPECT_THAT(nodes_of(graph, sound_cut(graph, all_but(graph, {"Round"})), Part::kDevice),
              ElementsAre("relu", "pool"));
}

TEST(Cut, NothingForTheDeviceIsAnErrorThatNamesTheReason) {
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    round: Round(x) -> a
    conv: Conv(a, w) -> y
    output y)");
  EXPECT_THAT(error_of(graph, all_but(graph, {"Round"}), {}, ErrorCode::kUnsupported),
              AllOf(HasSubstr("round"), HasSubstr("--start-nodes")));
  EXPECT_THAT(error_of(graph, {false, false}, {}, ErrorCode::kUnsupported), HasSubstr("round"));
}

TEST(Cut, NamedEndNodes) {
  const ir::Graph graph = body(kPlain);
  const std::vector<bool> supported = all_but(graph, {"Round"});
  const Cut by_node = sound_cut(graph, supported, {{"conv"}, {}});
  EXPECT_THAT(nodes_of(graph, by_node, Part::kDevice), ElementsAre("conv"));
  EXPECT_THAT(by_node.notes, IsEmpty());
  const Cut by_tensor = sound_cut(graph, supported, {{"a"}, {}});
  EXPECT_THAT(nodes_of(graph, by_tensor, Part::kDevice), ElementsAre("conv"));
  EXPECT_THAT(by_tensor.notes, ElementsAre("'a' is a tensor; took node 'conv'"));

  EXPECT_THAT(error_of(graph, supported, {{"sekond"}, {}}),
              AllOf(HasSubstr("'sekond'"), HasSubstr("nearest name is 'second'")));
  EXPECT_THAT(error_of(graph, supported, {{"x"}, {}}), HasSubstr("made by no node"));
  EXPECT_THAT(error_of(graph, supported, {{"second"}, {}}),
              AllOf(HasSubstr("round"), HasSubstr("cannot run on the device")));
}

TEST(Cut, StartNodesPutWorkInFront) {
  const ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    round: Round(x) -> a
    conv: Conv(a, w) -> b
    relu: Relu(b) -> c
    floor: Floor(c) -> d
    skip: Add(d, a) -> y
    output y)");
  const std::vector<bool> supported = all_but(graph, {"Round", "Floor"});
  for (const char* start : {"conv", "b"}) {
    SCOPED_TRACE(start);
    const bool is_tensor = std::string(start) == "b";
    const Cut result = sound_cut(graph, supported, {{}, {start}});
    EXPECT_EQ(nodes_of(graph, result, Part::kBefore),
              is_tensor ? std::vector<std::string>({"round", "conv"})
                        : std::vector<std::string>({"round"}));
    EXPECT_EQ(nodes_of(graph, result, Part::kDevice),
              is_tensor ? std::vector<std::string>({"relu"})
                        : std::vector<std::string>({"conv", "relu"}));
  }
  // One start behind another: what lies between is not in front of the device.
  const Cut both = sound_cut(graph, supported, {{}, {"conv", "relu"}});
  EXPECT_THAT(nodes_of(graph, both, Part::kBefore), ElementsAre("round"));
  EXPECT_THAT(error_of(graph, supported, {{"round"}, {"conv"}}),
              HasSubstr("in front of the start nodes"));
  EXPECT_THAT(error_of(graph, supported, {{}, {"y"}}), HasSubstr("read by no node"));
}

TEST(Cut, ABrokenHalfIsFound) {
  const ir::Graph graph = body(kPlain);
  Cut result = sound_cut(graph, all_but(graph, {"Round"}));
  for (ir::Value& value : result.host.values) {
    if (value.name == "w") value.constant->mutable_data<float>()[0] = 1.0001f;
  }
  const Result<void> proof = prove_recombination(graph, result);
  ASSERT_FALSE(proof.ok());
  EXPECT_EQ(proof.error().code, ErrorCode::kInternal);
  EXPECT_THAT(proof.error().message(), HasSubstr("y"));
}

TEST(Cut, ShippedModelsEndInFrontOfTheRounding) {
  for (const char* file :
       {"fsq_imu_synthetic.onnx", "fsq_imu_8x8.onnx", "fsq_imu_linear_head.onnx"}) {
    SCOPED_TRACE(file);
    const auto read = onnx::read_model(std::string(GRAUPEL_SOURCE_DIR "/models/") + file);
    ASSERT_TRUE(read.ok()) << read.error().message();
    const auto simplified = simplify::simplify(*read);
    ASSERT_TRUE(simplified.ok()) << simplified.error().message();
    const ir::Graph& graph = simplified->graph;
    const Cut result = sound_cut(graph, all_but(graph, {"Round"}));
    ASSERT_TRUE(result.fsq);
    EXPECT_THAT(crossing_values(result), ElementsAre(result.fsq->bounded));
    EXPECT_EQ(result.crossings[0].size_bytes, static_cast<int64_t>(result.fsq->levels.size()));
    ASSERT_EQ(result.host.outputs.size(), 3u);
    EXPECT_EQ(result.host.value(result.host.outputs[1]).name, kFsqDigitsOutput);
    EXPECT_EQ(result.host.value(result.host.outputs[2]).name, kFsqCodeOutput);
  }
}

TEST(Cut, RoundingOnTheDeviceGivesNoCodes) {
  const auto read = onnx::read_model(GRAUPEL_SOURCE_DIR "/models/fsq_imu_synthetic.onnx");
  ASSERT_TRUE(read.ok());
  const ir::Graph graph = simplify::simplify(*read).value().graph;
  const Cut result = sound_cut(graph, all_but(graph, {}), {{"/fsq/Round"}, {}});
  EXPECT_EQ(result.host.outputs.size(), 1u);
  EXPECT_THAT(result.notes, ElementsAre(HasSubstr("not in the host part")));
}

// ---- brute force ----

// A random graph of Conv, Relu, MaxPool, Add, Concat and Round with several outputs.
ir::Graph random_graph(Rng& rng) {
  ir::Graph graph;
  graph.name = "random";
  std::vector<ir::ValueId> values = {ir::add_input(graph, "x", DType::kFloat32, {1, 2, 4, 4})};
  const uint64_t count = 3 + rng.below(7);
  for (uint64_t i = 0; i < count; ++i) {
    const ir::ValueId first =
        values[values.size() - 1 - rng.below(std::min<size_t>(values.size(), 3))];
    const ir::ValueId second = values[rng.below(values.size())];
    const int64_t channels = graph.shape(first)[1], side = graph.shape(first)[2];
    ir::Op op = ir::Unary{ir::UnaryKind::kRelu};
    std::vector<ir::ValueId> inputs = {first};
    switch (rng.below(6)) {
      case 0:
      case 1: {
        const Shape shape = {1 + static_cast<int64_t>(rng.below(4)), channels, 1, 1};
        Tensor weight(DType::kFloat32, shape);
        for (float& w : weight.mutable_data<float>()) w = static_cast<float>(rng.normal());
        op = ir::Conv{};
        inputs.push_back(ir::add_constant(graph, "w", weight));
        break;
      }
      case 2:
        if (side >= 2) {
          op = ir::MaxPool{{{2, 2}, {2, 2}, {}, {}, ir::AutoPad::kNotSet}, false, false};
        }
        break;
      case 3: op = ir::Unary{ir::UnaryKind::kRound}; break;
      default:
        if (graph.shape(second)[2] != side) break;
        op = ir::Concat{1};
        inputs.push_back(second);
    }
    const Result<NodeId> id = ir::add_node(graph, "n", op, inputs);
    if (id.ok()) values.push_back(graph.node(*id).outputs[0]);
  }
  graph.outputs = {values.back()};
  const ir::Uses uses = ir::find_uses(graph);
  for (size_t i = 1; i + 1 < values.size(); ++i) {
    if (uses.readers[values[i].index()].empty() || rng.below(6) == 0) {
      graph.outputs.push_back(values[i]);
    }
  }
  return graph;
}

struct Judged {
  bool allowed = true;
  int64_t bytes = 0;
  int concats = 0;  // tensors that cross behind one
};

Judged judge(const ir::Graph& graph, const std::vector<bool>& supported, uint64_t device) {
  const ir::Uses uses = ir::find_uses(graph);
  Judged judged;
  std::vector<bool> reachable(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const bool inside = (device >> i & 1) != 0;
    reachable[i] = supported[i];
    for (const ir::ValueId input : graph.nodes[i].inputs) {
      const NodeId producer = uses.producer[input.index()];
      if (!producer.valid()) continue;
      reachable[i] = reachable[i] && reachable[producer.index()];
      if (inside && (device >> producer.index() & 1) == 0) judged.allowed = false;
    }
    if (inside && !reachable[i]) judged.allowed = false;
    if (!inside && reachable[i] && ir::multiply_adds(graph, NodeId(i)) > 0) judged.allowed = false;
    const ir::ValueId output = graph.nodes[i].outputs[0];
    bool crosses = uses.is_output[output.index()];
    for (const NodeId reader : uses.readers[output.index()]) {
      crosses = crosses || (device >> reader.index() & 1) == 0;
    }
    if (!inside || !crosses) continue;
    judged.bytes += element_count(graph.shape(output)).value();
    if (std::holds_alternative<ir::Concat>(graph.nodes[i].op)) ++judged.concats;
  }
  return judged;
}

TEST(Cut, EqualsTheBestOfAllDeviceParts) {
  Rng rng(5);
  int compared = 0, saved = 0;
  for (int round = 0; round < 400; ++round) {
    const ir::Graph graph = random_graph(rng);
    const std::vector<bool> supported = all_but(graph, {"Round"});
    const Result<Cut> result = cut(graph, supported, {});
    if (!result.ok()) continue;
    uint64_t found = 0;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      if (result->parts[i] == Part::kDevice) found |= uint64_t{1} << i;
    }
    bool computes = false;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      computes = computes || ((found >> i & 1) != 0 && ir::multiply_adds(graph, NodeId(i)) > 0);
    }
    if (!computes) continue;
    const Judged chosen = judge(graph, supported, found);
    ASSERT_TRUE(chosen.allowed) << ir::print(graph);
    for (uint64_t device = 0; device < uint64_t{1} << graph.nodes.size(); ++device) {
      const Judged other = judge(graph, supported, device);
      if (!other.allowed) continue;
      ASSERT_LE(chosen.bytes, other.bytes) << ir::print(graph) << found << " " << device;
      saved += chosen.bytes < other.bytes ? 1 : 0;
      if (other.bytes > chosen.bytes) continue;
      // As cheap: behind no fewer Concats, and with as many not larger.
      ASSERT_LE(chosen.concats, other.concats) << ir::print(graph);
      if (chosen.concats < other.concats) continue;
      ASSERT_EQ(device & ~found, 0u) << ir::print(graph) << found << " " << device;
    }
    const Result<void> proof = prove_recombination(graph, *result, 1);
    ASSERT_TRUE(proof.ok()) << proof.error().message() << ir::print(graph);
    ++compared;
  }
  EXPECT_GT(compared, 150);
  EXPECT_GT(saved, 300);
}

TEST(Cut, ThousandsOfNodesTakeNoTime) {
  ir::Graph graph;
  graph.name = "deep";
  ir::ValueId value = ir::add_input(graph, "x", DType::kFloat32, {1, 2, 2, 2});
  const ir::ValueId weight =
      ir::add_constant(graph, "w", Tensor::of<float>({2, 2, 1, 1}, {1, 0, 0, 1}));
  for (int i = 0; i < 1500; ++i) {
    const std::string name = "n" + std::to_string(i);
    graph.nodes.push_back({name, ir::Conv{}, {value, weight}, {}, false});
    const ir::ValueId next =
        ir::add_value(graph, {name + "_y", DType::kFloat32, Shape{1, 2, 2, 2}, std::nullopt});
    graph.nodes.back().outputs = {next};
    value = next;
  }
  graph.outputs = {value};
  const Result<Cut> result = cut(graph, all_but(graph, {}), {});
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(result->device.nodes.size(), 1500u);
}

}  // namespace
}  // namespace graupel::cut
