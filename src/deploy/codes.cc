// Codes of a bundle, measured. See codes.h. Test: calibrate_test.cc.
#include "deploy/codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "decide/fsq.h"
#include "deploy/code_evidence.h"
#include "deploy/stages.h"
#include "run/answers.h"
#include "run/engine.h"

namespace graupel::deploy {
namespace {

using Named = std::map<std::string, Tensor>;

constexpr double kMarginEdges[] = {0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0};

Result<Named> outputs_of(const run::Plan& plan, const Tensor& raw) {
  TRY_ASSIGN(const run::Engine engine, run::load_engine(plan));
  TRY_ASSIGN(const std::vector<Tensor> outputs, run::run_windows(engine, raw));
  Named named;
  for (size_t i = 0; i < outputs.size(); ++i) named[plan.outputs[i].name] = outputs[i];
  return named;
}

double entropy_of(const std::vector<int64_t>& counts, double total) {
  double bits = 0.0;
  for (const int64_t count : counts) {
    if (count > 0)
      bits -= static_cast<double>(count) / total * std::log2(static_cast<double>(count) / total);
  }
  return bits;
}

void count_usage(Codes& codes, const CodeEvidence& evidence, std::span<const int64_t> digits,
                 std::span<const int64_t> int8_digits) {
  std::map<std::vector<int64_t>, int64_t> used;
  codes.dimensions.resize(evidence.dimensions);
  for (size_t d = 0; d < evidence.dimensions; ++d) {
    codes.dimensions[d].levels = evidence.fsq.levels[d];
    codes.dimensions[d].usage.assign(static_cast<size_t>(evidence.fsq.levels[d]), 0);
  }
  int64_t flipped = 0;
  std::vector<int64_t> code(evidence.dimensions);
  for (size_t c = 0; c < evidence.codes; ++c) {
    bool differs = false;
    for (size_t d = 0; d < evidence.dimensions; ++d) {
      const size_t at = evidence.at(c, d);
      code[d] = digits[at];
      const auto level =
          static_cast<size_t>(std::clamp<int64_t>(code[d], 0, evidence.fsq.levels[d] - 1));
      ++codes.dimensions[d].usage[level];
      codes.dimensions[d].flips += digits[at] != int8_digits[at] ? 1 : 0;
      differs = differs || digits[at] != int8_digits[at];
    }
    ++used[code];
    flipped += differs ? 1 : 0;
  }
  const double total = std::max(1.0, static_cast<double>(evidence.codes));
  std::vector<int64_t> counts;
  for (const auto& [key, count] : used) counts.push_back(count);
  codes.used = static_cast<int64_t>(counts.size());
  codes.entropy_bits = entropy_of(counts, total);
  codes.perplexity = std::exp2(codes.entropy_bits);
  codes.flip_percent = 100.0 * static_cast<double>(flipped) / total;
  codes.possible = 1.0;
  for (CodeDimension& dimension : codes.dimensions) {
    codes.possible *= static_cast<double>(dimension.levels);
    dimension.entropy_bits = entropy_of(dimension.usage, total);
    dimension.dead_levels = std::count(dimension.usage.begin(), dimension.usage.end(), 0);
  }
}

// The INT8 tensor that leaves the device for the FSQ.
struct Crossing {
  std::string name;
  bool bounded = false;
  bool is_signed = true;
  float scale = 1.0f;
  int32_t zero_point = 0;
};
std::optional<Crossing> int8_crossing(const ir::Graph& int8, const CodeEvidence& evidence) {
  const ir::Graph& host = evidence.halves.host;
  for (const ir::ValueId input : host.inputs) {
    const std::string& name = host.value(input).name;
    if (name != evidence.fsq.bounded && name != evidence.fsq.unbounded) continue;
    const std::optional<ir::ValueId> value = ir::find_value(int8, name);
    if (!value) continue;
    const ir::Uses uses = ir::find_uses(int8);
    const ir::NodeId node = uses.producer[value->index()];
    if (!node.valid() || !std::holds_alternative<ir::DequantizeLinear>(int8.node(node).op))
      continue;
    const std::vector<ir::ValueId>& inputs = int8.node(node).inputs;
    const Tensor* scale = inputs.size() > 1 ? int8.constant(inputs[1]) : nullptr;
    const Tensor* zero = inputs.size() > 2 ? int8.constant(inputs[2]) : nullptr;
    if (scale == nullptr || zero == nullptr || scale->size() != 1 || zero->size() != 1) continue;
    if (zero->dtype() != DType::kInt8 && zero->dtype() != DType::kUInt8) continue;
    return Crossing{name, name == evidence.fsq.bounded, zero->dtype() == DType::kInt8,
                    static_cast<float>(scale->to_doubles()[0]),
                    static_cast<int32_t>(zero->to_int64s()[0])};
  }
  return std::nullopt;
}

// Digits of the host part for every value of the INT8 tensor, per dimension.
Result<std::vector<std::vector<int64_t>>> digits_of_all_bytes(const CodeEvidence& evidence,
                                                              const Crossing& crossing) {
  const ir::Graph& host = evidence.halves.host;
  size_t digits_output = host.outputs.size();
  for (size_t i = 0; i < host.outputs.size(); ++i) {
    if (host.value(host.outputs[i]).name == cut::kFsqDigitsOutput) digits_output = i;
  }
  if (digits_output == host.outputs.size()) return internal_error("host", "gives no digits");
  std::vector<std::vector<int64_t>> digit_of(evidence.dimensions);
  std::vector<Tensor> inputs;
  size_t which = 0;
  for (const ir::ValueId input : host.inputs) {
    if (host.value(input).name == crossing.name) which = inputs.size();
    inputs.emplace_back(host.value(input).dtype, host.shape(input));
  }
  const int32_t lowest = crossing.is_signed ? -128 : 0;
  for (int32_t value = lowest; value < lowest + 256; ++value) {
    const float real = static_cast<float>(value - crossing.zero_point) * crossing.scale;
    for (float& element : inputs[which].mutable_data<float>()) element = real;
    TRY_ASSIGN(const std::vector<Tensor> outputs, ir::evaluate(host, inputs));
    const std::span<const int64_t> digits = outputs[digits_output].data<int64_t>();
    for (size_t d = 0; d < evidence.dimensions; ++d) {
      digit_of[d].push_back(digits[evidence.at(0, d)]);
    }
  }
  return digit_of;
}

void count_margins(Codes& codes, const CodeEvidence& evidence, const Crossing& crossing,
                   std::span<const int64_t> digits, std::span<const int64_t> int8_digits) {
  for (size_t i = 0; i < std::size(kMarginEdges); ++i) {
    const bool last = i + 1 == std::size(kMarginEdges);
    codes.margins.push_back({kMarginEdges[i],
                             last ? std::numeric_limits<double>::infinity() : kMarginEdges[i + 1],
                             0, 0});
  }
  const std::span<const float> values = evidence.exact.at(crossing.name).data<float>();
  for (size_t d = 0; d < evidence.dimensions; ++d) {
    const std::vector<double> thresholds = thresholds_on(evidence, d, crossing.bounded);
    for (size_t c = 0; c < evidence.codes; ++c) {
      const size_t at = evidence.at(c, d);
      double nearest = std::numeric_limits<double>::infinity();
      for (const double threshold : thresholds) {
        nearest = std::min(nearest, std::abs(static_cast<double>(values[at]) - threshold));
      }
      const double steps = nearest / static_cast<double>(crossing.scale);
      const auto bin = std::upper_bound(std::begin(kMarginEdges), std::end(kMarginEdges), steps) -
                       std::begin(kMarginEdges) - 1;
      MarginBin& margin = codes.margins[static_cast<size_t>(std::max<std::ptrdiff_t>(bin, 0))];
      ++margin.digits;
      margin.flipped += digits[at] != int8_digits[at] ? 1 : 0;
    }
  }
}

// Integer thresholds, proven on all bytes and compared with the plan on the windows.
Result<void> measure_int8(Codes& codes, const bundle::Bundle& bundle, const Windows& windows,
                          const CodeEvidence& evidence, std::span<const int64_t> digits,
                          std::span<const int64_t> int8_digits) {
  TRY_ASSIGN(const ir::Graph int8, member_graph(bundle, "device_int8.onnx"));
  const std::optional<Crossing> crossing = int8_crossing(int8, evidence);
  if (!crossing) {
    codes.int8_note = "the value in front of the FSQ does not cross from device to host as INT8";
    return ok();
  }
  TRY_ASSIGN(const std::vector<std::vector<int64_t>> digit_of,
             digits_of_all_bytes(evidence, *crossing));
  const int32_t lowest = crossing->is_signed ? -128 : 0;
  decide::Int8Thresholds thresholds = {crossing->name,
                                       crossing->is_signed,
                                       static_cast<double>(crossing->scale),
                                       crossing->zero_point,
                                       {}};
  TRY_ASSIGN(thresholds.thresholds,
             decide::integer_thresholds(evidence.fsq.levels, digit_of, lowest));
  for (size_t d = 0; d < evidence.dimensions; ++d) {
    for (int32_t v = lowest; v < lowest + 256; ++v) {
      const int64_t counted = decide::count_at_most<int32_t>(thresholds.thresholds[d], v);
      const int64_t own = digit_of[d][static_cast<size_t>(v - lowest)];
      const bool beyond = own < 0 || own >= evidence.fsq.levels[d];
      if (!beyond && counted != own) {
        return internal_error("FSQ", "integer thresholds differ from the host part");
      }
      ++(beyond ? codes.int8_values_beyond : codes.int8_values_proven);
    }
  }
  TRY_ASSIGN(const run::Plan plan, device_plan(bundle));
  TRY_ASSIGN(const Named at_cut, outputs_of(plan, windows.raw));
  const auto real = at_cut.find(crossing->name);
  if (real != at_cut.end() && real->second.dtype() == DType::kFloat32) {
    const std::span<const float> values = real->second.data<float>();
    for (size_t c = 0; c < evidence.codes; ++c) {
      for (size_t d = 0; d < evidence.dimensions; ++d) {
        const size_t at = evidence.at(c, d);
        const auto byte =
            static_cast<int32_t>(std::lround(values[at] / crossing->scale)) + crossing->zero_point;
        const int64_t counted = decide::count_at_most<int32_t>(thresholds.thresholds[d], byte);
        codes.int8_differing += counted != int8_digits[at] ? 1 : 0;
      }
    }
  }
  codes.fsq.int8 = std::move(thresholds);
  count_margins(codes, evidence, *crossing, digits, int8_digits);
  return ok();
}

// The same network without the rounding: q becomes b (b - 1/2 where Floor rounds).
Result<Halves> without_rounding(const CodeEvidence& evidence) {
  Halves halves = evidence.halves;
  for (ir::Graph* graph : {&halves.device, &halves.host}) {
    const std::optional<ir::ValueId> rounded = ir::find_value(*graph, evidence.fsq.rounded);
    const ir::Uses uses = ir::find_uses(*graph);
    if (!rounded || !uses.producer[rounded->index()].valid()) continue;
    const ir::NodeId id = uses.producer[rounded->index()];
    const ir::Unary* unary = std::get_if<ir::Unary>(&graph->node(id).op);
    if (unary == nullptr) continue;
    if (unary->kind == ir::UnaryKind::kFloor) {
      const ir::ValueId half =
          ir::add_constant(*graph, "graupel/half_step", Tensor::scalar<float>(0.5f));
      graph->node(id).op = ir::Binary{ir::BinaryKind::kSub};
      graph->node(id).inputs.push_back(half);
    } else {
      graph->node(id).op = ir::Unary{ir::UnaryKind::kIdentity};
    }
    return halves;
  }
  return internal_error(evidence.fsq.rounded, "is not rounded in any part");
}

std::optional<double> accuracy_percent(const Named& outputs, const std::string& logits,
                                       const std::vector<int64_t>& labels) {
  const auto found = outputs.find(logits);
  if (found == outputs.end() || found->second.dtype() != DType::kFloat32) return std::nullopt;
  const std::vector<int64_t> classes = argmax_rows(found->second);
  if (classes.size() != labels.size()) return std::nullopt;
  return agreement_percent(classes, labels);
}

Result<void> measure_accuracy(Codes& codes, const CodeEvidence& evidence, const Named& int8,
                              const run::Plan& plan, const Windows& windows) {
  const Result<size_t> output = run::logits_output(plan);
  if (!windows.labels || !output.ok()) return ok();
  const std::string& logits = plan.outputs[*output].name;
  const std::vector<int64_t> labels = windows.labels->to_int64s();
  codes.accuracy_float = accuracy_percent(evidence.exact, logits, labels);
  codes.accuracy_int8 = accuracy_percent(int8, logits, labels);
  TRY_ASSIGN(const Halves smooth, without_rounding(evidence));
  TRY_ASSIGN(const Named unrounded, evaluate_halves(smooth, windows.model));
  codes.accuracy_unrounded = accuracy_percent(unrounded, logits, labels);
  return ok();
}

void measure_host_formulas(Codes& codes, const CodeEvidence& evidence,
                           std::span<const int64_t> digits) {
  for (const bool bounded : {false, true}) {
    const auto values =
        evidence.exact.find(bounded ? evidence.fsq.bounded : evidence.fsq.unbounded);
    if (values == evidence.exact.end() || values->second.size() != digits.size()) continue;
    const std::span<const float> real = values->second.data<float>();
    for (const decide::HostFormula formula :
         {decide::HostFormula::kGrid, decide::HostFormula::kLevels}) {
      int64_t differing = 0;
      for (size_t c = 0; c < evidence.codes; ++c) {
        bool differs = false;
        for (size_t d = 0; d < evidence.dimensions; ++d) {
          const size_t at = evidence.at(c, d);
          differs = differs || decide::host_formula_digit(formula, evidence.fsq.levels[d],
                                                          real[at]) != digits[at];
        }
        differing += differs ? 1 : 0;
      }
      codes.host_formulas.push_back(
          {std::string(decide::to_string(formula)), bounded ? "b" : "z",
           100.0 * static_cast<double>(differing) / static_cast<double>(evidence.codes)});
    }
  }
}

}  // namespace

Result<std::optional<Codes>> measure_codes(const bundle::Bundle& bundle, const Windows& windows) {
  using Maybe = std::optional<Codes>;
  TRY_ASSIGN(const std::optional<CodeEvidence> evidence, code_evidence(bundle, windows.model));
  if (!evidence) return Maybe();
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, "cpu.plan"));
  TRY_ASSIGN(const run::Plan plan, run::parse_plan(bytes));
  TRY_ASSIGN(const Named int8, outputs_of(plan, windows.raw));
  const auto int8_found = int8.find(cut::kFsqDigitsOutput);
  if (int8_found == int8.end()) return Maybe();
  const std::vector<int64_t> digits = evidence->exact.at(cut::kFsqDigitsOutput).to_int64s();
  const std::vector<int64_t> int8_digits = int8_found->second.to_int64s();
  if (digits.size() != int8_digits.size()) {
    return corrupt("cpu.plan",
                   "gives another number of digits than the float parts: compile the "
                   "bundle again");
  }
  Codes codes;
  codes.fsq.variant = evidence->variant;
  codes.fsq.levels = evidence->fsq.levels;
  codes.fsq.shift_folded = evidence->fsq.shift_folded;
  codes.dead_dimensions = decide::fsq_warnings(codes.fsq);
  codes.codes = static_cast<int64_t>(evidence->codes);
  count_usage(codes, *evidence, digits, int8_digits);
  TRY(measure_int8(codes, bundle, windows, *evidence, digits, int8_digits));
  TRY(measure_accuracy(codes, *evidence, int8, plan, windows));
  measure_host_formulas(codes, *evidence, digits);
  return Maybe(std::move(codes));
}

}  // namespace graupel::deploy
