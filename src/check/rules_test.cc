// Every rule of every built-in target, each with a model that trips it and one that does not.
#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>
#include <map>

#include "base/files.h"
#include "check/format.h"
#include "check/test_models.h"

namespace graupel::check {
namespace {

using ir::BinaryKind;
using ir::ReduceKind;
using ir::UnaryKind;
using ir::ValueId;

using Build = std::function<void(Model&)>;
struct Pair {
  Build trips;
  Build passes;
};
using Pairs = std::map<std::string, Pair>;

// A model that is one operator over one input.
Build unary(UnaryKind kind) {
  return [kind](Model& m) { m.output(m.unary(kind, m.input())); };
}
Build opaque(const std::string& type, const std::string& domain = "") {
  return [=](Model& m) { m.output(m.opaque(type, {m.input()}, domain)); };
}
Build op_on(ir::Op op, Shape shape = {1, 16, 4, 20}) {
  return [=](Model& m) { m.output(m.add(op, {m.input(shape)})); };
}
Build conv(int64_t channels, ir::Ints kernel, ir::Ints strides = {}, int64_t group = 1) {
  return [=](Model& m) {
    m.output(m.relu(m.conv(m.input({1, 16, 32, 32}), channels, kernel, strides, group)));
  };
}
Build pool(ir::Ints kernel, ir::Ints strides) {
  return op_on(ir::MaxPool{{kernel, strides, {}, {}}, false, false});
}
Build deconv(int64_t group) {
  return [=](Model& m) {
    const ValueId x = m.input({1, 16, 4, 20});
    const ir::ConvTranspose op{{{3, 3}, {}, {}, {}}, group, {}, {}};
    m.output(m.add(op, {x, m.floats({16, 8 / group, 3, 3})}));
  };
}
Build dilated(int64_t dilation) {
  return [=](Model& m) {
    const ir::Conv op{{{3, 3}, {}, {dilation, dilation}, {}}, 1};
    m.output(m.add(op, {m.input({1, 16, 32, 32}), m.floats({8, 16, 3, 3})}));
  };
}
Build reduce(ReduceKind kind, std::vector<int64_t> axes, bool keepdims) {
  return [=](Model& m) { m.output(m.reduce(kind, m.input({1, 16, 4, 20}), axes, keepdims)); };
}
Build weights(int64_t count) {
  return [=](Model& m) { m.output(m.opaque("Foo", {m.input(), m.millions(count)})); };
}
Build concat(int64_t axis, Shape a, Shape b) {
  return [=](Model& m) { m.output(m.relu(m.add(ir::Concat{axis}, {m.input(a), m.input(b)}))); };
}
Build concat_ranges(double small) {
  return [=](Model& m) {
    concat(1, {1, 8, 4, 4}, {1, 8, 4, 4})(m);
    m.options.ranges = {{"x0", {-8.0, 8.0}}, {"x1", {0.0, small}}};
  };
}
Build softmax(int64_t axis) { return op_on(ir::Softmax{ir::SoftmaxKind::kSoftmax, axis}); }
Build then_relu(const Build& build) {
  return [=](Model& m) {
    build(m);
    m.graph.outputs[0] = m.relu(m.graph.outputs[0]);
  };
}
Build file(int64_t bytes) {
  return [=](Model& m) {
    plain_network(m);
    m.options.file_bytes = bytes;
  };
}
Build versions(int64_t opset, int64_t ir_version) {
  return [=](Model& m) {
    plain_network(m);
    m.options.opset = opset;
    m.options.ir_version = ir_version;
  };
}
Build many(const Build& build, int count) {
  return [=](Model& m) {
    for (int i = 0; i < count; ++i) build(m);
  };
}
Build resize(int64_t factor, ir::ResizeMode mode) {
  return [=](Model& m) {
    const auto size = static_cast<float>(factor);
    const ValueId scales = m.constant(Tensor::of<float>({4}, {1.0f, 1.0f, size, size}));
    ir::Resize op;
    op.mode = mode;
    m.output(m.add(op, {m.input({1, 16, 32, 32}), ValueId(), scales}));
  };
}
Build padded(ir::PadMode mode) {
  return [=](Model& m) {
    m.output(m.add(ir::Pad{mode}, {m.input(), m.ints({0, 0, 0, 1, 0, 0, 0, 1})}));
  };
}
Build sliced(Shape shape, int64_t axis) {
  return [=](Model& m) {
    m.output(m.add(ir::Slice{},
                   {m.input(shape), m.ints({0}), m.ints({1}), m.ints({axis}), m.ints({1})}));
  };
}
Build gathered(int64_t axis) {
  return [=](Model& m) {
    m.output(m.add(ir::Gather{axis}, {m.input({1, 8, 4, 4}), m.ints({0, 0})}));
  };
}
Build constant_operand(Shape shape) {
  return [=](Model& m) {
    m.output(m.binary(BinaryKind::kAdd, m.input({1, 9, 2, 100}), m.floats(shape)));
  };
}
Build prelu(Shape slope) {
  return [=](Model& m) { m.output(m.add(ir::PRelu{}, {m.input({1, 9, 2, 9}), m.floats(slope)})); };
}
Build gelu(float divisor) {
  return [=](Model& m) { m.output(m.gelu(m.input(), divisor)); };
}
Build cast(DType from, DType to) {
  return [=](Model& m) { m.output(m.add(ir::Cast{to}, {m.input({1, 9, 2, 100}, from)})); };
}
Build instance_norm(bool reshaped) {
  return [=](Model& m) {
    ValueId x = m.input({1, 16, 4, 20});
    if (reshaped) x = m.reshape(x, {1, 4, 16, 20});
    const int64_t channels = m.graph.shape(x)[1];
    x = m.add(ir::InstanceNormalization{}, {x, m.floats({channels}), m.floats({channels})});
    m.output(reshaped ? m.reshape(x, {1, 16, 4, 20}) : x);
  };
}
Build weight_range(float smallest) {
  return [=](Model& m) {
    const Tensor weight = Tensor::of<float>({2, 2}, {1.0f, smallest, -1.0f, smallest});
    m.output(m.add(ir::Gemm{}, {m.input({1, 2}), m.constant(weight)}));
  };
}

void channel_shuffle(Model& m) {
  ValueId x = m.reshape(m.input({1, 16, 4, 20}), {1, 4, 4, 4, 20});
  x = m.transpose(x, {0, 2, 1, 3, 4});
  m.output(m.reshape(x, {1, 16, 4, 20}));
}
void two_activations(Model& m) {
  m.output(m.add(ir::MatMul{}, {m.input({1, 2, 16, 8}), m.input({1, 2, 8, 16})}));
}
void two_attentions(Model& m) {
  attention_network(m);
  attention_network(m);
}
void computed_weights(Model& m) {
  m.output(
      m.add(ir::Conv{{{3, 3}, {}, {}, {}}, 1}, {m.input({1, 8, 9, 9}), m.input({4, 8, 3, 3})}));
}
void batch_norm(Model& m) {
  const ValueId c = m.floats({9}, 1.0f);
  m.output(m.add(ir::BatchNormalization{}, {m.input(), c, c, c, c}));
}
void softmax_head(Model& m) {
  plain_network(m);
  m.graph.outputs[0] = m.add(ir::Softmax{ir::SoftmaxKind::kSoftmax, 1}, {m.graph.outputs[0]});
}
void decomposed_norm(Model& m) {
  const ValueId x = m.input({1, 16, 32});
  const ValueId centred = m.binary(BinaryKind::kSub, x, m.reduce(ReduceKind::kMean, x, {-1}, true));
  const ValueId variance =
      m.reduce(ReduceKind::kMean, m.binary(BinaryKind::kPow, centred, 2.0f), {-1}, true);
  const ValueId deviation = m.unary(UnaryKind::kSqrt, m.binary(BinaryKind::kAdd, variance, 1e-5f));
  m.output(m.binary(BinaryKind::kDiv, centred, deviation));
}
void split(Model& m) {
  for (const ValueId half : m.add_all(ir::Split{1}, {m.input({1, 8, 4, 4})}, 2)) m.output(half);
}
void split_inside(Model& m) {
  const std::vector<ValueId> halves = m.add_all(ir::Split{1}, {m.input({1, 8, 4, 4})}, 2);
  m.output(m.binary(BinaryKind::kAdd, halves[0], halves[1]));
}
void layer_norm(Model& m) {
  m.output(m.add(ir::LayerNormalization{-1, 1e-5}, {m.input({1, 16, 32}), m.floats({32})}));
}
void tokens(Model& m) { m.output(m.relu(m.input({1, 16, 32}))); }
void unknown_input(Model& m) { m.output(m.relu(m.unshaped_input())); }
void unknown_result(Model& m) {
  m.output(m.add(ir::Reshape{}, {m.input(), m.input({2}, DType::kInt64)}));
}

Pairs model_pairs() {
  return {
      {"unknown-op", {opaque("Foo", "my.domain"), plain_network}},
      {"opset-range", {versions(18, 8), versions(17, 8)}},
      {"ir-version", {versions(17, 9), versions(11, 8)}},
      {"file-size", {file(40 << 20), file(32 << 20)}},
      {"weights-exceed-memory", {weights(34), weights(16)}},
      {"param-count", {weights(27), weights(12)}},
      {"control-units", {many(conv(8, {1, 1}), 97), many(conv(8, {1, 1}), 48)}},
      {"context-prediction", {plain_network, unary(UnaryKind::kRelu)}},
      {"activation-memory",
       {op_on(ir::Unary{UnaryKind::kRelu}, {1, 64, 1024, 1024}), plain_network}},
      {"normalization-cost", {layer_norm, plain_network}},
      {"softmax-cost", {two_attentions, attention_network}},
      {"open-dimension",
       {[](Model& m) {
          plain_network(m);
          m.options.dynamic_dims = {{"x0", {"batch"}}};
        },
        plain_network}},
      {"dynamic-input", {unknown_input, plain_network}},
      {"batch-one", {op_on(ir::Unary{}, {2, 9, 2, 100}), plain_network}},
      {"input-rank", {op_on(ir::Unary{}, {1, 9, 2, 10, 10}), plain_network}},
      {"input-rank-not-four", {tokens, plain_network}},
      {"input-dtype", {cast(DType::kInt64, DType::kFloat32), plain_network}},
      {"output-softmax", {softmax_head, attention_network}},
      {"output-rank", {tokens, plain_network}},
      {"dynamic-shape", {unknown_result, plain_network}},
      {"batch-changed", {op_on(ir::Unary{}, {2, 9, 2, 100}), plain_network}},
      {"rank-above-four", {op_on(ir::Unary{}, {1, 9, 2, 10, 10}), channel_shuffle}},
      {"unnamed-node",
       {[](Model& m) {
          plain_network(m);
          m.options.unnamed_nodes = {m.graph.nodes[1].name};
        },
        plain_network}},
      {"not-float",
       {[](Model& m) {
          m.output(m.binary(BinaryKind::kAdd, m.input({1, 8}, DType::kInt64), m.ints({1})));
        },
        plain_network}},
      {"activation-range",
       {[](Model& m) {
          plain_network(m);
          m.options.ranges = {{m.graph.values[m.graph.outputs[0].index()].name, {-3.0, 500.0}}};
        },
        [](Model& m) {
          plain_network(m);
          m.options.ranges = {{m.graph.values[m.graph.outputs[0].index()].name, {-30.0, 50.0}}};
        }}},
  };
}

Pairs layer_pairs() {
  return {
      {"conv1d",
       {[](Model& m) {
          m.output(m.conv(m.input({1, 9, 100}), 16, {5}));
        },
        conv(16, {1, 5})}},
      {"conv3d",
       {[](Model& m) {
          m.output(m.conv(m.input({1, 3, 8, 8, 8}), 8, {3, 3, 3}));
        },
        conv(16, {3, 3})}},
      {"conv-patch", {conv(16, {16, 16}, {16, 16}), conv(16, {8, 8}, {8, 8})}},
      {"kernel-size", {conv(16, {1, 9}), conv(16, {7, 7})}},
      {"kernel-even", {conv(16, {1, 4}), conv(16, {4, 4}, {4, 4})}},
      {"stride-power-of-two", {conv(16, {3, 3}, {1, 3}), conv(16, {3, 3}, {4, 2})}},
      {"dilated-conv", {dilated(2), dilated(1)}},
      {"grouped-conv", {conv(16, {3, 3}, {}, 16), conv(16, {3, 3})}},
      {"grouped-deconv", {deconv(2), deconv(1)}},
      {"conv-weights-dynamic", {computed_weights, plain_network}},
      {"channel-alignment", {conv(12, {1, 1}), conv(24, {1, 1})}},
      {"channel-prime", {conv(13, {1, 1}), conv(12, {1, 1})}},
      {"weight-range", {weight_range(1e-4f), weight_range(1e-2f)}},
      {"pool-size", {pool({4, 4}, {4, 4}), pool({2, 2}, {2, 2})}},
      {"global-max-pool",
       {op_on(ir::GlobalPool{ir::PoolKind::kMax}), op_on(ir::GlobalPool{ir::PoolKind::kAverage})}},
      {"round", {fsq_network, unary(UnaryKind::kTanh)}},
      {"unsupported-activation", {op_on(ir::Selu{}), op_on(ir::Elu{})}},
      {"erf", {gelu(2.0f), gelu(std::sqrt(2.0f))}},
      {"gelu", {gelu(std::sqrt(2.0f)), gelu(2.0f)}},
      {"lone-math", {unary(UnaryKind::kExp), decomposed_norm}},
      {"softplus", {unary(UnaryKind::kSoftplus), unary(UnaryKind::kSigmoid)}},
      {"prelu-slope", {prelu({9}), prelu({9, 1, 1})}},
      {"elementwise-rank", {constant_operand({100}), constant_operand({1, 9, 1, 1})}},
      {"batch-norm-left", {batch_norm, plain_network}},
      {"group-norm", {instance_norm(true), instance_norm(false)}},
      {"lrn", {op_on(ir::LRN{1e-4, 0.75, 1.0, 3}), plain_network}},
      {"recurrent", {opaque("LSTM"), plain_network}},
      {"deformable", {opaque("DeformConv"), plain_network}},
      {"data-dependent", {opaque("NonMaxSuppression"), op_on(ir::ArgReduce{})}},
      {"control-flow", {opaque("Loop"), plain_network}},
      {"shape-driven", {op_on(ir::ShapeOf{}), plain_network}},
      {"already-quantized", {opaque("QLinearAdd", "com.microsoft"), plain_network}},
  };
}

Pairs movement_pairs() {
  const Shape map = {1, 8, 4, 4};
  return {
      {"pad-mode", {padded(ir::PadMode::kReflect), padded(ir::PadMode::kConstant)}},
      {"concat-batch", {concat(0, map, map), concat(1, map, map)}},
      {"concat-rank", {concat(1, {1, 8}, {1, 8}), concat(1, map, map)}},
      {"concat-axis", {concat(3, map, map), concat(-3, map, map)}},
      {"concat-ranges", {concat_ranges(0.5), concat_ranges(4.0)}},
      {"concat-output",
       {[=](Model& m) {
          m.output(m.add(ir::Concat{1}, {m.input(map), m.input(map)}));
        },
        concat(1, map, map)}},
      {"split-output", {split, split_inside}},
      {"slice-axis", {sliced({1, 8, 4}, 1), sliced(map, 2)}},
      {"gather-form", {gathered(2), gathered(1)}},
      {"movement", {op_on(ir::Transpose{{0, 2, 3, 1}}), channel_shuffle}},
      {"resize-large", {resize(16, ir::ResizeMode::kLinear), resize(2, ir::ResizeMode::kLinear)}},
      {"resize-mode", {resize(2, ir::ResizeMode::kCubic), resize(2, ir::ResizeMode::kNearest)}},
      {"cast", {cast(DType::kFloat32, DType::kFloat16), cast(DType::kFloat32, DType::kFloat32)}},
      {"left-over", {op_on(ir::Dropout{}), plain_network}},
      {"reduce-mean-form",
       {reduce(ReduceKind::kMean, {2, 3}, false), reduce(ReduceKind::kMean, {-1, -2}, true)}},
      {"reduce-max-form",
       {reduce(ReduceKind::kMax, {2}, true), reduce(ReduceKind::kMax, {1}, true)}},
      {"reduce-sum-form",
       {reduce(ReduceKind::kSum, {1}, false), reduce(ReduceKind::kSum, {-3}, true)}},
      {"reduce-other", {reduce(ReduceKind::kProd, {1}, true), reduce(ReduceKind::kMax, {1}, true)}},
      {"softmax-axis", {softmax(3), softmax(1)}},
      {"argmax-form",
       {then_relu([](Model& m) {
          const ValueId x = m.add(ir::ArgReduce{ir::ArgKind::kMax, 1, true, false}, {m.input()});
          m.output(m.add(ir::Cast{DType::kFloat32}, {x}));
        }),
        op_on(ir::ArgReduce{ir::ArgKind::kMax, 1, true, false})}},
      {"matmul-activations", {two_activations, attention_network}},
      {"attention", {attention_network, two_activations}},
  };
}

Pairs all_pairs() {
  Pairs pairs = model_pairs();
  pairs.merge(layer_pairs());
  pairs.merge(movement_pairs());
  return pairs;
}

CheckReport run(const Build& build, const Target& target) {
  Model model;
  build(model);
  return check(model.graph, target, model.options);
}

TEST(Rules, EveryRuleHasAModelThatTripsItAndOneThatDoesNot) {
  Pairs pairs = all_pairs();
  std::map<std::string, size_t> used;
  for (const std::string& name : builtin_target_names()) {
    const Target target = target_named(name);
    // Between three quarters of the memory and all of it, whatever its size.
    const auto memory = static_cast<int64_t>(
        target.limits.contains("memory_bytes") ? target.limits.at("memory_bytes") / 1e6 : 0);
    pairs["weights-fill-memory"] = {weights(memory * 9 / 10), weights(memory / 2)};
    for (const Rule& rule : target.rules) {
      SCOPED_TRACE(name + " " + rule.id);
      ASSERT_TRUE(pairs.contains(rule.id)) << "no pair of models shows what this rule judges";
      ++used[rule.id];
      const std::vector<Finding> found = findings_of(run(pairs[rule.id].trips, target), rule.id);
      ASSERT_FALSE(found.empty()) << "its model does not trip it";
      EXPECT_THAT(found[0].message, testing::Not(testing::HasSubstr("unknown")));
      EXPECT_THAT(found[0].fix, testing::Not(testing::HasSubstr("unknown")));
      EXPECT_FALSE(found[0].message.empty());
      EXPECT_FALSE(found[0].fix.empty());
      EXPECT_TRUE(findings_of(run(pairs[rule.id].passes, target), rule.id).empty())
          << "its counter-example trips it too";
    }
  }
  for (const auto& [id, pair] : pairs) EXPECT_GT(used[id], 0u) << id << " is no rule's id";
}

TEST(Rules, APlainNetworkPassesEveryTargetWithoutWarning) {
  for (const std::string& name : builtin_target_names()) {
    const CheckReport report = run(plain_network, target_named(name));
    EXPECT_EQ(report.counts.errors + report.counts.warnings, 0u) << format_text(report);
  }
}

TEST(Rules, ListsNameEveryOperatorOfAFamily) {
  const Target target = target_named("hailo8");
  for (const UnaryKind kind :
       {UnaryKind::kRound, UnaryKind::kFloor, UnaryKind::kCeil, UnaryKind::kSign}) {
    EXPECT_FALSE(findings_of(run(unary(kind), target), "round").empty());
  }
  for (const char* type : {"LSTM", "GRU", "RNN"}) {
    const CheckReport report = run(opaque(type), target);
    EXPECT_EQ(findings_of(report, "recurrent").size(), 1u);
    EXPECT_TRUE(findings_of(report, "unknown-op").empty()) << "said twice";
  }
}

TEST(Rules, TheDocumentIsCurrent) {
  const std::string path = std::string(GRAUPEL_SOURCE_DIR) + "/docs/rules.md";
  const Result<std::string> wanted = rules_document();
  ASSERT_TRUE(wanted.ok()) << wanted.error().message();
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file_atomic(path, *wanted).ok());
  }
  const Result<std::string> present = read_file(path);
  ASSERT_TRUE(present.ok()) << present.error().message();
  EXPECT_TRUE(*present == *wanted) << "docs/rules.md is out of date: UPDATE_GOLDEN=1 check_test";
}

}  // namespace
}  // namespace graupel::check
