// Layers as rows and columns against the evaluator, equalisation as an identity, and the solvers of
// one row against exhaustive search.
#include "quantize/layers.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "ir/eval.h"
#include "quantize/equalize.h"
#include "quantize/row_solver.h"
#include "quantize/test_support.h"
#include "quantize/weights.h"

namespace graupel::quantize {
namespace {

ir::Graph network() {
  ir::Graph graph = body(R"(
    input x: float32[1x4x7x6]
    const w: float32[6x4x3x2] = splat 1
    const d: float32[6x1x3x3] = splat 1
    const g: float32[6x5] = splat 1
    const h: float32[3x5] = splat 1
    const b: float32[6] = splat 1
    const c: float32[5] = splat 1
    conv: Conv{strides=[2, 1], pads=[1, 0, 1, 1]}(x, w, b) -> a
    relu: Relu(a) -> r
    depth: Conv{group=6, pads=[1, 1, 1, 1]}(r, d) -> e
    relu2: Relu(e) -> q
    pool: GlobalAveragePool(q) -> p
    flat: Flatten(p) -> f
    gemm: Gemm(f, g, c) -> z
    relu3: Relu(z) -> u
    turned: Gemm{transB=1}(u, h) -> y
    output y)");
  uint64_t seed = 1;
  for (const char* name : {"w", "d", "g", "h", "b", "c"}) randomize(graph, name, ++seed);
  return graph;
}

std::map<std::string, Tensor> all_values(const ir::Graph& graph, const Tensor& x) {
  std::map<std::string, Tensor> values;
  ir::EvalOptions options;
  options.observe = [&](size_t, ir::ValueId id, const Tensor& tensor) {
    values[graph.value(id).name] = tensor;
  };
  const std::array<Tensor, 1> input = {x};
  EXPECT_TRUE(ir::evaluate(graph, input, options).ok());
  values[graph.value(graph.inputs[0]).name] = x;
  return values;
}

TEST(Layers, RowsTimesColumnsAreTheOperator) {
  const ir::Graph graph = network();
  const std::map<std::string, Tensor> values = all_values(graph, random_tensor(9, {1, 4, 7, 6}));
  const std::vector<Layer> layers = find_layers(graph, find_points(graph));
  ASSERT_EQ(layers.size(), 4u);
  for (const Layer& layer : layers) {
    ASSERT_TRUE(layer.has_columns);
    const std::vector<double> rows = weight_rows(graph, layer);
    const std::vector<double> bias = *layer_bias(graph, layer);
    const Tensor& y = values.at(graph.value(layer.output).name);
    const auto depth = static_cast<size_t>(layer.depth);
    const auto group_rows = static_cast<size_t>(layer.channels / layer.groups);
    size_t seen = 0;
    for_each_column(graph, layer, values.at(graph.value(layer.input).name), 1,
                    [&](size_t group, size_t position, std::span<const float> column) {
                      for (size_t m = group * group_rows; m < (group + 1) * group_rows; ++m) {
                        double sum = bias[m];
                        for (size_t k = 0; k < depth; ++k) sum += rows[m * depth + k] * column[k];
                        const size_t at = output_index(graph, layer, m, position);
                        EXPECT_NEAR(sum, y.data<float>()[at], 1e-4);
                        ++seen;
                      }
                    });
    EXPECT_EQ(seen, y.size());
  }
}

TEST(Equalize, TheFunctionStaysAndChannelsBecomeAlike) {
  ir::Graph graph = network();
  // Channel 2 of the first layer a thousand times larger than the others.
  Tensor w = *graph.constant(*ir::find_value(graph, "w"));
  for (size_t i = 2 * 24; i < 3 * 24; ++i) w.mutable_data<float>()[i] *= 1000.0f;
  graph.value(*ir::find_value(graph, "w")).constant = w;
  const Points points = find_points(graph);
  const std::vector<Layer> layers = find_layers(graph, points);
  const std::vector<Link> links = find_links(graph, points, layers);
  ASSERT_EQ(links.size(), 3u);
  const Tensor windows = random_tensor(3, {64, 4, 7, 6});
  const Result<Observation> seen = observe(graph, points, windows, Calibrator::kMse);
  ASSERT_TRUE(seen.ok());
  const Result<ir::Graph> equal =
      equalize(graph, layers, links, seen->channels, {Size::kLargest, 1.0});
  ASSERT_TRUE(equal.ok());
  const auto before = ir::evaluate_windows(graph, windows);
  const auto after = ir::evaluate_windows(*equal, windows);
  ASSERT_TRUE(before.ok() && after.ok());
  const std::vector<double> x = (*before)[0].to_doubles(), y = (*after)[0].to_doubles();
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-4 * (1 + std::abs(x[i])));
  const Points new_points = find_points(*equal);
  const Result<Observation> now = observe(*equal, new_points, windows, Calibrator::kMse);
  ASSERT_TRUE(now.ok());
  const ChannelStats& stats = now->channels[links[0].stats.index()];
  const auto [low, high] = std::minmax_element(stats.largest.begin(), stats.largest.end());
  EXPECT_LT(*high, 1.01 * *low);
}

TEST(Equalize, ATensorThatOthersReadIsLeftAlone) {
  ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = splat 1
    first: Conv(x, w) -> a
    relu: Relu(a) -> r
    second: Conv(r, w) -> b
    sum: Add(b, r) -> y
    output y)");
  const Points points = find_points(graph);
  EXPECT_TRUE(find_links(graph, points, find_layers(graph, points)).empty());
}

