// The decision block to JSON and back. See block.h.
//
// Idea: one table of names per enum; each section is written key by key and read by a Reader that
// remembers which keys were asked for, so that an unknown key is an error. An infinite threshold
// is written as null. Depth and repeated keys are judged while parsing.
// Reference: docs/decisions.md, RFC 8259. Test: block_test.cc.
#include "decide/block.h"
#include "decide/names.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

namespace graupel::decide {
namespace {

using Json = nlohmann::ordered_json;

constexpr Name<FsqVariant> kVariants[] = {{FsqVariant::kLucidrains2024, "lucidrains-2024"},
                                          {FsqVariant::kLucidrains2023, "lucidrains-2023"},
                                          {FsqVariant::kPaper2023, "paper-2023"},
                                          {FsqVariant::kSymmetric, "symmetric"},
                                          {FsqVariant::kHardClamp, "hard-clamp"},
                                          {FsqVariant::kSigmoid, "sigmoid"},
                                          {FsqVariant::kIfsq, "ifsq"}};
constexpr Name<DigitOrder> kOrders[] = {{DigitOrder::kFirstFastest, "first-fastest"},
                                        {DigitOrder::kLastFastest, "last-fastest"}};
constexpr Name<ConfidenceMethod> kConfidences[] = {{ConfidenceMethod::kNone, "none"},
                                                   {ConfidenceMethod::kTemperature, "temperature"},
                                                   {ConfidenceMethod::kVector, "vector"},
                                                   {ConfidenceMethod::kPerGroup, "per-group"}};
constexpr Name<ConformalMethod> kMethods[] = {{ConformalMethod::kLac, "lac"},
                                              {ConformalMethod::kAps, "aps"},
                                              {ConformalMethod::kRaps, "raps"},
                                              {ConformalMethod::kSaps, "saps"}};
constexpr Name<Condition> kConditions[] = {
    {Condition::kMarginal, "marginal"}, {Condition::kClass, "class"}, {Condition::kGroup, "group"}};
constexpr Name<EmptySets> kEmptySets[] = {{EmptySets::kKeep, "keep"},
                                          {EmptySets::kTopClass, "top-class"}};

Error bad(const std::string& what) { return corrupt(std::string(kBlockMember), what); }

// Any JSON object within the depth limit and without repeated keys.
Result<Json> parse_object(std::string_view text) {
  std::vector<std::set<std::string>> open_objects;
  std::string problem;
  const Json::parser_callback_t watch = [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxBlockDepth && problem.empty()) {
      problem = "nests deeper than " + std::to_string(kMaxBlockDepth) + " levels";
    }
    if (!problem.empty()) return false;  // discards the rest instead of building it
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end && !open_objects.empty()) open_objects.pop_back();
    if (event == Event::key && !open_objects.empty()) {
      const std::string& key = value.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) problem = "the key '" + key + "' appears twice";
    }
    return problem.empty();
  };
  Json root = Json::parse(text.begin(), text.end(), watch, false);
  if (!problem.empty()) return bad(problem);
  if (root.is_discarded()) return bad("is not valid JSON");
  if (!root.is_object()) return bad("is not a JSON object");
  return root;
}

// Reads the keys of one object. The first problem is kept; later reads leave their defaults.
struct Reader {
  const Json& object;
  std::string section;
  std::optional<Error>& problem;
  std::set<std::string> known = {};

