// Distillation through the whole QDQ graph. See finetune.h.
//
// Gradients of a batch's windows are found apart and added in order, so that the number of threads
// does not show. Test: finetune_test.cc.
#include "quantize/finetune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "base/rng.h"
#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/gradients.h"
#include "quantize/reference.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr double kMostWork = 4e10;  // multiply-adds of all steps together
constexpr size_t kFewestSteps = 20, kSmallBatch = 4;
// One code of a weight moves a sum about as far as this many codes of the bias.
constexpr double kBiasUnit = 32.0;

// Integers of the graph that learn, as real numbers behind the rounding.
struct Learner {
  ValueId constant;  // codes, in the QDQ graph
  size_t layer = 0;  // node of the float graph
  bool is_bias = false;
  double unit = 1.0, limit = 0.0;
  std::vector<double> values, mean, square;  // in units; Adam's moments
};

// A constant that a layer reads directly or behind its DequantizeLinear.
ValueId codes_behind(const Graph& graph, const ir::Uses& uses, ValueId id) {
  if (graph.constant(id) != nullptr) return id;
  const NodeId producer = uses.producer[id.index()];
  const bool dequantized =
      producer.valid() && std::holds_alternative<ir::DequantizeLinear>(graph.node(producer).op);
  const ValueId codes = dequantized ? graph.node(producer).inputs[0] : ValueId();
  return graph.constant(codes) != nullptr ? codes : ValueId();
}

void store(Graph& graph, const Learner& learner) {
  Tensor& tensor = *graph.value(learner.constant).constant;
  for (size_t i = 0; i < learner.values.size(); ++i) {
    const double code = std::nearbyint(learner.values[i] * learner.unit);
    switch (tensor.dtype()) {
      case DType::kInt8: tensor.mutable_data<int8_t>()[i] = static_cast<int8_t>(code); break;
      case DType::kInt32: tensor.mutable_data<int32_t>()[i] = static_cast<int32_t>(code); break;
      default: tensor.mutable_data<float>()[i] = static_cast<float>(code); break;
    }
  }
}

// Weights start where the float ones lie, as far as that rounds to the codes chosen so far.
std::vector<double> first_weights(const Graph& device, const Layer& layer,
                                  const WeightChoice& choice) {
  std::vector<double> exact = device.constant(device.node(layer.node).inputs[1])->to_doubles();
  for_each_channel(
      device.shape(device.node(layer.node).inputs[1]), layer.axis, [&](size_t i, size_t channel) {
        const double scale = choice.scales[choice.scales.size() == 1 ? 0 : channel];
        exact[i] = std::clamp(exact[i] / scale, choice.codes[i] - 0.49, choice.codes[i] + 0.49);
      });
  return exact;
}

std::vector<Learner> find_learners(const Graph& device, const std::vector<Layer>& layers,
                                   const Graph& graph, const Choices& choices) {
  const ir::Uses uses = ir::find_uses(graph);
  std::vector<Learner> learners;
  for (const Layer& layer : layers) {
    const auto found = choices.weights.find(layer.node.index());
    const std::optional<NodeId> node = ir::find_node(graph, device.node(layer.node).name);
    if (!node || found == choices.weights.end() || found->second.bits == Bits::kSixteen) continue;
    const std::vector<ValueId>& inputs = graph.node(*node).inputs;
    const ValueId codes = codes_behind(graph, uses, inputs[1]);
    if (!codes.valid()) continue;
    learners.push_back({codes,
                        layer.node.index(),
                        false,
                        1.0,
                        largest_code(found->second.bits),
                        first_weights(device, layer, found->second),
                        {},
                        {}});
    if (found->second.bias.empty() || inputs.size() < 3) continue;
    const ValueId bias = codes_behind(graph, uses, inputs[2]);
    if (!bias.valid()) continue;
    std::vector<double> values = graph.constant(bias)->to_doubles();
    for (double& value : values) value /= kBiasUnit;
    learners.push_back(
        {bias, layer.node.index(), true, kBiasUnit, 1e9 / kBiasUnit, std::move(values), {}, {}});
  }
  for (Learner& learner : learners) {
    learner.mean.assign(learner.values.size(), 0.0);
    learner.square.assign(learner.values.size(), 0.0);
  }
  return learners;
}

