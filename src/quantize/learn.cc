// Layer-wise learning. See learn.h.
//
// A layer's covariances are summed over the windows in a fixed number of parts, added in order, so
// that the number of threads does not show. A small part of the identity is added to H, with the
// float weights as its target: few windows then change little. Test: levels_test.cc.
#include "quantize/learn.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/parallel.h"
#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/reference.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

constexpr size_t kParts = 4;
constexpr size_t kDeepest = 2304;         // products per sum: H stays below 22 MB
constexpr double kMostProducts = 3e9;     // spent on one layer's covariances
constexpr double kRidge = 0.002;          // of the mean variance
constexpr double kMostLearning = 2.5e10;  // products spent on one layer's Adam
constexpr size_t kFewestIterations = 100;
constexpr size_t kSweeps = 20;

struct Sums {
  std::vector<double> squares;  // [groups][depth][depth], lower triangles
  std::vector<double> cross;    // [channels][depth]
  std::vector<double> inputs;   // [groups][depth]
  std::vector<double> outputs;  // [channels]
  double count = 0.0;           // weights of all positions

  explicit Sums(const Layer& layer)
      : squares(static_cast<size_t>(layer.groups * layer.depth * layer.depth), 0.0),
        cross(static_cast<size_t>(layer.channels * layer.depth), 0.0),
        inputs(static_cast<size_t>(layer.groups * layer.depth), 0.0),
        outputs(static_cast<size_t>(layer.channels), 0.0) {}
  void add(const Sums& other) {
    const auto each = [](std::vector<double>& a, const std::vector<double>& b) {
      for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    };
    each(squares, other.squares);
    each(cross, other.cross);
    each(inputs, other.inputs);
    each(outputs, other.outputs);
    count += other.count;
  }
};

void add_column(Sums& sums, size_t depth, size_t group, std::span<const double> column,
                double weight) {
  double* const squares = sums.squares.data() + group * depth * depth;
  double* const inputs = sums.inputs.data() + group * depth;
  for (size_t j = 0; j < depth; ++j) {
    const double factor = weight * column[j];
    inputs[j] += factor;
    if (factor == 0.0) continue;
    double* const row = squares + j * depth;
    for (size_t k = 0; k <= j; ++k) row[k] += factor * column[k];
  }
}

void add_window(const Graph& device, const Layer& layer, const Tensor& x, const Tensor& y,
                size_t step, Sums& sums) {
  // Windows count alike: else the loudest ones decide what is rounded well.
  double power = 0.0;
  for (const float value : y.data<float>()) {
    power += static_cast<double>(value) * static_cast<double>(value);
  }
  const double weight = 1.0 / (power / static_cast<double>(std::max<size_t>(y.size(), 1)) + 1e-12);
  const auto depth = static_cast<size_t>(layer.depth);
  const auto rows = static_cast<size_t>(layer.channels / layer.groups);
  const std::span<const float> outputs = y.data<float>();
  std::vector<double> wide(depth);
  for_each_column(
      device, layer, x, step, [&](size_t group, size_t position, std::span<const float> column) {
        std::copy(column.begin(), column.end(), wide.begin());
        add_column(sums, depth, group, wide, weight);
        for (size_t m = group * rows; m < (group + 1) * rows; ++m) {
          const double value = weight * outputs[output_index(device, layer, m, position)];
          double* const cross = sums.cross.data() + m * depth;
          for (size_t k = 0; k < depth; ++k) cross[k] += value * wide[k];
          sums.outputs[m] += value;
        }
        sums.count += group == 0 ? weight : 0.0;
      });
}

// Positions are skipped so that the sums stay affordable.
size_t position_step(const Graph& device, const Layer& layer, size_t windows) {
  const auto depth = static_cast<double>(layer.depth);
  const double each = static_cast<double>(layer.groups) * depth * depth / 2.0 +
                      static_cast<double>(layer.channels) * depth;
  const double all = static_cast<double>(position_count(device, layer) * windows) * each;
  size_t step = std::max<size_t>(1, static_cast<size_t>(std::ceil(all / kMostProducts)));
  // An odd step meets every column of an image in turn.
  return step > 1 && step % 2 == 0 ? step + 1 : step;
}