  void fail(const std::string& key, const std::string& what) {
    if (!problem) problem = bad("'" + section + "." + key + "' " + what);
  }
  const Json* find(const char* key, bool required = true) {
    known.insert(key);
    const auto found = object.find(key);
    if (found != object.end()) return &*found;
    if (required) fail(key, "is missing");
    return nullptr;
  }
  // Null stands for an infinite threshold where `infinite` allows it.
  std::optional<double> number_in(const Json& json, const char* key, double low, double high,
                                  bool infinite = false) {
    if (infinite && json.is_null()) return kNoThreshold;
    const double value = json.is_number() ? json.get<double>() : std::nan("");
    if (value >= low && value <= high) return value;
    fail(key, "has to be a number from " + Json(low).dump() + " to " + Json(high).dump());
    return std::nullopt;
  }
  void number(const char* key, double& value, double low, double high, bool infinite = false) {
    const Json* json = find(key);
    if (json != nullptr) value = number_in(*json, key, low, high, infinite).value_or(value);
  }
  std::optional<int64_t> integer_in(const Json& json, const char* key, int64_t low, int64_t high) {
    const bool fits = json.is_number_integer() &&
                      !(json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX});
    if (fits && json.get<int64_t>() >= low && json.get<int64_t>() <= high) {
      return json.get<int64_t>();
    }
    fail(key, "has to be an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return std::nullopt;
  }
  template <class T>
  void integer(const char* key, T& value, int64_t low, int64_t high) {
    const Json* json = find(key);
    if (json == nullptr) return;
    if (const auto found = integer_in(*json, key, low, high)) value = static_cast<T>(*found);
  }
  void text(const char* key, std::string& value) {
    const Json* json = find(key);
    if (json == nullptr) return;
    if (json->is_string()) value = json->get<std::string>();
    if (!json->is_string()) fail(key, "has to be text");
  }
  void flag(const char* key, bool& value) {
    const Json* json = find(key);
    if (json == nullptr) return;
    if (json->is_boolean()) value = json->get<bool>();
    if (!json->is_boolean()) fail(key, "has to be true or false");
  }
  template <class T, size_t N>
  void choice(const char* key, const Name<T> (&names)[N], T& value) {
    std::string name;
    text(key, name);
    if (problem) return;
    if (const std::optional<T> found = value_of(names, name)) {
      value = *found;
      return;
    }
    std::string all;
    for (const Name<T>& known_name : names) {
      all += (all.empty() ? "" : ", ") + std::string(known_name.name);
    }
    problem = unsupported(std::string(kBlockMember), "'" + section + "." + key + "' is '" + name +
                                                         "', this graupel knows " + all);
  }
  const Json* list(const char* key, size_t limit) {
    const Json* json = find(key);
    if (json == nullptr) return nullptr;
    if (json->is_array() && json->size() <= limit) return json;
    fail(key, "has to be a list of at most " + std::to_string(limit));
    return nullptr;
  }
  void numbers(const char* key, std::vector<double>& values, size_t limit, double low, double high,
               bool infinite = false) {
    const Json* json = list(key, limit);
    if (json == nullptr) return;
    for (const Json& entry : *json) {
      values.push_back(number_in(entry, key, low, high, infinite).value_or(0.0));
    }
  }
  template <class T>
  void integers(const char* key, std::vector<T>& values, size_t limit, int64_t low, int64_t high) {
    const Json* json = list(key, limit);
    if (json == nullptr) return;
    for (const Json& entry : *json) {
      values.push_back(static_cast<T>(integer_in(entry, key, low, high).value_or(0)));
    }
  }
  // The object under `key`, or nullptr; absent is no error.
  const Json* part(const char* key) {
    const Json* json = find(key, false);
    if (json == nullptr || json->is_object()) return json;
    fail(key, "has to be an object");
    return nullptr;
  }
  void done() {
    for (const auto& [key, value] : object.items()) {
      if (!known.contains(key)) {
        fail(key, "is not known to version " + std::to_string(kBlockVersion));
      }
    }
  }
};

constexpr double kHuge = 1e300;
constexpr int64_t kManyWindows = int64_t{1} << 48;

template <class T>
bool ascending(const std::vector<T>& values) {
  return std::is_sorted(values.begin(), values.end());
}