void adam(Learner& learner, const std::vector<double>& gradient, double rate, size_t step) {
  constexpr double kFirst = 0.9, kSecond = 0.999, kSmall = 1e-12;
  const double first = 1.0 - std::pow(kFirst, static_cast<double>(step + 1));
  const double second = 1.0 - std::pow(kSecond, static_cast<double>(step + 1));
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i] * learner.unit;
    learner.mean[i] = kFirst * learner.mean[i] + (1.0 - kFirst) * g;
    learner.square[i] = kSecond * learner.square[i] + (1.0 - kSecond) * g * g;
    const double by = learner.mean[i] / first / (std::sqrt(learner.square[i] / second) + kSmall);
    learner.values[i] = std::clamp(learner.values[i] - rate * by, -learner.limit, learner.limit);
  }
}

// What turns an output of the device part into logits.
struct Head {
  size_t output = 0;                 // of the device part
  std::optional<GradientPlan> plan;  // of the host; nullopt: that output is the logits
  bool is_there = false;
  std::string missing;  // why not
};

Head find_head(const Graph& device, const Graph& host) {
  Head head;
  if (host.outputs.empty()) {
    head.is_there =
        device.shape(device.outputs[0]).size() == 2 && device.shape(device.outputs[0])[1] > 1;
    head.missing = head.is_there ? "" : "the network's output is no row of logits";
    return head;
  }
  if (host.inputs.size() != 1) {
    head.missing = "the host part reads several tensors";
    return head;
  }
  const auto at = std::find_if(device.outputs.begin(), device.outputs.end(), [&](ValueId output) {
    return device.value(output).name == host.value(host.inputs[0]).name;
  });
  Result<Graph> part = prefix_of(host, host.outputs[0]);
  if (at == device.outputs.end() || !part.ok() ||
      part->shape(part->inputs[0]) != device.shape(*at)) {
    head.missing = "the host part does not follow the device part";
    return head;
  }
  head.output = static_cast<size_t>(at - device.outputs.begin());
  const std::vector<ValueId> wanted = part->inputs;
  Result<GradientPlan> plan = plan_gradients(std::move(part).value(), wanted);
  if (!plan.ok()) {
    head.missing = plan.error().message();
    return head;
  }
  head.plan = std::move(plan).value();
  head.is_there = true;
  return head;
}

std::vector<double> softmax(std::span<const float> row) {
  const double largest = *std::max_element(row.begin(), row.end());
  std::vector<double> parts;
  double sum = 0.0;
  for (const float value : row) {
    parts.push_back(std::exp(static_cast<double>(value) - largest));
    sum += parts.back();
  }
  for (double& part : parts) part /= sum;
  return parts;
}

struct Loss {
  double error = 0.0, divergence = 0.0;
};

// One window's part of the loss, and its gradient at every output of the device part.
struct Judged {
  Loss loss;
  std::vector<Gradient> error, divergence;
};

struct Teacher {
  std::vector<Tensor> outputs;  // of the float network, [N, ...]
  std::vector<double> power;    // mean square of each
  Tensor logits;                // [N, classes]; empty without a head
};

Result<void> judge_logits(const Head& head, const Teacher& teacher, size_t window,
                          const Tensor& found, Judged& judged) {
  std::vector<Tensor> values;
  Tensor logits = found;
  if (head.plan) {
    TRY_ASSIGN(std::vector<std::vector<Tensor>> all, all_values(head.plan->graph, found));
    values = std::move(all[0]);
    logits = values[head.plan->graph.outputs[0].index()];
  }
  const size_t classes = logits.size();
  const std::vector<double> close = softmax(logits.data<float>());
  const std::vector<double> exact =
      softmax(teacher.logits.data<float>().subspan(window * classes, classes));
  Gradient gradient(classes);
  for (size_t i = 0; i < classes; ++i) {
    gradient[i] = static_cast<float>(close[i] - exact[i]);
    if (exact[i] > 0.0) {
      judged.loss.divergence += exact[i] * std::log(exact[i] / std::max(close[i], 1e-30));
    }
  }
  if (head.plan) {
    TRY_ASSIGN(std::vector<Gradient> back, gradients_of(*head.plan, values, {gradient}));
    gradient = std::move(back[0]);
  }
  judged.divergence[head.output] = std::move(gradient);
  return ok();
}

