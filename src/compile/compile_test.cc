// Plans against the reference evaluator, bit for bit: random QDQ networks on every instruction
// set, float tails operator by operator, the parts of a cut, fusions, refusals.
#include "compile/compile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "compile/differential.h"
#include "compile/random_nets.h"

namespace graupel::compile {
namespace {

std::vector<Tensor> reference(const ir::Graph& graph, std::span<const Tensor> inputs) {
  Result<std::vector<Tensor>> outputs = evaluated(graph, inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.error().message();
  return outputs.ok() ? *std::move(outputs) : std::vector<Tensor>();
}

std::map<std::string, Tensor> answers(const run::Plan& plan, const Tensor& window,
                                      kernels::Isa isa) {
  Result<std::map<std::string, Tensor>> named = plan_answers(plan, window, isa);
  EXPECT_TRUE(named.ok()) << named.error().message();
  return named.ok() ? *std::move(named) : std::map<std::string, Tensor>();
}

void expect_same(const ir::Graph& graph, uint64_t seed, const std::string& what) {
  const Shape& shape = graph.shape(graph.inputs[0]);
  const Result<std::string> found =
      difference(graph, {random_window(shape, seed), random_window(shape, seed + 1)});
  ASSERT_TRUE(found.ok()) << what << ": " << found.error().message();
  ASSERT_EQ(*found, "") << what << "\n" << ir::print(graph, ir::Constants::kElided);
}

TEST(Compile, RandomNetworksEqualTheEvaluator) {
  std::map<std::string, int> kinds;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const ir::Graph graph = random_qdq_net(seed);
    expect_same(graph, seed, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
    const Result<run::Plan> plan = compile_plan({}, graph, {});
    for (const run::Step& step : plan->steps) {
      ++kinds[std::string(run::step_name(step.body))];
      const run::ConvInt8* conv = std::get_if<run::ConvInt8>(&step.body);
      if (conv != nullptr && conv->pool) ++kinds["fused pool"];
      if (conv != nullptr && conv->groups > 1) ++kinds["groups"];
    }
  }
  // The generator has to reach what it is there for.
  for (const char* kind : {"ConvInt8", "MaxPoolInt8", "AveragePoolInt8", "Lookup", "BinaryInt8",
                           "Quantize", "Dequantize", "Move", "ConvF32", "fused pool", "groups"}) {
    EXPECT_GT(kinds[kind], 5) << kind;
  }
}

TEST(Compile, WhatIsJoinedToConvolutionsEqualsTheEvaluator) {
  std::map<std::string, int> kinds;
  for (uint64_t seed = 0; seed < 70; ++seed) {
    const bool large = seed % 10 == 0;
    const ir::Graph graph = random_joined_net(seed, large);
    expect_same(graph, seed, "joined, seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
    const Result<run::Plan> plan = compile_plan({}, graph, {});
    for (const run::Step& step : plan->steps) {
      const run::ConvInt8* conv = std::get_if<run::ConvInt8>(&step.body);
      if (conv == nullptr) continue;
      const std::string size = large ? " in strips" : "";
      if (conv->pool) ++kinds["pool" + size];
      if (conv->residual.valid()) ++kinds["sum" + size];
      if (conv->average.valid()) ++kinds["average" + size];
      if (conv->residual.valid() && conv->groups > 1) ++kinds["sum behind depthwise"];
    }
  }
  for (const char* kind : {"pool", "sum", "average", "pool in strips", "sum in strips",
                           "average in strips", "sum behind depthwise"}) {
    EXPECT_GT(kinds[kind], 0) << kind;
  }
}

// ---- float operators ----

struct FloatCase {
  std::string name;
  ir::Op op;
  std::vector<Tensor> constants;  // inputs after the first; an empty one is omitted
  Shape shape = {1, 4, 5, 6};
};

Tensor ramp(Shape shape, double low, double high) {
  NetBuilder b(static_cast<uint64_t>(shape.size()) + 3);
  return b.floats(std::move(shape), low, high);
}
Tensor ints(const std::vector<int64_t>& values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor none() { return Tensor(DType::kFloat32, {0}); }

ir::Window window_2d() {
  ir::Window w;
  w.kernel = {3, 2};
  w.strides = {2, 1};
  w.pads = {1, 0, 1, 1};
  return w;
}

std::vector<FloatCase> window_cases() {
  ir::Window same = window_2d();
  same.pads.clear();
  same.auto_pad = ir::AutoPad::kSameLower;
  ir::Conv grouped{window_2d(), 2};
  grouped.window.dilations = {1, 2};
  ir::ConvTranspose shaped{window_2d(), 1, {}, {10, 7}};
  shaped.window.pads.clear();
  return {
      {"conv", ir::Conv{window_2d(), 1}, {ramp({3, 4, 3, 2}, -1, 1), ramp({3}, -1, 1)}},
      {"conv same", ir::Conv{same, 1}, {ramp({3, 4, 3, 2}, -1, 1)}},
      {"conv groups", grouped, {ramp({6, 2, 3, 2}, -1, 1)}},
      {"conv transpose",
       ir::ConvTranspose{window_2d(), 2, {}, {}},
       {ramp({4, 3, 3, 2}, -1, 1), ramp({6}, -1, 1)}},
      {"conv transpose shape", shaped, {ramp({4, 3, 3, 2}, -1, 1)}},
      {"max pool", ir::MaxPool{window_2d(), true}, {}},
      {"average pool", ir::AveragePool{window_2d(), true, true}, {}},
      {"average pool valid", ir::AveragePool{window_2d(), false, false}, {}},
      {"global average", ir::GlobalPool{ir::PoolKind::kAverage}, {}},
      {"global max", ir::GlobalPool{ir::PoolKind::kMax}, {}},
      {"max pool 1d", ir::MaxPool{ir::Window{{3}, {2}, {}, {1, 1}}, false}, {}, {2, 3, 9}},
  };
}

std::vector<FloatCase> shape_cases() {
  const ir::Resize linear{ir::ResizeMode::kLinear};
  ir::Resize cubic{ir::ResizeMode::kCubic, ir::ResizeCoordinates::kAlignCorners};
  ir::Resize outside{ir::ResizeMode::kCubic};
  outside.exclude_outside = true;
  return {
      {"resize linear", linear, {none(), Tensor::of<float>({4}, {1, 1, 1.7f, 2})}},
      {"resize cubic", cubic, {none(), none(), ints({1, 4, 3, 11})}},
      {"resize outside", outside, {none(), Tensor::of<float>({4}, {1, 1, 2, 0.5f})}},
      {"transpose", ir::Transpose{{2, 0, 3, 1}}, {}},
      {"reshape", ir::Reshape{}, {ints({2, -1})}},
      {"pad reflect", ir::Pad{ir::PadMode::kReflect}, {ints({0, 1, 2, 0, 0, 1, 0, 3})}},
      {"pad value", ir::Pad{}, {ints({0, 0, 1, 0, 0, 0, 0, 2}), Tensor::scalar(7.5f)}},
      {"expand", ir::Expand{}, {ints({3, 4, 5, 6})}},
      {"tile", ir::Tile{}, {ints({1, 2, 1, 3})}},
      {"gather", ir::Gather{2}, {ints({4, 0, -1})}},
      {"slice", ir::Slice{}, {ints({4, 1}), ints({-100, 5}), ints({2, 3}), ints({-2, 1})}},
      {"depth to space", ir::DepthToSpace{2, ir::DepthOrder::kColumnRowDepth}, {}},
      {"arg max", ir::ArgReduce{ir::ArgKind::kMax, 2, false, true}, {}},
      {"softmax", ir::Softmax{ir::SoftmaxKind::kSoftmax, 1}, {}},
      {"log softmax", ir::Softmax{ir::SoftmaxKind::kLogSoftmax, -1}, {}},
      {"hardmax", ir::Softmax{ir::SoftmaxKind::kHardmax, 2}, {}},
      {"matmul", ir::MatMul{}, {ramp({4, 6, 3}, -1, 1)}},
      {"matmul vector", ir::MatMul{}, {ramp({6}, -1, 1)}},
      {"gemm", ir::Gemm{0.5, 2.0, true, true}, {ramp({7, 5}, -1, 1), ramp({7}, -1, 1)}, {5, 6}},
      {"gemm plain", ir::Gemm{}, {ramp({6, 7}, -1, 1), ramp({5, 1}, -1, 1)}, {5, 6}},
      {"batch norm",
       ir::BatchNormalization{1e-3},
       {ramp({4}, 0.5, 2), ramp({4}, -1, 1), ramp({4}, -1, 1), ramp({4}, 0.1, 2)}},
      {"instance norm", ir::InstanceNormalization{1e-4}, {ramp({4}, 0.5, 2), ramp({4}, -1, 1)}},
      {"layer norm", ir::LayerNormalization{-2, 1e-4}, {ramp({5, 6}, 0.5, 2), ramp({6}, -1, 1)}},
      {"layer norm no bias", ir::LayerNormalization{2, 1e-4}, {ramp({6}, 0.5, 2)}},
      {"lrn", ir::LRN{1e-2, 0.7, 1.5, 3}, {}},
      {"prelu", ir::PRelu{}, {ramp({4, 1, 1}, -1, 1)}},
      {"clip", ir::Clip{}, {Tensor::scalar(-0.5f), Tensor::scalar(1.0f)}},
      {"clip above", ir::Clip{}, {none(), Tensor::scalar(0.25f)}},
      {"cast int64", ir::Cast{DType::kInt64}, {}},
      {"cast bool", ir::Cast{DType::kBool}, {}},
      {"cast uint8", ir::Cast{DType::kUInt8}, {}},
      {"leaky", ir::LeakyRelu{0.2}, {}},
      {"elu", ir::Elu{0.7}, {}},
      {"selu", ir::Selu{}, {}},
      {"celu", ir::Celu{1.3}, {}},
      {"thresholded", ir::ThresholdedRelu{0.4}, {}},
      {"hard sigmoid", ir::HardSigmoid{0.3, 0.4}, {}},
      {"mean of three",
       ir::Variadic{ir::VariadicKind::kMean},
       {ramp({5, 1}, -1, 1), ramp({6}, -1, 1)}},
      {"max of two", ir::Variadic{ir::VariadicKind::kMax}, {ramp({4, 1, 1}, -1, 1)}},
  };
}

// A float graph of one operator on the window.
Result<ir::Graph> graph_of(const FloatCase& test) {
  ir::Graph graph;
  graph.name = test.name;
  const ir::ValueId x = ir::add_input(graph, "x", DType::kFloat32, test.shape);
  std::vector<ir::ValueId> inputs = {x};
  for (const Tensor& tensor : test.constants) {
    inputs.push_back(tensor.size() == 0 ? ir::ValueId()
                                        : ir::add_constant(graph, "constant", tensor));
  }
  TRY_ASSIGN(const ir::NodeId node, ir::add_node(graph, "op", test.op, inputs));
  graph.outputs = {graph.node(node).outputs[0]};
  return graph;
}

void expect_cases(const std::vector<FloatCase>& cases) {
  for (const FloatCase& test : cases) {
    const Result<ir::Graph> graph = graph_of(test);
    ASSERT_TRUE(graph.ok()) << test.name << ": " << graph.error().message();
    expect_same(*graph, 77, test.name);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(Compile, FloatWindowsEqualTheEvaluator) { expect_cases(window_cases()); }
TEST(Compile, FloatShapesAndSumsEqualTheEvaluator) { expect_cases(shape_cases()); }

TEST(Compile, FloatFamiliesEqualTheEvaluator) {
  std::vector<FloatCase> cases;
  for (const ir::UnaryKind kind : ir::all_unary_kinds()) {
    if (kind == ir::UnaryKind::kNot) continue;
    cases.push_back({std::string(ir::to_string(kind)), ir::Unary{kind}, {}});
  }
  for (const ir::BinaryKind kind : ir::all_binary_kinds()) {
    if (kind == ir::BinaryKind::kMod || kind >= ir::BinaryKind::kAnd) continue;
    cases.push_back({std::string(ir::to_string(kind)), ir::Binary{kind}, {ramp({5, 1}, 0.1, 2)}});
  }
  for (const ir::ReduceKind kind : ir::all_reduce_kinds()) {
    cases.push_back({std::string(ir::to_string(kind)), ir::Reduce{kind, true}, {ints({1, 3})}});
    cases.push_back({std::string(ir::to_string(kind)), ir::Reduce{kind, false}, {}});
  }
  expect_cases(cases);
}

// tanh bound, Round, digits and code in int64: the arithmetic of an FSQ tail.
TEST(Compile, IntegerTailsEqualTheEvaluator) {
  NetBuilder b(5);
  const ir::ValueId x = ir::add_input(b.graph, "x", DType::kFloat32, {1, 5});
  const ir::ValueId q =
      b.node(ir::Unary{ir::UnaryKind::kRound},
             {b.node(ir::Binary{ir::BinaryKind::kMul}, {x, b.constant(Tensor::scalar(3.0f))})});
  const ir::ValueId whole = b.node(ir::Cast{DType::kInt64}, {q});
  const ir::ValueId digits =
      b.node(ir::Binary{ir::BinaryKind::kAdd}, {whole, b.constant(ints({4, 3, 2, 2, 2}))});
  const ir::ValueId weighted =
      b.node(ir::Binary{ir::BinaryKind::kMul}, {digits, b.constant(ints({1, 8, 48, 240, 1200}))});
  const ir::ValueId code =
      b.node(ir::Reduce{ir::ReduceKind::kSum, false}, {weighted, b.constant(ints({1}))});
  const ir::ValueId parity =
      b.node(ir::Binary{ir::BinaryKind::kMod}, {digits, b.constant(ints({2}))});
  const ir::ValueId odd =
      b.node(ir::Binary{ir::BinaryKind::kEqual}, {parity, b.constant(ints({1}))});
  const ir::ValueId even = b.node(ir::Unary{ir::UnaryKind::kNot}, {odd});
  const ir::ValueId chosen = b.node(ir::Where{}, {even, digits, weighted});
  const ir::ValueId wide = b.node(ir::Concat{1}, {digits, chosen});
  b.graph.outputs = {digits, code, odd, chosen, wide};
  expect_same(b.graph, 3, "integer tail");
}

// ---- parts, roles, normalisation ----

struct Parts {
  ir::Graph device, host;
};
Parts cut_in_two(uint64_t seed) {
  Parts parts;
  parts.device = random_qdq_net(seed);
  parts.device.outputs = {parts.device.outputs.back()};
  const ir::ValueId crossing = parts.device.outputs[0];
  NetBuilder b(seed);
  const Shape& shape = parts.device.shape(crossing);
  const ir::ValueId x =
      ir::add_input(b.graph, parts.device.value(crossing).name, DType::kFloat32, shape);
  const ir::ValueId logits =
      b.node(ir::MatMul{}, {x, b.constant(b.floats({shape.back(), 4}, -1, 1))});
  const ir::ValueId digits = b.node(ir::Cast{DType::kInt64}, {logits});
  b.graph.value(logits).name = "logits";
  b.graph.value(digits).name = "fsq_digits";
  b.graph.outputs = {logits, digits};
  parts.host = b.graph;
  return parts;
}

TEST(Compile, PartsMeetByNameAndOutputsHaveRoles) {
  const Parts parts = cut_in_two(4);
  const Result<run::Plan> plan = compile_plan({}, parts.device, parts.host);
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  ASSERT_EQ(plan->outputs.size(), 2u);
  EXPECT_EQ(plan->outputs[0].role, run::Role::kLogits);
  EXPECT_EQ(plan->outputs[1].role, run::Role::kFsqDigits);
  const Tensor window = random_window(parts.device.shape(parts.device.inputs[0]), 1);
  const std::vector<Tensor> crossing = reference(parts.device, {&window, 1});
  const std::vector<Tensor> expected = reference(parts.host, crossing);
  const std::map<std::string, Tensor> found = answers(*plan, window, kernels::Isa::kScalar);
  EXPECT_EQ(found.at("logits"), expected[0]);
  EXPECT_EQ(found.at("fsq_digits"), expected[1]);
  EXPECT_EQ(plan->steps.front().part, run::Part::kDevice);
  EXPECT_EQ(plan->steps.back().part, run::Part::kHost);
}

// before -> device -> host by three plans, the middle one in the device's place.
TEST(Compile, WhatRunsBesideADeviceGivesTheBytesOfTheWhole) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Parts parts = cut_in_two(seed);
    const Shape& shape = parts.device.shape(parts.device.inputs[0]);
    CompileOptions options;
    const auto channels = static_cast<size_t>(shape[1]);
    options.normalization = data::Normalization{std::vector<double>(channels, 0.25),
                                                std::vector<double>(channels, 2.0)};
    if (seed % 3 == 0) options.normalization.reset();
    const Result<run::Plan> whole = compile_plan({}, parts.device, parts.host, options);
    const Result<run::Plan> device = compile_plan({}, parts.device, {});
    const Result<DeviceSides> sides = compile_device_sides({}, parts.device, parts.host, options);
    if (!whole.ok() || !device.ok()) continue;
    ASSERT_TRUE(sides.ok()) << sides.error().message();
    ASSERT_TRUE(sides->host);
    const Tensor window = random_window(shape, seed);
    const std::map<std::string, Tensor> made =
        answers(sides->before, window, kernels::Isa::kScalar);
    ASSERT_EQ(made.size(), 1u);
    const std::map<std::string, Tensor> crossing = answers(
        *device, made.at(parts.device.value(parts.device.inputs[0]).name), kernels::Isa::kScalar);
    Result<run::Engine> host = run::load_engine(
        *sides->host, {.isa = kernels::Isa::kScalar, .inputs = run::EngineInputs::kTensors});
    ASSERT_TRUE(host.ok());
    std::vector<Tensor> inputs;
    for (const run::Port& port : sides->host->inputs) inputs.push_back(crossing.at(port.name));
    ASSERT_TRUE(run::run_tensors(*host, inputs).ok());
    const std::map<std::string, Tensor> expected = answers(*whole, window, kernels::Isa::kScalar);
    for (size_t i = 0; i < sides->host->outputs.size(); ++i) {
      EXPECT_EQ(run::output_tensor(*host, i), expected.at(sides->host->outputs[i].name)) << seed;
    }
    inputs.push_back(inputs[0]);
    EXPECT_FALSE(run::run_tensors(*host, inputs).ok());
  }
}

TEST(Compile, NormalizationIsTakenIntoTheFirstQuantisation) {
  const ir::Graph graph = random_qdq_net(4);
  const Shape& shape = graph.shape(graph.inputs[0]);
  CompileOptions options;
  options.normalization.emplace();
  for (int64_t c = 0; c < shape[1]; ++c) {
    options.normalization->mean.push_back(0.1 * static_cast<double>(c));
    options.normalization->std.push_back(1.0 + 0.3 * static_cast<double>(c));
  }
  const Result<run::Plan> plan = compile_plan({}, graph, {}, options);
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  for (const run::Step& step : plan->steps) {
    EXPECT_FALSE(std::holds_alternative<run::Normalize>(step.body));
  }
  const Tensor raw = random_window(shape, 9);
  const Result<Tensor> scaled = data::preprocess(raw, *options.normalization);
  ASSERT_TRUE(scaled.ok());
  const std::vector<Tensor> expected = reference(graph, {&*scaled, 1});
  for (const kernels::Isa isa : kernels::supported_isas()) {
    const std::map<std::string, Tensor> found = answers(*plan, raw, isa);
    for (size_t o = 0; o < expected.size(); ++o) {
      EXPECT_EQ(found.at(graph.value(graph.outputs[o]).name), expected[o]);
    }
  }
  options.normalization->mean.push_back(0.0);
  options.normalization->std.push_back(1.0);
  EXPECT_EQ(compile_plan({}, graph, {}, options).error().code, ErrorCode::kInvalidInput);
}

TEST(Compile, PreprocessesAsTheReferenceDoes) {
  const ir::Graph graph = random_qdq_net(4);
  const Shape& shape = graph.shape(graph.inputs[0]);
  const auto channels = static_cast<size_t>(shape[1]);
  for (int form = 0; form < 8; ++form) {
    CompileOptions options;
    options.normalization = data::Normalization{std::vector<double>(channels, (form & 1) * 0.7),
                                                std::vector<double>(channels, 0.3)};
    for (int64_t c = 0; c < shape[1]; c += 2) {
      if ((form & 2) != 0) options.normalization->centred.push_back(c);
    }
    if ((form & 4) != 0) options.normalization->clip = 1.25;
    const Tensor raw = random_window(shape, static_cast<uint64_t>(form));
    const Result<Tensor> scaled = data::preprocess(raw, *options.normalization);
    ASSERT_TRUE(scaled.ok());
    const Result<run::Plan> plan = compile_plan({}, graph, {}, options);
    ASSERT_TRUE(plan.ok()) << plan.error().message();
    const std::vector<Tensor> expected = reference(graph, {&*scaled, 1});
    for (const kernels::Isa isa : kernels::supported_isas()) {
      const std::map<std::string, Tensor> found = answers(*plan, raw, isa);
      for (size_t o = 0; o < expected.size(); ++o) {
        EXPECT_EQ(found.at(graph.value(graph.outputs[o]).name), expected[o]) << form;
      }
    }
    const Result<run::Plan> alone = compile_preprocessing("x", shape, *options.normalization);
    ASSERT_TRUE(alone.ok()) << alone.error().message();
    ASSERT_EQ(alone->outputs.size(), 1u);
    EXPECT_EQ(answers(*alone, raw, kernels::Isa::kScalar).begin()->second, *scaled) << form;
  }
}

TEST(Compile, GivesTheSameBytesEveryTime) {
  const Parts parts = cut_in_two(11);
  const Result<run::Plan> one = compile_plan({}, parts.device, parts.host);
  const Result<run::Plan> two = compile_plan({}, parts.device, parts.host);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(run::format_plan(*one), run::format_plan(*two));
}

// ---- refusals ----

TEST(Compile, NamesWhatItCannotLower) {
  const FloatCase top_k{"top k", ir::CumSum{}, {Tensor::scalar<int64_t>(1)}};
  const Result<ir::Graph> graph = graph_of(top_k);
  ASSERT_TRUE(graph.ok());
  const Result<run::Plan> plan = compile_plan({}, *graph, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(plan.error().message().find("op (CumSum)"), std::string::npos)
      << plan.error().message();
}

TEST(Compile, ProvesThatNoAccumulatorWraps) {
  QdqBuilder b(1);
  const int64_t depth = 70000;  // 70000 * 127 * 255 is over 2^31
  const ir::ValueId x = ir::add_input(b.graph, "x", DType::kFloat32, {1, depth});
  const Scale scale{0.1f, 0, false};
  Tensor weights(DType::kInt8, {depth, 1});
  std::fill_n(reinterpret_cast<int8_t*>(weights.mutable_bytes()), depth, int8_t{127});
  const ir::ValueId w =
      b.node(ir::DequantizeLinear{1}, {b.constant(weights), b.constant(Tensor::scalar(0.1f)),
                                       b.constant(Tensor::scalar<int8_t>(0))});
  b.graph.outputs = {b.pair(b.node(ir::MatMul{}, {b.pair(x, scale), w}), scale)};
  const Result<run::Plan> plan = compile_plan({}, b.graph, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(plan.error().message().find("int32"), std::string::npos);
}

TEST(Compile, RefusesAnInputThatNoPartMakes) {
  Parts parts = cut_in_two(2);
  parts.host.value(parts.host.inputs[0]).name = "elsewhere";
  const Result<run::Plan> plan = compile_plan({}, parts.device, parts.host);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kInvalidInput);
  EXPECT_FALSE(compile_plan({}, {}, {}).ok());
}

}  // namespace
}  // namespace graupel::compile