Int8Thresholds read_int8(const Json& json, std::optional<Error>& problem, const Fsq& fsq) {
  Reader reader{json, "fsq.int8", problem};
  Int8Thresholds int8;
  reader.text("tensor", int8.tensor);
  reader.flag("signed", int8.is_signed);
  reader.number("scale", int8.scale, 1e-38, 1e38);
  reader.integer("zero_point", int8.zero_point, -128, 255);
  if (const Json* lists = reader.list("thresholds", kMaxFsqDimensions)) {
    for (const Json& list : *lists) {
      std::vector<int32_t>& row = int8.thresholds.emplace_back();
      if (!list.is_array() || list.size() > static_cast<size_t>(kMaxFsqLevels)) {
        reader.fail("thresholds", "has to be a list of lists");
        return int8;
      }
      // One above the largest value: never reached.
      for (const Json& entry : list) {
        row.push_back(
            static_cast<int32_t>(reader.integer_in(entry, "thresholds", -128, 256).value_or(0)));
      }
      if (!ascending(row)) reader.fail("thresholds", "have to ascend");
    }
  }
  bool fits = int8.thresholds.size() == fsq.levels.size();
  for (size_t i = 0; fits && i < fsq.levels.size(); ++i) {
    fits = static_cast<int64_t>(int8.thresholds[i].size()) + 1 == fsq.levels[i];
  }
  if (!fits) reader.fail("thresholds", "do not fit the levels: each dimension has levels - 1");
  reader.done();
  return int8;
}

Fsq read_fsq(const Json& json, std::optional<Error>& problem) {
  Reader reader{json, "fsq", problem};
  Fsq fsq;
  reader.choice("variant", kVariants, fsq.variant);
  reader.integers("levels", fsq.levels, kMaxFsqDimensions, 2, kMaxFsqLevels);
  if (fsq.levels.empty()) reader.fail("levels", "are none");
  reader.choice("order", kOrders, fsq.order);
  reader.flag("shift_folded", fsq.shift_folded);
  if (const Json* int8 = reader.part("int8")) fsq.int8 = read_int8(*int8, problem, fsq);
  reader.done();
  return fsq;
}

constexpr double kLeastTemperature = 1e-6, kGreatestTemperature = 1e6;

Confidence read_confidence(const Json& json, std::optional<Error>& problem, int64_t classes) {
  Reader reader{json, "confidence", problem};
  Confidence confidence;
  reader.choice("method", kConfidences, confidence.method);
  reader.number("temperature", confidence.temperature, kLeastTemperature, kGreatestTemperature);
  reader.number("temperature_low", confidence.temperature_low, 0.0, kHuge);
  reader.number("temperature_high", confidence.temperature_high, 0.0, kHuge, true);
  reader.numbers("scale", confidence.scale, kMaxClasses, -kHuge, kHuge);
  reader.numbers("bias", confidence.bias, kMaxClasses, -kHuge, kHuge);
  const size_t expected =
      confidence.method == ConfidenceMethod::kVector ? static_cast<size_t>(classes) : 0;
  if (confidence.scale.size() != expected || confidence.bias.size() != expected) {
    reader.fail("scale", "and 'bias' need one number per class for vector, none otherwise");
  }
  if (const Json* list = reader.list("groups", kMaxGroups)) {
    for (const Json& entry : *list) {
      if (!entry.is_object()) {
        reader.fail("groups", "has to be a list of objects");
        break;
      }
      Reader group{entry, "confidence.groups", problem};
      GroupTemperature& row = confidence.groups.emplace_back();
      group.integer("group", row.group, INT64_MIN, INT64_MAX);
      group.number("temperature", row.temperature, kLeastTemperature, kGreatestTemperature);
      group.done();
    }
  }
  for (size_t i = 1; i < confidence.groups.size(); ++i) {
    if (confidence.groups[i - 1].group >= confidence.groups[i].group) {
      reader.fail("groups", "have to ascend");
    }
  }
  reader.done();
  return confidence;
}

