// Check of a model, and its section of decide.json. See hsmm.h.
//
// Idea: as in block.cc, every key is known or the section is refused; the block's reader has
// bounded its size and depth before. Reference: docs/hsmm.md. Test: hsmm_model_test.cc.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "decide/hsmm.h"
#include "decide/hsmm_durations.h"
#include "decide/names.h"

namespace graupel::decide {
namespace {

using Json = nlohmann::ordered_json;

constexpr Name<DurationFamily> kFamilies[] = {
    {DurationFamily::kPoisson, "poisson"},
    {DurationFamily::kNegativeBinomial, "negative-binomial"},
    {DurationFamily::kGaussian, "gaussian"},
    {DurationFamily::kLogNormal, "log-normal"},
    {DurationFamily::kGamma, "gamma"},
    {DurationFamily::kTable, "table"}};
constexpr Name<EmissionUse> kUses[] = {{EmissionUse::kPosteriors, "posteriors"},
                                       {EmissionUse::kCodes, "codes"},
                                       {EmissionUse::kBoth, "both"}};
constexpr Name<Begin> kBegins[] = {{Begin::kInside, "inside"}, {Begin::kOnset, "onset"}};
constexpr size_t kMaxNotes = 1024, kMaxNoteBytes = 2000, kMaxMeasured = 256;

constexpr const char* kWhere = "decide.json, hsmm";

Error bad(const std::string& what) { return invalid_input(kWhere, what); }

Result<void> check_distribution(const std::string& name, std::span<const double> values) {
  double sum = 0.0;
  for (const double p : values) {
    if (!(p >= 0.0 && p <= 1.0 + 1e-9)) return bad("'" + name + "' has a value outside 0 to 1");
    sum += p;
  }
  if (std::abs(sum - 1.0) > 1e-6) return bad("'" + name + "' sums to " + std::to_string(sum));
  return ok();
}

Result<void> check_transitions(const Hsmm& model) {
  const size_t states = model.states();
  if (model.transitions.empty() || model.transitions.size() > kMaxContexts) {
    return bad("'transitions' has to be 1 to 64 matrices, one per context");
  }
  for (const std::vector<double>& matrix : model.transitions) {
    if (matrix.size() != states * states) return bad("'transitions' has to be states x states");
    for (size_t s = 0; s < states; ++s) {
      TRY(check_distribution("transitions", std::span(matrix).subspan(s * states, states)));
      if (matrix[s * states + s] != 0.0)
        return bad("'transitions' has a way from a state to itself");
    }
  }
  return ok();
}

Result<void> check_emission(const Emission& emission, size_t states) {
  for (const double weight : {emission.weight, emission.code_weight}) {
    if (!(weight > 0.0 && weight <= 100.0)) return bad("a weight has to be above 0, at most 100");
  }
  if (emission.prior.size() != states) return bad("'prior' has to be one number per state");
  TRY(check_distribution("prior", emission.prior));
  if (*std::min_element(emission.prior.begin(), emission.prior.end()) < 1e-9) {
    return bad("'prior' has a state below 1e-9");
  }
  const bool codes = emission.use != EmissionUse::kPosteriors;
  if (codes == emission.levels.empty() || emission.levels.size() > kMaxFsqDimensions ||
      emission.digits.size() != (codes ? states : 0)) {
    return bad("'levels' and 'digits' belong to the use of codes, one row per state");
  }
  size_t total = 0;
  for (const int64_t level : emission.levels) {
    if (level < 2 || level > kMaxFsqLevels) return bad("'levels' have to be 2 to 256");
    total += static_cast<size_t>(level);
  }
  for (const std::vector<double>& row : emission.digits) {
    if (row.size() != total) return bad("'digits' has to be one number per level and state");
    for (const double p : row) {
      if (!(p >= 1e-9 && p <= 1.0)) return bad("'digits' has a value outside 1e-9 to 1");
    }
  }
  return ok();
}

// ---- reading ----

// The first problem is kept; later reads leave their defaults.
struct Reader {
  const Json& object;
  std::string section;
  std::string& problem;
  std::set<std::string> known = {};