// The numbers that bytes stand for.
Tensor dequantized(const Tensor& bytes, const ScaleChoice& choice) {
  Tensor out(DType::kFloat32, bytes.shape());
  const std::span<float> values = out.mutable_data<float>();
  const std::vector<int64_t> codes = bytes.to_int64s();
  for (size_t i = 0; i < codes.size(); ++i) {
    values[i] = static_cast<float>(codes[i] - choice.zero_point) * choice.scale;
  }
  return out;
}

Result<Sums> gather(const Graph& device, const Layer& layer, const Graph& qdq, ValueId bytes,
                    const ScaleChoice& input, const Tensor& windows) {
  TRY_ASSIGN(const Graph exact, prefix_of(device, layer.output));
  TRY_ASSIGN(const Graph rounded, prefix_of(qdq, bytes));
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t step = position_step(device, layer, count);
  std::vector<Sums> parts(kParts, Sums(layer));
  std::vector<std::optional<Error>> errors(kParts);
  ir::EvalOptions integer;
  integer.qdq = ir::QdqMode::kInteger;
  parallel_for(kParts, [&](size_t part, size_t) {
    for (size_t at = part; at < count; at += kParts) {
      const std::array<Tensor, 1> window = {window_at(windows, at)};
      const Result<std::vector<Tensor>> y = ir::evaluate(exact, window);
      const Result<std::vector<Tensor>> x = ir::evaluate(rounded, window, integer);
      if (!x.ok() || !y.ok()) {
        errors[part] = x.ok() ? y.error() : x.error();
        return;
      }
      add_window(device, layer, dequantized((*x)[0], input), (*y)[0], step, parts[part]);
    }
  });
  Sums sums(layer);
  for (size_t part = 0; part < kParts; ++part) {
    if (errors[part]) return *errors[part];
    sums.add(parts[part]);
  }
  return sums;
}

// Covariances in float, ridge included.
struct Normal {
  std::vector<float> covariance;  // [groups][depth][depth]
  std::vector<float> wanted;      // [channels][depth]
};

Normal normal_of(const Layer& layer, const Sums& sums, const std::vector<double>& rows) {
  const auto depth = static_cast<size_t>(layer.depth);
  const auto group_rows = static_cast<size_t>(layer.channels / layer.groups);
  Normal normal{std::vector<float>(sums.squares.size()), std::vector<float>(sums.cross.size())};
  const double n = std::max(sums.count, 1e-30);
  for (size_t g = 0; g < static_cast<size_t>(layer.groups); ++g) {
    const double* const means = sums.inputs.data() + g * depth;
    const double* const squares = sums.squares.data() + g * depth * depth;
    float* const out = normal.covariance.data() + g * depth * depth;
    const auto at = [&](size_t j, size_t k) {
      return squares[j * depth + k] / n - means[j] / n * (means[k] / n);
    };
    double trace = 0.0;
    for (size_t j = 0; j < depth; ++j) trace += at(j, j);
    const double ridge = kRidge * trace / static_cast<double>(depth);
    for (size_t j = 0; j < depth; ++j) {
      for (size_t k = 0; k <= j; ++k) {
        const double value = at(j, k) + (j == k ? ridge : 0.0);
        out[j * depth + k] = out[k * depth + j] = static_cast<float>(value);
      }
    }
    for (size_t m = g * group_rows; m < (g + 1) * group_rows; ++m) {
      for (size_t k = 0; k < depth; ++k) {
        const size_t i = m * depth + k;
        const double cross = sums.cross[i] / n - sums.outputs[m] / n * (means[k] / n);
        normal.wanted[i] = static_cast<float>(cross + ridge * rows[i]);
      }
    }
  }
  return normal;
}