Conformal read_conformal(const Json& json, std::optional<Error>& problem, int64_t classes) {
  Reader reader{json, "conformal", problem};
  Conformal conformal;
  reader.choice("method", kMethods, conformal.method);
  reader.number("alpha", conformal.alpha, 1e-9, 1.0 - 1e-9);
  reader.choice("condition", kConditions, conformal.condition);
  reader.flag("randomised", conformal.randomised);
  reader.choice("empty_sets", kEmptySets, conformal.empty_sets);
  reader.number("raps_lambda", conformal.raps_lambda, 0.0, 1e6);
  reader.integer("raps_free_ranks", conformal.raps_free_ranks, 0, kMaxClasses);
  reader.number("saps_weight", conformal.saps_weight, 0.0, 1e6);
  reader.number("threshold", conformal.threshold, -kHuge, kHuge, true);
  reader.integer("calibration_count", conformal.calibration_count, 0, kManyWindows);
  reader.numbers("class_thresholds", conformal.class_thresholds, kMaxClasses, -kHuge, kHuge, true);
  reader.integers("groups", conformal.groups, kMaxGroups, INT64_MIN, INT64_MAX);
  reader.numbers("group_thresholds", conformal.group_thresholds, kMaxGroups, -kHuge, kHuge, true);
  const size_t expected =
      conformal.condition == Condition::kClass ? static_cast<size_t>(classes) : 0;
  if (conformal.class_thresholds.size() != expected) {
    reader.fail("class_thresholds", "have to be one per class for condition class, else none");
  }
  const bool grouped = conformal.condition == Condition::kGroup;
  if (conformal.groups.size() != conformal.group_thresholds.size() ||
      (!grouped && !conformal.groups.empty())) {
    reader.fail("groups", "need one threshold each, and condition group");
  }
  for (size_t i = 1; i < conformal.groups.size(); ++i) {
    if (conformal.groups[i - 1] >= conformal.groups[i]) reader.fail("groups", "have to ascend");
  }
  reader.done();
  return conformal;
}

Adaptive read_adaptive(const Json& json, std::optional<Error>& problem) {
  Reader reader{json, "adaptive", problem};
  Adaptive adaptive;
  reader.number("step", adaptive.step, 0.0, 1.0);
  reader.integer("calibration_count", adaptive.calibration_count, 0, kManyWindows);
  reader.numbers("scores", adaptive.scores, kMaxStoredScores, -kHuge, kHuge);
  if (!ascending(adaptive.scores)) reader.fail("scores", "have to ascend");
  if (adaptive.calibration_count < static_cast<int64_t>(adaptive.scores.size())) {
    reader.fail("calibration_count", "is below the number of scores");
  }
  reader.done();
  return adaptive;
}

Drift read_drift(const Json& json, std::optional<Error>& problem) {
  Reader reader{json, "drift", problem};
  Drift drift;
  reader.numbers("edges", drift.edges, kMaxDriftBins - 1, -kHuge, kHuge);
  reader.integers("counts", drift.counts, kMaxDriftBins, 0, kManyWindows);
  reader.number("alarm", drift.alarm, 1.0, kHuge);
  reader.number("run_length", drift.run_length, 1.0, kHuge);
  if (!ascending(drift.edges)) reader.fail("edges", "have to ascend");
  if (drift.counts.size() != drift.edges.size() + 1) {
    reader.fail("counts", "have to be one more than the edges");
  }
  reader.done();
  return drift;
}

constexpr size_t kMaxMeasured = 1024;

Provenance read_provenance(const Json& json, std::optional<Error>& problem) {
  Reader reader{json, "provenance", problem};
  Provenance provenance;
  reader.text("data", provenance.data);
  reader.text("data_sha256", provenance.data_sha256);
  reader.text("labels_sha256", provenance.labels_sha256);
  reader.text("plan_sha256", provenance.plan_sha256);
  reader.integer("fit_windows", provenance.fit_windows, 0, kManyWindows);
  reader.integer("conformal_windows", provenance.conformal_windows, 0, kManyWindows);
  reader.integer("judge_windows", provenance.judge_windows, 0, kManyWindows);
  reader.integers("fit_groups", provenance.fit_groups, kMaxGroups, INT64_MIN, INT64_MAX);
  reader.integers("conformal_groups", provenance.conformal_groups, kMaxGroups, INT64_MIN,
                  INT64_MAX);
  reader.integers("judge_groups", provenance.judge_groups, kMaxGroups, INT64_MIN, INT64_MAX);
  reader.integer("seed", provenance.seed, 0, INT64_MAX);
  reader.done();
  return provenance;
}

