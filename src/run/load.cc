// Loading an engine from a bundle. See load.h. Test: load_test.cc.
#include "run/load.h"

#include <array>

#include "bundle/bundle.h"
#include "run/answers.h"

namespace graupel::run {

std::vector<std::string> parse_labels(std::string_view text) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    labels.emplace_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return labels;
}

std::string format_labels(const std::vector<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) text += label + "\n";
  return text;
}

Result<std::optional<decide::Decider>> decider_of(const bundle::Bundle& bundle, const Plan& plan) {
  using Maybe = std::optional<decide::Decider>;
  const auto member = bundle.members.find(std::string(decide::kBlockMember));
  if (member == bundle.members.end()) return Maybe();
  TRY_ASSIGN(decide::Block block, decide::parse_block(member->second));
  const auto plan_info = bundle.manifest.members.find(std::string(kPlanMember));
  if (plan_info == bundle.manifest.members.end() ||
      block.provenance.plan_sha256 != plan_info->second.sha256) {
    return invalid_input(std::string(decide::kBlockMember),
                         "was fitted on another cpu.plan: run graupel calibrate again");
  }
  TRY_ASSIGN(const size_t output, logits_output(plan));
  const Shape& shape = plan.buffers[plan.outputs[output].buffer.index()].shape;
  const auto classes = static_cast<size_t>(element_count(shape).value_or(0));
  TRY_ASSIGN(decide::Decider decider, decide::make_decider(std::move(block), classes));
  return Maybe(std::move(decider));
}

Result<BundleEngine> load_bundle_engine(const std::string& path, const EngineOptions& options) {
  constexpr std::array<std::string_view, 4> kNames = {kPlanMember, kLabelsMember,
                                                      kNormalizationMember, decide::kBlockMember};
  TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_members(path, kNames));
  Result<std::string_view> bytes = bundle::member(bundle, kPlanMember);
  if (!bytes.ok()) return std::move(bytes).error().within(path);
  Result<Plan> plan = parse_plan(*bytes);
  if (!plan.ok()) return std::move(plan).error().within(path);
  Result<std::optional<decide::Decider>> decider = decider_of(bundle, *plan);
  if (!decider.ok()) return std::move(decider).error().within(path);
  Result<Engine> engine = load_engine(*std::move(plan), options);
  if (!engine.ok()) return std::move(engine).error().within(path);
  BundleEngine loaded{*std::move(engine), bundle.manifest.model_name, {}, {}, *std::move(decider)};
  const auto optional_member = [&](std::string_view name) {
    const auto found = bundle.members.find(std::string(name));
    return found == bundle.members.end() ? std::string() : found->second;
  };
  loaded.labels = parse_labels(optional_member(kLabelsMember));
  loaded.normalization = optional_member(kNormalizationMember);
  return loaded;
}

}  // namespace graupel::run