  void fail(const char* key, const std::string& what) {
    if (problem.empty()) problem = "'" + section + key + "' " + what;
  }
  const Json* find(const char* key) {
    known.insert(key);
    const auto found = object.find(key);
    if (found != object.end()) return &*found;
    fail(key, "is missing");
    return nullptr;
  }
  double number_of(const Json& json, const char* key) {
    if (!json.is_number()) fail(key, "has to be a number");
    return json.is_number() ? json.get<double>() : 0.0;
  }
  void number(const char* key, double& value) {
    if (const Json* json = find(key)) value = number_of(*json, key);
  }
  int64_t integer_of(const Json& json, const char* key, int64_t low, int64_t high) {
    const bool fits = json.is_number_integer() &&
                      !(json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX});
    const int64_t value = fits ? json.get<int64_t>() : low - 1;
    if (value >= low && value <= high) return value;
    fail(key, "has to be an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return low;
  }
  void integer(const char* key, int64_t& value, int64_t low, int64_t high) {
    if (const Json* json = find(key)) value = integer_of(*json, key, low, high);
  }
  std::vector<double> numbers_of(const Json& json, const char* key, size_t most) {
    std::vector<double> values;
    if (!json.is_array() || json.size() > most) {
      fail(key, "has to be a list of at most " + std::to_string(most) + " numbers");
      return values;
    }
    for (const Json& value : json) values.push_back(number_of(value, key));
    return values;
  }
  void numbers(const char* key, std::vector<double>& values, size_t most) {
    if (const Json* json = find(key)) values = numbers_of(*json, key, most);
  }
  void rows(const char* key, std::vector<std::vector<double>>& values, size_t most, size_t width) {
    const Json* json = find(key);
    if (json == nullptr) return;
    if (!json->is_array() || json->size() > most) {
      fail(key, "has to be a list of at most " + std::to_string(most) + " lists");
      return;
    }
    for (const Json& row : *json) values.push_back(numbers_of(row, key, width));
  }
  template <class T, size_t N>
  void choice(const char* key, const Name<T> (&names)[N], T& value) {
    const Json* json = find(key);
    if (json == nullptr) return;
    const std::optional<T> found =
        json->is_string() ? value_of(names, json->get_ref<const std::string&>()) : std::nullopt;
    if (found) value = *found;
    if (!found)
      fail(key, "has a value that this graupel does not know: " +
                    json->dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 80));
  }
  void done() {
    for (const auto& [key, value] : object.items()) {
      if (!known.contains(key)) fail(key.substr(0, 80).c_str(), "is not known here");
    }
  }
};

void read_durations(Reader& root, std::vector<Duration>& durations) {
  const Json* json = root.find("durations");
  if (json == nullptr) return;
  if (!json->is_array() || json->size() > kMaxStates) {
    root.fail("durations", "has to be a list of at most 256 objects");
    return;
  }
  for (const Json& entry : *json) {
    if (!entry.is_object()) {
      root.fail("durations", "has to be a list of objects");
      return;
    }
    Reader reader{entry, "durations.", root.problem};
    Duration& duration = durations.emplace_back();
    reader.choice("family", kFamilies, duration.family);
    reader.numbers("parameters", duration.parameters, kMaxDuration);
    reader.done();
  }
}

void read_emission(Reader& root, Emission& emission) {
  const Json* json = root.find("emission");
  if (json == nullptr) return;
  if (!json->is_object()) {
    root.fail("emission", "has to be an object");
    return;
  }
  Reader reader{*json, "emission.", root.problem};
  reader.choice("use", kUses, emission.use);
  reader.number("weight", emission.weight);
  reader.number("code_weight", emission.code_weight);
  reader.numbers("prior", emission.prior, kMaxStates);
  if (const Json* levels = reader.find("levels")) {
    for (const double level : reader.numbers_of(*levels, "levels", kMaxFsqDimensions)) {
      const bool whole = level >= 2.0 && level <= 256.0 && level == std::floor(level);
      if (!whole) reader.fail("levels", "have to be 2 to 256");
      emission.levels.push_back(whole ? static_cast<int64_t>(level) : 2);
    }
  }
  reader.rows("digits", emission.digits, kMaxStates, kMaxFsqDimensions * 256);
  reader.done();
}

void read_words(Reader& root, Hsmm& model) {
  if (const Json* json = root.find("notes")) {
    if (!json->is_array() || json->size() > kMaxNotes) root.fail("notes", "has to be a short list");
    for (const Json& note : json->is_array() ? *json : Json::array()) {
      if (!note.is_string()) root.fail("notes", "has to hold texts");
      if (note.is_string()) model.notes.push_back(note.get<std::string>().substr(0, kMaxNoteBytes));
    }
  }
  if (const Json* json = root.find("measured")) {
    if (!json->is_object() || json->size() > kMaxMeasured) {
      root.fail("measured", "has to be a small object");
      return;
    }
    for (const auto& [id, value] : json->items()) {
      model.measured.push_back({id, root.number_of(value, "measured")});
    }
  }
}

Result<void> check_version(const Json& root) {
  const auto found = root.find("version");
  if (found == root.end() || !found->is_number_unsigned() || found->get<uint64_t>() == 0) {
    return corrupt(kWhere, "'version' has to be a positive integer");
  }
  if (found->get<uint64_t>() <= uint64_t{kHsmmVersion}) return ok();
  return unsupported(kWhere, "has version " + found->dump() + "; this graupel reads version " +
                                 std::to_string(kHsmmVersion) + ": update graupel on this machine");
}

}  // namespace

