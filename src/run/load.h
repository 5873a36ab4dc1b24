// From a bundle's file to an engine that answers. Test: load_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "decide/decider.h"
#include "run/engine.h"

namespace graupel::run {

inline constexpr std::string_view kPlanMember = "cpu.plan";
inline constexpr std::string_view kLabelsMember = "labels";
inline constexpr std::string_view kNormalizationMember = "normalization";

struct BundleEngine {
  Engine engine;
  std::string model_name;
  std::vector<std::string> labels;  // empty if the bundle names none
  std::string normalization;        // the member's JSON (data::parse_normalization), or empty
  std::optional<decide::Decider> decider;  // decide.json, if the bundle is calibrated
};

// Reads only the members named above. Errors: those of bundle::read_members, parse_plan and
// load_engine and of decide::parse_block; kInvalidInput, naming the command that makes it, if there
// is no CPU plan or the decisions were fitted on another one.
Result<BundleEngine> load_bundle_engine(const std::string& path, const EngineOptions& options = {});

// The decision block of a bundle whose member decide.json was read; nullopt if it has none. Errors:
// those of decide::parse_block; kInvalidInput if it was fitted on another cpu.plan or for another
// number of classes.
Result<std::optional<decide::Decider>> decider_of(const bundle::Bundle& bundle, const Plan& plan);

// One label per line; a last newline ends the last label.
std::vector<std::string> parse_labels(std::string_view text);
std::string format_labels(const std::vector<std::string>& labels);

}  // namespace graupel::run
