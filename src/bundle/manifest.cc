// The manifest to JSON and back.
//
// Idea: exactly the five keys written are accepted, each checked for its type before it is read.
// A key given twice is refused, because readers differ in which of the two they believe. Depth is
// bounded while parsing, since printing and copying a JSON value recurse.
// Reference: docs/formats/bundle.md, RFC 8259. Test: manifest_test.cc.
#include "bundle/manifest.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

namespace graupel::bundle {
namespace {

using nlohmann::ordered_json;

struct StageName {
  Stage stage;
  std::string_view name;
};
constexpr std::array<StageName, 4> kStageNames = {{{Stage::kParsed, "parsed"},
                                                   {Stage::kOptimized, "optimized"},
                                                   {Stage::kCompiled, "compiled"},
                                                   {Stage::kCalibrated, "calibrated"}}};
constexpr std::array<std::string_view, 5> kKeys = {"format_version", "stage", "model_name",
                                                   "provenance", "members"};
constexpr size_t kSha256Digits = 64;

Error bad_manifest(std::string what) { return corrupt(std::string(kManifestName), what); }

// Parses any JSON object within the depth limit and without repeated keys.
Result<ordered_json> parse_object(std::string_view text) {
  std::vector<std::set<std::string>> open_objects;
  std::string problem;
  const ordered_json::parser_callback_t watch = [&](int depth, ordered_json::parse_event_t event,
                                                    ordered_json& value) {
    using Event = ordered_json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= kMaxManifestDepth && problem.empty()) {
        problem = "nests deeper than " + std::to_string(kMaxManifestDepth) + " levels";
      }
    }
    if (!problem.empty()) return false;  // discards the rest instead of building it
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end && !open_objects.empty()) open_objects.pop_back();
    if (event == Event::key && !open_objects.empty()) {
      const std::string& key = value.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) {
        problem = "the key '" + key + "' appears twice in one object";
      }
    }
    return problem.empty();
  };
  ordered_json root = ordered_json::parse(text.begin(), text.end(), watch, false);
  if (!problem.empty()) return bad_manifest(problem);
  if (root.is_discarded()) return bad_manifest("is not valid JSON");
  if (!root.is_object()) return bad_manifest("is not a JSON object");
  return root;
}

Result<void> check_format_version(const ordered_json& root) {
  const auto found = root.find("format_version");
  if (found == root.end() || !found->is_number_unsigned()) {
    return bad_manifest("'format_version' has to be a positive integer");
  }
  const uint64_t version = found->get<uint64_t>();
  if (version > uint64_t{kFormatVersion}) {
    return unsupported(std::string(kManifestName),
                       "was written by a newer graupel (bundle format " + std::to_string(version) +
                           "); this one reads format " + std::to_string(kFormatVersion) +
                           ": update graupel on this machine");
  }
  if (version < 1) return bad_manifest("'format_version' is 0, expected 1");
  return ok();
}

Result<void> check_keys(const ordered_json& object, std::span<const std::string_view> expected,
                        const std::string& owner) {
  for (const std::string_view key : expected) {
    if (!object.contains(std::string(key))) {
      return bad_manifest(owner + " lacks the key '" + std::string(key) + "'");
    }
  }
  for (const auto& [key, value] : object.items()) {
    if (std::find(expected.begin(), expected.end(), key) == expected.end()) {
      return bad_manifest(owner + " has the key '" + key + "', which format " +
                          std::to_string(kFormatVersion) + " does not know");
    }
  }
  return ok();
}

