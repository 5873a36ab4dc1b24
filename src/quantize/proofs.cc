// Bounds and ties of integer sums. See proofs.h.
// Reference: docs/formats/int8.md, "Integer operators". Test: analysis_test.cc.
#include "quantize/proofs.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/window_at.h"
#include "ir/eval.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

constexpr size_t kMostSums = 200000;  // of one layer

struct Sum {
  const Optimised& done;
  const Layer& layer;
  const WeightChoice& weights;
  ScaleChoice input;

  float scale_of(size_t m) const {
    return input.scale * weights.scales[weights.scales.size() == 1 ? 0 : m];
  }
  double bias_of(size_t m) const {
    return weights.bias.empty()
               ? 0.0
               : std::nearbyint(weights.bias[m] / static_cast<double>(scale_of(m)));
  }
};

int64_t largest_sum(const Sum& sum) {
  const ScaleChoice& input = sum.input;
  const double reach = input.dtype == DType::kInt8
                           ? 128.0
                           : std::max(255.0 - input.zero_point, 0.0 + input.zero_point);
  std::vector<double> totals(static_cast<size_t>(sum.layer.channels), 0.0);
  const Shape& shape = sum.done.graph.shape(sum.done.graph.node(sum.layer.node).inputs[1]);
  for_each_channel(shape, sum.layer.axis, [&](size_t i, size_t m) {
    totals[m] += std::abs(sum.weights.codes[i]) * reach;
  });
  double largest = 0.0;
  for (size_t m = 0; m < totals.size(); ++m) {
    largest = std::max(largest, totals[m] + std::abs(sum.bias_of(m)));
  }
  return static_cast<int64_t>(largest);
}

// Counts sums whose scaled value has a fraction of exactly one half.
void count_ties(const Sum& sum, const Tensor& bytes, float output_scale, size_t step,
                LayerWeights& row) {
  Tensor codes(DType::kFloat32, bytes.shape());
  const std::vector<int64_t> values = bytes.to_int64s();
  for (size_t i = 0; i < values.size(); ++i) {
    codes.mutable_data<float>()[i] = static_cast<float>(values[i] - sum.input.zero_point);
  }
  const std::vector<size_t> positions = row_positions(sum.done.graph, sum.layer);
  const auto depth = static_cast<size_t>(sum.layer.depth);
  const auto rows = static_cast<size_t>(sum.layer.channels / sum.layer.groups);
  for_each_column(
      sum.done.graph, sum.layer, codes, step,
      [&](size_t group, size_t, std::span<const float> column) {
        for (size_t m = group * rows; m < (group + 1) * rows; ++m) {
          double total = sum.bias_of(m);
          for (size_t k = 0; k < depth; ++k) {
            total += sum.weights.codes[positions[m * depth + k]] * static_cast<double>(column[k]);
          }
          const float scaled = static_cast<float>(total) * (sum.scale_of(m) / output_scale);
          row.sums += 1;
          row.ties += std::abs(scaled - std::trunc(scaled)) == 0.5f ? 1 : 0;
        }
      });
}

Result<void> find_ties(const Sum& sum, const Qdq& qdq, const Tensor& windows, LayerWeights& row) {
  const Optimised& done = sum.done;
  const ir::Uses uses = ir::find_uses(done.graph);
  ValueId point = sum.layer.output;
  while (!done.points.is_point[point.index()] && !uses.readers[point.index()].empty()) {
    point = done.graph.node(uses.readers[point.index()][0]).outputs[0];
  }
  const std::optional<ValueId> bytes =
      ir::find_value(qdq.graph, qdq.bytes[sum.layer.input.index()]);
  if (!bytes || !done.points.is_point[point.index()] || is_wide(done.points, done.choices, point)) {
    return ok();
  }
  const float scale = done.choices.scales[done.points.same_scale[point.index()].index()].scale;
  TRY_ASSIGN(const Graph prefix, prefix_of(qdq.graph, *bytes));
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t all =
      position_count(done.graph, sum.layer) * static_cast<size_t>(sum.layer.channels) * count;
  const size_t step = std::max<size_t>(1, all / kMostSums);
  TRY_ASSIGN(const ir::Prepared prepared, ir::prepare(prefix, ir::QdqMode::kInteger));
  for (size_t n = 0; n < count; ++n) {
    const std::array<Tensor, 1> window = {window_at(windows, n)};
    TRY_ASSIGN(const std::vector<Tensor> found, ir::evaluate(prepared, window));
    count_ties(sum, found[0], scale, step, row);
  }
  return ok();
}

}  // namespace

Result<std::vector<LayerWeights>> layer_weights(const Optimised& done, const Tensor& windows) {
  const Tensor some = spread_windows(windows, kTieWindows);
  TRY_ASSIGN(const Qdq qdq, build_qdq(done.graph, done.points, done.choices));
  std::vector<LayerWeights> rows;
  for (const Layer& layer : find_layers(done.graph, done.points)) {
    const auto found = done.choices.weights.find(layer.node.index());
    if (found == done.choices.weights.end()) continue;
    const ir::Node& node = done.graph.node(layer.node);
    LayerWeights row;
    row.node = node.name;
    row.type = std::string(ir::op_type(node.op));
    row.bits = static_cast<int>(found->second.bits);
    row.weights = static_cast<int64_t>(found->second.codes.size());
    row.scales = found->second.scales;
    const ScaleChoice& input =
        done.choices.scales[done.points.same_scale[layer.input.index()].index()];
    const Sum sum{done, layer, found->second, input};
    if (found->second.bits != Bits::kSixteen && layer.axis >= 0) {
      row.largest_sum = largest_sum(sum);
      if (layer.has_columns) TRY(find_ties(sum, qdq, some, row));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace graupel::quantize