struct Problem {
  std::vector<float> covariance, wanted;
  std::vector<double> weights;
  RowProblem row(double largest) const {
    RowProblem problem;
    problem.covariance = covariance;
    problem.wanted = wanted;
    problem.weights = weights;
    problem.scale = 0.1;
    problem.largest_code = largest;
    return problem;
  }
};

Problem correlated(uint64_t seed, size_t depth) {
  Rng rng(seed);
  std::vector<double> mix(depth * depth);  // of half the rank: roundings can cancel
  for (double& value : mix) value = rng.normal() + 0.7;
  Problem problem;
  problem.covariance.resize(depth * depth);
  for (size_t i = 0; i < depth; ++i) {
    problem.weights.push_back(0.5 * rng.normal());
    for (size_t j = 0; j < depth; ++j) {
      double sum = 0.0;
      for (size_t k = 0; k < depth / 2; ++k) sum += mix[i * depth + k] * mix[j * depth + k];
      problem.covariance[i * depth + j] = static_cast<float>(sum + (i == j ? 0.05 : 0.0));
    }
  }
  for (size_t i = 0; i < depth; ++i) {
    double sum = 0.0;
    for (size_t j = 0; j < depth; ++j) {
      sum += static_cast<double>(problem.covariance[i * depth + j]) * problem.weights[j];
    }
    problem.wanted.push_back(static_cast<float>(sum));
  }
  return problem;
}

TEST(RowSolver, LearnedRoundingIsNearTheBestOfAllRoundings) {
  constexpr size_t kDepth = 10;
  double best_sum = 0, nearest = 0, adaround = 0, tuned = 0, polished = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const Problem problem = correlated(seed, kDepth);
    const RowProblem row = problem.row(127);
    // The error of codes is their cost minus that of the exact weights.
    std::vector<double> exact = problem.weights;
    for (double& weight : exact) weight /= row.scale;
    const double zero = row_cost(row, exact);
    double best = 1e300;
    for (size_t mask = 0; mask < (size_t{1} << kDepth); ++mask) {
      std::vector<double> codes;
      for (size_t k = 0; k < kDepth; ++k) {
        codes.push_back(std::floor(exact[k]) + static_cast<double>(mask >> k & 1));
      }
      best = std::min(best, row_cost(row, codes) - zero);
    }
    best_sum += best;
    const auto error = [&](const std::vector<double>& codes) {
      return row_cost(row, codes) - zero;
    };
    nearest += error(solve_nearest(row));
    adaround += error(solve_adaround(row, 1000));
    tuned += error(solve_finetune(row, 400));
    polished += error(polish(row, solve_adaround(row, 1000), 20));
  }
  EXPECT_GT(best_sum, 0.0);
  EXPECT_LT(best_sum, 0.5 * nearest);
  EXPECT_LT(adaround, 0.7 * nearest);
  EXPECT_GE(adaround, best_sum - 1e-6);
  EXPECT_LT(tuned, 0.7 * nearest);
  EXPECT_LE(polished, adaround + 1e-9);
}

TEST(RowSolver, CodesStayInRangeAndNothingSeenChangesNothing) {
  Problem problem = correlated(3, 8);
  for (double& weight : problem.weights) weight *= 4;
  for (const auto& codes :
       {solve_adaround(problem.row(7), 200), solve_finetune(problem.row(7), 200),
        polish(problem.row(7), solve_nearest(problem.row(7)), 20)}) {
    for (const double code : codes) EXPECT_LE(std::abs(code), 7.0);
  }
  std::fill(problem.covariance.begin(), problem.covariance.end(), 0.0f);
  std::fill(problem.wanted.begin(), problem.wanted.end(), 0.0f);
  EXPECT_EQ(solve_adaround(problem.row(127), 50), solve_nearest(problem.row(127)));
  EXPECT_EQ(solve_finetune(problem.row(127), 50), solve_nearest(problem.row(127)));
}

TEST(Weights, OddLayersAreNamedAndStayFinite) {
  ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const zero: float32[3x2x1x1] = splat 0
    const huge: float32[3x3x1x1] = [1, 2, 1, 1, 1, 2, 10000, 20000, 1]
    first: Conv(x, zero) -> a
    second: Conv(a, huge) -> y
    output y)");
  const std::vector<Layer> layers = find_layers(graph, find_points(graph));
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(judge_weights(graph, layers[0]).at(0).what, "has only zero weights");
  EXPECT_NE(judge_weights(graph, layers[1]).at(0).what.find("times the median"), std::string::npos);
  for (const Layer& layer : layers) {
    for (const Bits bits : {Bits::kFour, Bits::kEight, Bits::kSixteen}) {
      for (const WeightRange range : {WeightRange::kMax, WeightRange::kMse}) {
        const auto choice = round_weights(graph, layer, 0.1f, bits, range);
        ASSERT_TRUE(choice.ok());
        for (const float scale : choice->scales) EXPECT_TRUE(std::isnormal(scale));
        for (const double code : choice->codes) EXPECT_LE(std::abs(code), largest_code(bits));
      }
    }
  }
}

}  // namespace
}  // namespace graupel::quantize