Result<Judged> judge(const Graph& graph, const Head& head, const Teacher& teacher, size_t window,
                     const std::vector<Tensor>& values) {
  Judged judged;
  for (size_t output = 0; output < graph.outputs.size(); ++output) {
    const std::span<const float> y = values[graph.outputs[output].index()].data<float>();
    const std::span<const float> t =
        teacher.outputs[output].data<float>().subspan(window * y.size(), y.size());
    const double weight = 1.0 / (teacher.power[output] * static_cast<double>(y.size()));
    Gradient gradient(y.size());
    for (size_t i = 0; i < y.size(); ++i) {
      const double off = static_cast<double>(y[i]) - static_cast<double>(t[i]);
      judged.loss.error += off * off * weight;
      gradient[i] = static_cast<float>(2.0 * off * weight);
    }
    judged.error.push_back(std::move(gradient));
    judged.divergence.emplace_back(y.size(), 0.0f);
  }
  if (head.is_there) {
    TRY(judge_logits(head, teacher, window, values[graph.outputs[head.output].index()], judged));
  }
  return judged;
}

Result<Teacher> make_teacher(const Graph& device, const Head& head, const Tensor& windows) {
  Teacher teacher;
  TRY_ASSIGN(teacher.outputs, ir::evaluate_windows(device, windows));
  for (const Tensor& output : teacher.outputs) {
    double power = 0.0;
    for (const double value : output.to_doubles()) power += value * value;
    teacher.power.push_back(power / static_cast<double>(std::max<size_t>(output.size(), 1)) +
                            1e-12);
  }
  if (!head.is_there) return teacher;
  teacher.logits = teacher.outputs[head.output];
  if (head.plan) {
    TRY_ASSIGN(std::vector<Tensor> logits,
               ir::evaluate_windows(head.plan->graph, teacher.outputs[head.output]));
    teacher.logits = std::move(logits[0]);
  }
  return teacher;
}

// Sums over the batch of each learner's gradient. `first`: the loss at the start; zeros: this is
// it.
Result<std::vector<std::vector<double>>> batch_gradients(const GradientPlan& plan, const Head& head,
                                                         const Teacher& teacher,
                                                         const Tensor& windows,
                                                         const std::vector<size_t>& batch,
                                                         Loss& first) {
  TRY_ASSIGN(const std::vector<std::vector<Tensor>> values,
             all_values(plan.graph, windows_at(windows, batch)));
  std::vector<Result<Judged>> judged(batch.size(), Judged{});
  parallel_for(batch.size(), [&](size_t n, size_t) {
    judged[n] = judge(plan.graph, head, teacher, batch[n], values[n]);
  });
  Loss loss;
  for (const Result<Judged>& each : judged) {
    if (!each.ok()) return each.error();
    loss.error += each->loss.error;
    loss.divergence += each->loss.divergence;
  }
  if (first.error == 0.0) first = {std::max(loss.error, 1e-12), std::max(loss.divergence, 1e-12)};
  std::vector<Result<std::vector<Gradient>>> found(batch.size(), std::vector<Gradient>{});
  parallel_for(batch.size(), [&](size_t n, size_t) {
    std::vector<Gradient> at = judged[n]->error;
    for (size_t output = 0; output < at.size(); ++output) {
      for (size_t i = 0; i < at[output].size(); ++i) {
        at[output][i] = static_cast<float>(static_cast<double>(at[output][i]) / first.error +
                                           static_cast<double>(judged[n]->divergence[output][i]) /
                                               first.divergence);
      }
    }
    found[n] = gradients_of(plan, values[n], at);
  });
  std::vector<std::vector<double>> sums;
  for (const ValueId id : plan.wanted) {
    sums.emplace_back(plan.graph.constant(id)->size(), 0.0);
  }
  for (const Result<std::vector<Gradient>>& each : found) {
    if (!each.ok()) return each.error();
    for (size_t i = 0; i < sums.size(); ++i) {
      for (size_t j = 0; j < sums[i].size(); ++j) sums[i][j] += static_cast<double>((*each)[i][j]);
    }
  }
  return sums;
}