void read_measured(Reader& root, std::vector<Measured>& measured) {
  const Json* json = root.find("measured");
  if (json == nullptr) return;
  if (!json->is_object() || json->size() > kMaxMeasured) {
    root.fail("measured", "has to be an object of at most " + std::to_string(kMaxMeasured));
    return;
  }
  for (const auto& [id, value] : json->items()) {
    const std::optional<double> number = root.number_in(value, "measured", -kHuge, kHuge, true);
    measured.push_back({id, number.value_or(0.0)});
  }
}

Result<void> check_version(const Json& root) {
  const auto found = root.find("version");
  if (found == root.end() || !found->is_number_unsigned() || found->get<uint64_t>() == 0) {
    return bad("'version' has to be a positive integer");
  }
  if (found->get<uint64_t>() > uint64_t{kBlockVersion}) {
    return unsupported(std::string(kBlockMember),
                       "has version " + std::to_string(found->get<uint64_t>()) +
                           "; this graupel reads version " + std::to_string(kBlockVersion) +
                           ": update graupel on this machine");
  }
  return ok();
}

Json number_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json numbers_json(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(number_json(value));
  return list;
}

Json fsq_json(const Fsq& fsq) {
  Json json = {{"variant", to_string(fsq.variant)},
               {"levels", fsq.levels},
               {"order", to_string(fsq.order)},
               {"shift_folded", fsq.shift_folded}};
  if (fsq.int8) {
    json["int8"] = {{"tensor", fsq.int8->tensor},
                    {"signed", fsq.int8->is_signed},
                    {"scale", number_json(fsq.int8->scale)},
                    {"zero_point", fsq.int8->zero_point},
                    {"thresholds", fsq.int8->thresholds}};
  }
  return json;
}

Json confidence_json(const Confidence& confidence) {
  Json groups = Json::array();
  for (const GroupTemperature& row : confidence.groups) {
    groups.push_back({{"group", row.group}, {"temperature", number_json(row.temperature)}});
  }
  return {{"method", to_string(confidence.method)},
          {"temperature", number_json(confidence.temperature)},
          {"temperature_low", number_json(confidence.temperature_low)},
          {"temperature_high", number_json(confidence.temperature_high)},
          {"scale", numbers_json(confidence.scale)},
          {"bias", numbers_json(confidence.bias)},
          {"groups", std::move(groups)}};
}

Json conformal_json(const Conformal& conformal) {
  return {{"method", to_string(conformal.method)},
          {"alpha", number_json(conformal.alpha)},
          {"condition", to_string(conformal.condition)},
          {"randomised", conformal.randomised},
          {"empty_sets", to_string(conformal.empty_sets)},
          {"raps_lambda", number_json(conformal.raps_lambda)},
          {"raps_free_ranks", conformal.raps_free_ranks},
          {"saps_weight", number_json(conformal.saps_weight)},
          {"threshold", number_json(conformal.threshold)},
          {"calibration_count", conformal.calibration_count},
          {"class_thresholds", numbers_json(conformal.class_thresholds)},
          {"groups", conformal.groups},
          {"group_thresholds", numbers_json(conformal.group_thresholds)}};
}

Json provenance_json(const Provenance& provenance) {
  return {{"data", provenance.data},
          {"data_sha256", provenance.data_sha256},
          {"labels_sha256", provenance.labels_sha256},
          {"plan_sha256", provenance.plan_sha256},
          {"fit_windows", provenance.fit_windows},
          {"conformal_windows", provenance.conformal_windows},
          {"judge_windows", provenance.judge_windows},
          {"fit_groups", provenance.fit_groups},
          {"conformal_groups", provenance.conformal_groups},
          {"judge_groups", provenance.judge_groups},
          {"seed", provenance.seed}};
}

