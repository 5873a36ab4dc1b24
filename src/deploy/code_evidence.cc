// The FSQ of a bundle and its values. See code_evidence.h. Test: calibrate_test.cc.
#include "deploy/code_evidence.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "decide/fsq.h"
#include "deploy/stages.h"

namespace graupel::deploy {
namespace {

// What `parse` wrote about the FSQ. A report that says something else is no FSQ.
std::optional<cut::Fsq> recorded_fsq(const bundle::Bundle& bundle) {
  const auto member = bundle.members.find("reports/parse.json");
  if (member == bundle.members.end()) return std::nullopt;
  const Json report = Json::parse(member->second, nullptr, false);
  if (!report.is_object() || !report.contains("cut") || !report["cut"].is_object()) return {};
  const auto found = report["cut"].find("fsq");
  if (found == report["cut"].end() || !found->is_object()) return std::nullopt;
  cut::Fsq fsq;
  const auto text = [&](const char* key) {
    const auto value = found->find(key);
    return value != found->end() && value->is_string() ? value->get<std::string>() : std::string();
  };
  fsq.variant = text("variant");
  fsq.unbounded = text("unbounded");
  fsq.bounded = text("bounded");
  fsq.rounded = text("rounded");
  fsq.shift_folded = found->value("shift_folded", Json()) == Json(true);
  const Json axis = found->value("axis", Json());
  const Json levels = found->value("levels", Json());
  if (!axis.is_number_unsigned() || axis.get<uint64_t>() > 7 || !levels.is_array()) return {};
  fsq.axis = axis.get<int64_t>();
  for (const Json& level : levels) {
    if (!level.is_number_unsigned() || level.get<uint64_t>() < 2 ||
        level.get<uint64_t>() > static_cast<uint64_t>(decide::kMaxFsqLevels)) {
      return std::nullopt;
    }
    fsq.levels.push_back(level.get<int64_t>());
  }
  if (fsq.levels.empty() || fsq.levels.size() > decide::kMaxFsqDimensions) return std::nullopt;
  return fsq;
}

// Makes `name` leave the part that computes it.
void let_out(Halves& halves, const std::string& name) {
  for (ir::Graph* graph : {&halves.before, &halves.device, &halves.host}) {
    const std::optional<ir::ValueId> value = ir::find_value(*graph, name);
    if (!value || graph->value(*value).constant) continue;
    const auto is = [&](const std::vector<ir::ValueId>& list) {
      return std::find(list.begin(), list.end(), *value) != list.end();
    };
    if (!is(graph->inputs) && !is(graph->outputs)) graph->outputs.push_back(*value);
  }
}

bool is_grid(decide::FsqVariant variant) {
  return variant == decide::FsqVariant::kSymmetric || variant == decide::FsqVariant::kSigmoid ||
         variant == decide::FsqVariant::kIfsq;
}

}  // namespace

Result<std::optional<CodeEvidence>> code_evidence(const bundle::Bundle& bundle,
                                                  const Tensor& model_windows) {
  using Maybe = std::optional<CodeEvidence>;
  const std::optional<cut::Fsq> fsq = recorded_fsq(bundle);
  if (!fsq) return Maybe();
  const std::optional<decide::FsqVariant> variant = decide::parse_fsq_variant(fsq->variant);
  if (!variant) {
    return unsupported("reports/parse.json", "names the FSQ variant '" + fsq->variant +
                                                 "', which this graupel does not know");
  }
  CodeEvidence evidence;
  evidence.fsq = *fsq;
  evidence.variant = *variant;
  evidence.dimensions = fsq->levels.size();
  TRY_ASSIGN(evidence.halves, float_halves(bundle));
  let_out(evidence.halves, fsq->unbounded);
  let_out(evidence.halves, fsq->bounded);
  TRY_ASSIGN(evidence.exact, evaluate_halves(evidence.halves, model_windows));
  const auto digits = evidence.exact.find(cut::kFsqDigitsOutput);
  if (digits == evidence.exact.end()) return Maybe();
  const Shape& shape = digits->second.shape();
  const auto axis = static_cast<size_t>(fsq->axis);
  if (axis >= shape.size() || shape[axis] != static_cast<int64_t>(evidence.dimensions)) {
    return corrupt("reports/parse.json",
                   "names an FSQ axis that does not fit the digits' shape " + to_string(shape));
  }
  for (size_t i = axis + 1; i < shape.size(); ++i) {
    evidence.inner *= static_cast<size_t>(shape[i]);
  }
  evidence.codes = digits->second.size() / evidence.dimensions;
  return Maybe(std::move(evidence));
}

std::vector<double> thresholds_on(const CodeEvidence& evidence, size_t d, bool bounded) {
  const int64_t levels = evidence.fsq.levels[d];
  if (!bounded) {
    return decide::z_thresholds(evidence.variant, levels, evidence.fsq.shift_folded);
  }
  std::vector<double> thresholds;
  for (int64_t digit = 0; digit + 1 < levels; ++digit) {
    const auto step = static_cast<double>(digit);
    // Floor goes up at whole numbers, Round between them.
    thresholds.push_back(is_grid(evidence.variant) ? step + 1.0
                                                   : step + 0.5 - static_cast<double>(levels / 2));
  }
  return thresholds;
}

}  // namespace graupel::deploy