bool is_sha256(std::string_view text) {
  return text.size() == kSha256Digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<MemberInfo> parse_member(const std::string& name, const ordered_json& value) {
  constexpr std::array<std::string_view, 2> kMemberKeys = {"sha256", "size_bytes"};
  const std::string owner = "member '" + name + "'";
  if (!value.is_object()) return bad_manifest(owner + " is not a JSON object");
  TRY(check_keys(value, kMemberKeys, owner));
  const ordered_json& digest = *value.find("sha256");
  const ordered_json& size = *value.find("size_bytes");
  if (!digest.is_string() || !is_sha256(digest.get_ref<const std::string&>())) {
    return bad_manifest(owner + ": 'sha256' has to be 64 lower-case hexadecimal digits");
  }
  if (!size.is_number_unsigned() || size.get<uint64_t>() > kMaxFileBytes) {
    return bad_manifest(owner + ": 'size_bytes' has to be an integer of at most " +
                        std::to_string(kMaxFileBytes));
  }
  return MemberInfo{digest.get<std::string>(), size.get<uint64_t>()};
}

}  // namespace

std::string_view to_string(Stage stage) {
  for (const StageName& known : kStageNames) {
    if (known.stage == stage) return known.name;
  }
  return "unknown";
}

std::optional<Stage> parse_stage(std::string_view name) {
  for (const StageName& known : kStageNames) {
    if (known.name == name) return known.stage;
  }
  return std::nullopt;
}

Result<std::string> format_manifest(const Manifest& manifest) {
  const std::string where(kManifestName);
  if (!parse_stage(to_string(manifest.stage))) return internal_error(where, "has no known stage");
  if (!manifest.provenance.is_object()) {
    return invalid_input(where, "'provenance' has to be a JSON object");
  }
  ordered_json members = ordered_json::object();
  for (const auto& [name, info] : manifest.members) {
    members[name] = {{"sha256", info.sha256}, {"size_bytes", info.size_bytes}};
  }
  std::string text;
  try {
    const ordered_json root = {{"format_version", kFormatVersion},
                               {"stage", to_string(manifest.stage)},
                               {"model_name", manifest.model_name},
                               {"provenance", manifest.provenance},
                               {"members", std::move(members)}};
    text = root.dump(1) + "\n";
  } catch (const ordered_json::exception&) {  // dump() refuses text that is not UTF-8
    return invalid_input(where, "'model_name' or 'provenance' holds text that is not UTF-8");
  }
  if (text.size() > kMaxManifestBytes) {
    return invalid_input(where, "would be " + std::to_string(text.size()) + " bytes, at most " +
                                    std::to_string(kMaxManifestBytes) +
                                    " are allowed: shorten the provenance");
  }
  // What reading refuses (nesting, odd numbers) must not get into a file.
  Result<Manifest> read_back = parse_manifest(text);
  if (!read_back.ok()) return invalid_input(where, "cannot be stored: " + read_back.error().what);
  if (read_back->provenance != manifest.provenance) {
    return invalid_input(where, "'provenance' holds a value JSON cannot express (NaN, infinity)");
  }
  return text;
}

Result<Manifest> parse_manifest(std::string_view text) {
  TRY_ASSIGN(const ordered_json root, parse_object(text));
  TRY(check_format_version(root));
  TRY(check_keys(root, kKeys, "the manifest"));
  const ordered_json& stage_name = *root.find("stage");
  const ordered_json& model_name = *root.find("model_name");
  const ordered_json& provenance = *root.find("provenance");
  const ordered_json& members = *root.find("members");
  if (!stage_name.is_string()) return bad_manifest("'stage' has to be text");
  const std::optional<Stage> stage = parse_stage(stage_name.get_ref<const std::string&>());
  if (!stage) {
    return bad_manifest("has the stage '" + stage_name.get<std::string>() +
                        "', expected parsed, optimized, compiled or calibrated");
  }
  if (!model_name.is_string()) return bad_manifest("'model_name' has to be text");
  if (!provenance.is_object()) return bad_manifest("'provenance' has to be a JSON object");
  if (!members.is_object()) return bad_manifest("'members' has to be a JSON object");
  Manifest manifest{kFormatVersion, *stage, model_name.get<std::string>(), provenance, {}};
  for (const auto& [name, value] : members.items()) {
    TRY_ASSIGN(MemberInfo info, parse_member(name, value));
    manifest.members.emplace(name, std::move(info));
  }
  return manifest;
}

}  // namespace graupel::bundle
