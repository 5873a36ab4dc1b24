// The oracle is the vendor's own published rates, and the fit in Python; layer counts are by hand.
#include "estimate/estimate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace graupel::estimate {
namespace {

struct Row {
  const char* model;
  Device device;
  int64_t multiply_adds, weights, input_bytes;
  bool attention, depthwise;
  double published_fps, chance, low, middle, high;
};
using enum Device;
#define ROW(...) {__VA_ARGS__},
const Row kRows[] = {
#include "estimate/expected.def"
};
#undef ROW

Network network_of(const Row& row) {
  Network network;
  network.multiply_adds = row.multiply_adds;
  network.weights = row.weights;
  network.input_bytes = row.input_bytes;
  network.attention = row.attention;
  network.depthwise = row.depthwise;
  return network;
}
constexpr Link kPublished = {.generation = 3, .lanes = 4};

TEST(Estimate, IsWhatTheFitSays) {
  for (const Row& row : kRows) {
    const Estimate result = estimate(network_of(row), row.device, kPublished);
    // The table's rates are rounded to three digits, its networks' sizes too.
    EXPECT_NEAR(result.single_chance, row.chance, 1e-4) << row.model;
    EXPECT_NEAR(result.fps.low / row.low, 1.0, 1e-3) << row.model;
    if (row.high * static_cast<double>(row.input_bytes) > 1.5e9) continue;  // the link's ceiling
    EXPECT_NEAR(result.fps.middle / row.middle, 1.0, 1e-3) << row.model;
    EXPECT_NEAR(result.fps.high / row.high, 1.0, 1e-3) << row.model;
  }
}

TEST(Estimate, MostPublishedRatesLieInside) {
  size_t inside = 0;
  for (const Row& row : kRows) {
    const Interval fps = estimate(network_of(row), row.device, kPublished).fps;
    inside += fps.low <= row.published_fps && row.published_fps <= fps.high;
  }
  EXPECT_GE(inside * 100, std::size(kRows) * 80);
}

TEST(Estimate, WeightsOrLayersThatDoNotFitNeedSeveralContexts) {
  Network network = network_of(kRows[3]);
  network.layers = 100;
  EXPECT_GT(estimate(network, kHailo8, {}).single_chance, 0.5);
  EXPECT_EQ(estimate(network, kHailo8L, {}).single_chance, 0.0);  // 64 control units
  EXPECT_EQ(estimate(network, kHailo8L, {}).reason.substr(0, 7), "control");
  network.layers = 20;
  network.weights = 34'000'000;  // 32 MiB are 33.55 M
  EXPECT_EQ(estimate(network, kHailo8, {}).single_chance, 0.0);
  EXPECT_EQ(estimate(network, kHailo8, {}).reason.substr(0, 6), "memory");
}

TEST(Estimate, ANarrowerLinkIsNeverFaster) {
  EXPECT_NEAR(link_bytes_per_s({3, 4}), 3.3e9, 1);
  EXPECT_NEAR(link_bytes_per_s({3, 1}) / link_bytes_per_s({3, 4}), 0.25, 1e-9);
  EXPECT_NEAR(link_bytes_per_s({2, 1}) / link_bytes_per_s({3, 1}), 4.0 / 7.877, 1e-9);
  const Link links[] = {{3, 4}, {3, 2}, {3, 1}, {2, 1}, {1, 1}};
  for (const Row& row : kRows) {
    Interval last{1e30, 1e30, 1e30};
    for (const Link& link : links) {
      const Interval fps = estimate(network_of(row), row.device, link).fps;
      EXPECT_LE(fps.low, fps.middle) << row.model;
      EXPECT_LE(fps.middle, fps.high) << row.model;
      EXPECT_LE(fps.low, last.low * 1.000001);
      EXPECT_LE(fps.middle, last.middle * 1.000001);
      EXPECT_LE(fps.high, last.high * 1.000001);
      last = fps;
    }
  }
}

TEST(Estimate, LatencyIsNotBelowOneWindowsTime) {
  for (const Row& row : kRows) {
    const Estimate result = estimate(network_of(row), row.device, {});
    EXPECT_GE(result.latency_ms.low * 1.000001, 1e3 / result.fps.high) << row.model;
    EXPECT_LE(result.latency_ms.low, result.latency_ms.middle) << row.model;
    EXPECT_LE(result.latency_ms.middle, result.latency_ms.high) << row.model;
  }
}

TEST(Estimate, SaysWhereItWasNotFitted) {
  Network tiny = network_of(kRows[4]);
  EXPECT_TRUE(estimate(tiny, kHailo8, {}).edge.empty());
  tiny.multiply_adds = 1'000'000;
  tiny.input_bytes = 1800;
  EXPECT_EQ(estimate(tiny, kHailo8, {}).edge.size(), 2u);
}

// conv 3x3 over 4 channels + SiLU, residual, LayerNorm, attention, softmax.
TEST(Describe, CountsLayersAfterDecomposition) {
  ir::Graph graph;
  const ir::ValueId x = ir::add_input(graph, "x", DType::kFloat32, {1, 4, 8, 8});
  const auto node = [&](const char* name, ir::Op op, std::vector<ir::ValueId> inputs) {
    const Result<ir::NodeId> id = ir::add_node(graph, name, std::move(op), std::move(inputs));
    EXPECT_TRUE(id.ok()) << name;
    return graph.node(*id).outputs[0];
  };
  const ir::ValueId w = ir::add_constant(graph, "w", Tensor(DType::kFloat32, {4, 1, 3, 3}));
  ir::Conv conv;
  conv.group = 4;
  conv.window.pads = {1, 1, 1, 1};
  const ir::ValueId y = node("conv", conv, {x, w});
  const ir::ValueId s = node("gate", ir::Unary{ir::UnaryKind::kSigmoid}, {y});
  const ir::ValueId z = node("silu", ir::Binary{ir::BinaryKind::kMul}, {y, s});
  const ir::ValueId r = node("residual", ir::Binary{ir::BinaryKind::kAdd}, {z, x});
  const ir::ValueId p = node("product", ir::MatMul{}, {r, z});
  const ir::ValueId q = node("softmax", ir::Softmax{}, {p});
  graph.outputs = {q};
  const Network network = describe(graph);
  EXPECT_EQ(network.layers, 1 + 1 + 1 + 5);
  EXPECT_EQ(network.weights, 36);
  EXPECT_EQ(network.multiply_adds, 36 * 64 + 4 * 8 * 8 * 8);
  EXPECT_EQ(network.input_bytes, 256);
  EXPECT_EQ(network.output_bytes, 256);
  EXPECT_TRUE(network.depthwise);
  EXPECT_TRUE(network.attention);
}

}  // namespace
}  // namespace graupel::estimate