Json block_json(const Block& block) {
  Json root = {{"version", kBlockVersion}, {"classes", block.classes}};
  if (block.fsq) root["fsq"] = fsq_json(*block.fsq);
  root["confidence"] = confidence_json(block.confidence);
  if (block.conformal) root["conformal"] = conformal_json(*block.conformal);
  if (block.adaptive) {
    root["adaptive"] = {{"step", number_json(block.adaptive->step)},
                        {"calibration_count", block.adaptive->calibration_count},
                        {"scores", numbers_json(block.adaptive->scores)}};
  }
  if (block.drift) {
    root["drift"] = {{"edges", numbers_json(block.drift->edges)},
                     {"counts", block.drift->counts},
                     {"alarm", number_json(block.drift->alarm)},
                     {"run_length", number_json(block.drift->run_length)}};
  }
  if (!block.hsmm.empty()) root["hsmm"] = Json::parse(block.hsmm, nullptr, false);
  root["provenance"] = provenance_json(block.provenance);
  root["measured"] = Json::object();
  for (const Measured& row : block.measured) root["measured"][row.id] = number_json(row.value);
  return root;
}

}  // namespace

std::string_view to_string(FsqVariant variant) { return name_of(kVariants, variant); }
std::string_view to_string(DigitOrder order) { return name_of(kOrders, order); }
std::string_view to_string(ConfidenceMethod method) { return name_of(kConfidences, method); }
std::string_view to_string(ConformalMethod method) { return name_of(kMethods, method); }
std::string_view to_string(Condition condition) { return name_of(kConditions, condition); }
std::string_view to_string(EmptySets empty_sets) { return name_of(kEmptySets, empty_sets); }
std::optional<FsqVariant> parse_fsq_variant(std::string_view name) {
  return value_of(kVariants, name);
}
std::optional<ConformalMethod> parse_conformal_method(std::string_view name) {
  return value_of(kMethods, name);
}
std::optional<Condition> parse_condition(std::string_view name) {
  return value_of(kConditions, name);
}

Result<Block> parse_block(std::string_view text) {
  if (text.size() > kMaxBlockBytes) {
    return bad("is " + std::to_string(text.size()) + " bytes, at most " +
               std::to_string(kMaxBlockBytes) + " are read");
  }
  TRY_ASSIGN(const Json root, parse_object(text));
  TRY(check_version(root));
  std::optional<Error> problem;
  Reader reader{root, "block", problem, {"version"}};
  Block block;
  reader.integer("classes", block.classes, 1, kMaxClasses);
  if (const Json* json = reader.part("fsq")) block.fsq = read_fsq(*json, problem);
  if (const Json* json = reader.part("confidence")) {
    block.confidence = read_confidence(*json, problem, block.classes);
  } else {
    reader.fail("confidence", "is missing");
  }
  if (const Json* json = reader.part("conformal")) {
    block.conformal = read_conformal(*json, problem, block.classes);
  }
  if (const Json* json = reader.part("adaptive")) block.adaptive = read_adaptive(*json, problem);
  if (const Json* json = reader.part("drift")) block.drift = read_drift(*json, problem);
  if (const Json* json = reader.part("hsmm")) {
    block.hsmm = json->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  if (const Json* json = reader.part("provenance")) {
    block.provenance = read_provenance(*json, problem);
  } else {
    reader.fail("provenance", "is missing");
  }
  read_measured(reader, block.measured);
  reader.done();
  if (problem) return *std::move(problem);
  return block;
}

Result<std::string> format_block(const Block& block) {
  const Json root = block_json(block);
  const std::string text = root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  Result<Block> read_back = parse_block(text);
  if (!read_back.ok()) {
    return invalid_input(std::string(kBlockMember), "cannot be stored: " + read_back.error().what);
  }
  // NaN reads back as infinity, an inconsistent text as something else.
  Block expected = block;
  expected.hsmm = read_back->hsmm;
  if (!(*read_back == expected)) {
    return invalid_input(std::string(kBlockMember), "holds a value JSON cannot express (NaN)");
  }
  return text;
}

}  // namespace graupel::decide