std::vector<double> solve(const RowProblem& problem, const LearnOptions& options) {
  std::vector<double> best = solve_nearest(problem);
  double least = row_cost(problem, best);
  const auto consider = [&](std::vector<double> codes) {
    const double cost = row_cost(problem, codes);
    if (cost >= least) return;
    least = cost;
    best = std::move(codes);
  };
  switch (options.learning) {
    case Learning::kFinetune: consider(solve_finetune(problem, options.iterations)); break;
    case Learning::kAdaRound:
      consider(polish(problem, solve_adaround(problem, options.iterations), kSweeps));
      break;
    case Learning::kBest:
      consider(polish(problem, solve_nearest(problem), kSweeps));
      consider(polish(problem, solve_adaround(problem, options.iterations), kSweeps));
      consider(polish(problem, solve_finetune(problem, options.iterations / 2), kSweeps));
      break;
  }
  return best;
}

void learn_layer(const Graph& device, const Layer& layer, const Sums& sums,
                 const LearnOptions& wanted, WeightChoice& choice) {
  const std::vector<double> rows = weight_rows(device, layer);
  const Normal normal = normal_of(layer, sums, rows);
  const std::vector<size_t> positions = row_positions(device, layer);
  const auto depth = static_cast<size_t>(layer.depth);
  const auto channels = static_cast<size_t>(layer.channels);
  const auto group_rows = channels / static_cast<size_t>(layer.groups);
  LearnOptions options = wanted;
  const double each = static_cast<double>(channels * depth) * static_cast<double>(depth);
  options.iterations = std::clamp(static_cast<size_t>(kMostLearning / std::max(each, 1.0)),
                                  kFewestIterations, wanted.iterations);
  std::vector<std::vector<double>> learned(channels);
  parallel_for(channels, [&](size_t m, size_t) {
    RowProblem problem;
    problem.covariance =
        std::span(normal.covariance).subspan(m / group_rows * depth * depth, depth * depth);
    problem.wanted = std::span(normal.wanted).subspan(m * depth, depth);
    problem.weights = std::span(rows).subspan(m * depth, depth);
    problem.scale = choice.scales[choice.scales.size() == 1 ? 0 : m];
    problem.largest_code = largest_code(choice.bits);
    learned[m] = solve(problem, options);
  });
  const bool sets_bias = can_take_bias(device, layer);
  if (sets_bias) choice.bias.assign(channels, 0.0);
  const double n = std::max(sums.count, 1e-30);
  for (size_t m = 0; m < channels; ++m) {
    const double scale = choice.scales[choice.scales.size() == 1 ? 0 : m];
    double mean = 0.0;
    for (size_t k = 0; k < depth; ++k) {
      choice.codes[positions[m * depth + k]] = learned[m][k];
      mean += learned[m][k] * scale * sums.inputs[m / group_rows * depth + k] / n;
    }
    if (sets_bias) choice.bias[m] = sums.outputs[m] / n - mean;
  }
}

}  // namespace

Result<Learned> learn_weights(const Graph& device, const Points& points, const Tensor& windows,
                              const LearnOptions& options, Choices& choices) {
  Learned learned;
  double noise = 0.0;
  if (options.noise_of) {
    TRY_ASSIGN(noise, options.noise_of(choices));
  }
  for (const Layer& layer : find_layers(device, points)) {
    const auto found = choices.weights.find(layer.node.index());
    if (found == choices.weights.end() || found->second.bits == Bits::kSixteen) continue;
    if (!layer.has_columns || layer.depth > static_cast<int64_t>(kDeepest)) {
      learned.left_out.push_back(device.node(layer.node).name);
      continue;
    }
    TRY_ASSIGN(const Qdq qdq, build_qdq(device, points, choices));
    const std::optional<ValueId> bytes = ir::find_value(qdq.graph, qdq.bytes[layer.input.index()]);
    if (!bytes) continue;  // nothing needs it
    const ScaleChoice& input = choices.scales[points.same_scale[layer.input.index()].index()];
    TRY_ASSIGN(const Sums sums, gather(device, layer, qdq.graph, *bytes, input, windows));
    const WeightChoice before = found->second;
    learn_layer(device, layer, sums, options, found->second);
    ++learned.layers;
    if (options.noise_of) {
      TRY_ASSIGN(const double after, options.noise_of(choices));
      if (after >= noise) {
        found->second = before;
        continue;
      }
      noise = after;
    }
    ++learned.kept;
  }
  return learned;
}

}  // namespace graupel::quantize