void take_over(const Points& points, const std::vector<Layer>& layers,
               const std::vector<Learner>& learners, Choices& choices) {
  for (const Learner& learner : learners) {
    WeightChoice& choice = choices.weights.at(learner.layer);
    if (!learner.is_bias) {
      for (size_t i = 0; i < learner.values.size(); ++i) {
        choice.codes[i] = std::nearbyint(learner.values[i]);
      }
      continue;
    }
    const auto layer = std::find_if(layers.begin(), layers.end(), [&](const Layer& each) {
      return each.node.index() == learner.layer;
    });
    const float input = choices.scales[points.same_scale[layer->input.index()].index()].scale;
    for (size_t m = 0; m < learner.values.size(); ++m) {
      const float scale = input * choice.scales[choice.scales.size() == 1 ? 0 : m];
      choice.bias[m] =
          std::nearbyint(learner.values[m] * learner.unit) * static_cast<double>(scale);
    }
  }
}

std::vector<size_t> shuffled(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  Rng rng(1);
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

}  // namespace

Result<Finetuned> finetune(const Graph& device, const Points& points, const Graph& host,
                           const Tensor& windows, const FinetuneOptions& options,
                           Choices& choices) {
  Finetuned result;
  const std::vector<Layer> layers = find_layers(device, points);
  Choices next = choices;
  for (const Layer& layer : layers) {
    const auto found = next.weights.find(layer.node.index());
    if (found == next.weights.end() || !found->second.bias.empty()) continue;
    if (!can_take_bias(device, layer) || layer.axis < 0) continue;
    found->second.bias.assign(static_cast<size_t>(layer.channels), 0.0);
  }
  TRY_ASSIGN(Qdq qdq, build_qdq(device, points, next));
  std::vector<Learner> learners = find_learners(device, layers, qdq.graph, next);
  std::vector<ValueId> wanted;
  for (const Learner& learner : learners) {
    wanted.push_back(learner.constant);
    result.layers += learner.is_bias ? 0 : 1;
  }
  Result<GradientPlan> planned = plan_gradients(std::move(qdq.graph), wanted);
  if (learners.empty() || !planned.ok()) {
    result.left_out = planned.ok() ? "no layer has weights to learn" : planned.error().message();
    return result;
  }
  GradientPlan plan = std::move(planned).value();
  const Head head = find_head(device, host);
  result.without_kl = head.missing;
  TRY_ASSIGN(const Teacher teacher, make_teacher(device, head, windows));

  // Forwards once, backwards twice.
  const double each = 3.0 * std::max(1.0, static_cast<double>(ir::multiply_adds(device)));
  size_t batch_size = options.batch;
  if (each * static_cast<double>(batch_size * kFewestSteps) > kMostWork) batch_size = kSmallBatch;
  result.steps = std::clamp(static_cast<size_t>(kMostWork / each / static_cast<double>(batch_size)),
                            kFewestSteps, options.steps);
  const std::vector<size_t> order = shuffled(static_cast<size_t>(windows.shape()[0]));
  batch_size = std::min(batch_size, order.size());
  Loss first;
  for (size_t step = 0; step < result.steps; ++step) {
    std::vector<size_t> batch;
    for (size_t i = 0; i < batch_size; ++i) {
      batch.push_back(order[(step * batch_size + i) % order.size()]);
    }
    TRY_ASSIGN(const std::vector<std::vector<double>> gradients,
               batch_gradients(plan, head, teacher, windows, batch, first));
    const double rate =
        options.rate * (1.0 - static_cast<double>(step) / static_cast<double>(result.steps));
    for (size_t i = 0; i < learners.size(); ++i) {
      adam(learners[i], gradients[i], rate, step);
      store(plan.graph, learners[i]);
    }
  }
  take_over(points, layers, learners, next);
  choices = std::move(next);
  return result;
}

}  // namespace graupel::quantize
