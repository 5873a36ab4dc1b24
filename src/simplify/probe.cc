// Comparing two graphs on random inputs. See probe.h. Test: simplify_test.cc.
#include "simplify/probe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/eval.h"

namespace graupel::simplify {
namespace {

bool jumps(const ir::Node& node) {
  const ir::Op& op = node.op;
  if (const auto* unary = std::get_if<ir::Unary>(&op)) {
    return unary->kind == ir::UnaryKind::kRound || unary->kind == ir::UnaryKind::kFloor ||
           unary->kind == ir::UnaryKind::kCeil || unary->kind == ir::UnaryKind::kSign;
  }
  if (const auto* binary = std::get_if<ir::Binary>(&op)) {
    return binary->kind >= ir::BinaryKind::kMod && binary->kind <= ir::BinaryKind::kGreaterOrEqual;
  }
  if (const auto* softmax = std::get_if<ir::Softmax>(&op)) {
    return softmax->kind == ir::SoftmaxKind::kHardmax;
  }
  if (const auto* cast = std::get_if<ir::Cast>(&op)) return !is_float(cast->to);
  if (std::holds_alternative<ir::MaxPool>(op)) return node.outputs.size() > 1;
  return std::holds_alternative<ir::ArgReduce>(op) || std::holds_alternative<ir::TopK>(op) ||
         std::holds_alternative<ir::QuantizeLinear>(op) ||
         std::holds_alternative<ir::QLinearConv>(op) ||
         std::holds_alternative<ir::QLinearMatMul>(op) ||
         std::holds_alternative<ir::DynamicQuantizeLinear>(op) ||
         std::holds_alternative<ir::ThresholdedRelu>(op);
}

// Largest absolute difference; beyond is set when the tensors do not agree.
double compare_tensors(const Tensor& expected, const Tensor& actual, double tolerance,
                       bool& beyond) {
  if (expected.dtype() != actual.dtype() || expected.shape() != actual.shape()) {
    beyond = true;
    return std::numeric_limits<double>::infinity();
  }
  if (expected == actual) return 0.0;
  const std::vector<double> want = expected.to_doubles();
  const std::vector<double> have = actual.to_doubles();
  double scale = 1.0;
  for (const double value : want) {
    if (std::isfinite(value)) scale = std::max(scale, std::fabs(value));
  }
  const double limit = is_float(expected.dtype()) ? tolerance * scale : 0.0;
  double largest = 0.0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i] == have[i] || (std::isnan(want[i]) && std::isnan(have[i]))) continue;
    const double difference = std::fabs(want[i] - have[i]);
    largest = std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                     : std::max(largest, difference);
  }
  beyond = beyond || largest > limit;
  return largest;
}

}  // namespace

Result<Answers> answer_probes(const ir::Graph& graph, uint64_t first_seed, int count) {
  Answers answers;
  for (int i = 0; i < count; ++i) {
    const std::vector<Tensor> inputs =
        ir::probe_inputs(graph, first_seed + static_cast<uint64_t>(i));
    TRY_ASSIGN(std::vector<Tensor> outputs, ir::evaluate(graph, inputs));
    answers.push_back(std::move(outputs));
  }
  return answers;
}

Difference compare(const Answers& expected, const Answers& actual, double tolerance) {
  Difference difference;
  for (size_t probe = 0; probe < expected.size() && probe < actual.size(); ++probe) {
    for (size_t i = 0; i < expected[probe].size() && i < actual[probe].size(); ++i) {
      bool beyond = false;
      const double largest =
          compare_tensors(expected[probe][i], actual[probe][i], tolerance, beyond);
      difference.max_abs = std::max(difference.max_abs, largest);
      if (beyond && !difference.beyond_tolerance) {
        difference.beyond_tolerance = true;
        difference.output = i;
      }
    }
  }
  return difference;
}

bool has_jumps(const ir::Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const ir::Node& node) { return !node.dead && jumps(node); });
}

}  // namespace graupel::simplify