std::string_view to_string(DurationFamily family) { return name_of(kFamilies, family); }
std::optional<DurationFamily> parse_duration_family(std::string_view name) {
  return value_of(kFamilies, name);
}
std::string_view to_string(EmissionUse use) { return name_of(kUses, use); }
std::optional<EmissionUse> parse_emission_use(std::string_view name) {
  return value_of(kUses, name);
}

Result<void> check_hsmm(const Hsmm& model) {
  const size_t states = model.states();
  if (states < 2 || states > kMaxStates) {
    return bad("has " + std::to_string(states) + " states; expected 2 to 256");
  }
  if (model.maximum_duration < 2 || model.maximum_duration > int64_t{kMaxDuration} ||
      static_cast<size_t>(model.maximum_duration) * states > kMaxStateDurations) {
    return bad("'maximum_duration' is " + std::to_string(model.maximum_duration) +
               "; expected 2 to 4096, and at most " + std::to_string(kMaxStateDurations) +
               " with all states together");
  }
  const auto outside = [](int64_t samples) { return samples < 0 || samples > int64_t{1} << 24; };
  if (outside(model.window_samples) || outside(model.hop_samples) ||
      !(model.rate_hz >= 0.0 && model.rate_hz <= 1e6)) {
    return bad("'window_samples', 'hop_samples' or 'rate_hz' is out of range");
  }
  if (model.initial.size() != states) return bad("'initial' has to be one number per state");
  TRY(check_distribution("initial", model.initial));
  TRY(check_transitions(model));
  for (size_t s = 0; s < states; ++s) {
    const std::string problem = duration_problem(model.durations[s]);
    if (!problem.empty()) return bad("duration of state " + std::to_string(s) + " " + problem);
  }
  return check_emission(model.emission, states);
}

Result<Hsmm> parse_hsmm(std::string_view text) {
  if (text.size() > kMaxBlockBytes) return corrupt(kWhere, "is larger than a block may be");
  const Json root = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!root.is_object()) return corrupt(kWhere, "is not a JSON object");
  TRY(check_version(root));
  std::string problem;
  Reader reader{root, "", problem, {"version"}};
  Hsmm model;
  constexpr int64_t kManySamples = int64_t{1} << 24;
  reader.integer("window_samples", model.window_samples, 0, kManySamples);
  reader.integer("hop_samples", model.hop_samples, 0, kManySamples);
  reader.number("rate_hz", model.rate_hz);
  reader.integer("maximum_duration", model.maximum_duration, 2, kMaxDuration);
  reader.choice("begin", kBegins, model.begin);
  reader.numbers("initial", model.initial, kMaxStates);
  reader.rows("transitions", model.transitions, kMaxContexts, kMaxStates * kMaxStates);
  read_durations(reader, model.durations);
  read_emission(reader, model.emission);
  read_words(reader, model);
  reader.done();
  if (!problem.empty()) return corrupt(kWhere, problem);
  if (const Result<void> checked = check_hsmm(model); !checked.ok()) {
    return corrupt(kWhere, checked.error().what);
  }
  return model;
}

Result<std::string> format_hsmm(const Hsmm& model) {
  TRY(check_hsmm(model));
  Json durations = Json::array();
  for (const Duration& duration : model.durations) {
    durations.push_back(
        {{"family", to_string(duration.family)}, {"parameters", duration.parameters}});
  }
  Json measured = Json::object();
  for (const Measured& row : model.measured) {
    if (!std::isfinite(row.value)) return bad("measured '" + row.id + "' is not a number");
    measured[row.id] = row.value;
  }
  const Json root = {{"version", kHsmmVersion},
                     {"window_samples", model.window_samples},
                     {"hop_samples", model.hop_samples},
                     {"rate_hz", model.rate_hz},
                     {"maximum_duration", model.maximum_duration},
                     {"begin", name_of(kBegins, model.begin)},
                     {"initial", model.initial},
                     {"transitions", model.transitions},
                     {"durations", std::move(durations)},
                     {"emission",
                      {{"use", to_string(model.emission.use)},
                       {"weight", model.emission.weight},
                       {"code_weight", model.emission.code_weight},
                       {"prior", model.emission.prior},
                       {"levels", model.emission.levels},
                       {"digits", model.emission.digits}}},
                     {"notes", model.notes},
                     {"measured", std::move(measured)}};
  return root.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace graupel::decide
