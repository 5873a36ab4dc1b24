// The published sets as data, and recipes from TOML. See recipe.h.
//
// Reference: the sets' own descriptions: UCI 256 (Barshan, Altun 2010), UCI 319 (Banos et al.
// 2014), UCI 231 (Reiss, Stricker 2012), UCI 240 (Anguita et al. 2013). Test: recipe_test.cc.
#include "prepare/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace graupel::prepare {
namespace {

constexpr std::array kBehaviours = {"sit",  "stand", "lie",   "stairs_up", "stairs_down",
                                    "walk", "run",   "cycle", "row",       "jump"};

struct SetFacts {
  Form form;
  std::string_view name;
  std::vector<std::string_view> sensors;
  std::vector<std::string_view> usual;
  double rate_hz;  // 0: by time stamps
  Units units;
  std::vector<LabelRow> labels;
};

std::vector<LabelRow> dsads_labels() {
  return {{"a01", "sitting", "sit"},
          {"a02", "standing", "stand"},
          {"a03", "lying on back", "lie"},
          {"a04", "lying on right side", "lie"},
          {"a05", "ascending stairs", "stairs_up"},
          {"a06", "descending stairs", "stairs_down"},
          {"a07", "standing in elevator", "stand"},
          {"a08", "moving around in elevator", ""},
          {"a09", "walking in parking lot", "walk"},
          {"a10", "treadmill walk flat", "walk"},
          {"a11", "treadmill walk inclined", "walk"},
          {"a12", "treadmill run", "run"},
          {"a13", "stepper", ""},
          {"a14", "cross trainer", ""},
          {"a15", "cycling horizontal", "cycle"},
          {"a16", "cycling vertical", "cycle"},
          {"a17", "rowing", "row"},
          {"a18", "jumping", "jump"},
          {"a19", "basketball", ""}};
}

std::vector<LabelRow> pamap2_labels() {
  return {{"0", "between activities", ""},
          {"1", "lying", "lie"},
          {"2", "sitting", "sit"},
          {"3", "standing", "stand"},
          {"4", "walking", "walk"},
          {"5", "running", "run"},
          {"6", "cycling", "cycle"},
          {"7", "nordic walking", "walk"},
          {"9", "watching TV", ""},
          {"10", "computer work", ""},
          {"11", "car driving", ""},
          {"12", "ascending stairs", "stairs_up"},
          {"13", "descending stairs", "stairs_down"},
          {"16", "vacuum cleaning", ""},
          {"17", "ironing", ""},
          {"18", "folding laundry", ""},
          {"19", "house cleaning", ""},
          {"20", "playing soccer", ""},
          {"24", "rope jumping", "jump"}};
}

const std::vector<SetFacts>& all_sets() {
  static const std::vector<std::string_view> kDsadsUnits = {"torso", "right_arm", "left_arm",
                                                            "right_leg", "left_leg"};
  static const std::vector<SetFacts> kSets = {
      {Form::kDsads, "dsads", kDsadsUnits, {"torso", "right_leg"}, 25.0, {}, dsads_labels()},
      {Form::kDsadsCompact,
       "dsads-compact",
       {"first", "second"},
       {"first", "second"},
       25.0,
       {},
       dsads_labels()},
      {Form::kMhealth,
       "mhealth",
       {"ankle", "arm"},
       {"ankle", "arm"},
       50.0,
       {"m/s2", "deg/s", "earth", "s"},
       {{"0", "between activities", ""},
        {"1", "standing still", "stand"},
        {"2", "sitting and relaxing", "sit"},
        {"3", "lying down", "lie"},
        {"4", "walking", "walk"},
        {"5", "climbing stairs", "stairs_up"},
        {"6", "waist bends forward", ""},
        {"7", "frontal elevation of arms", ""},
        {"8", "knees bending", ""},
        {"9", "cycling", "cycle"},
        {"10", "jogging", "run"},
        {"11", "running", "run"},
        {"12", "jump front and back", "jump"}}},
      {Form::kPamap2,
       "pamap2",
       {"hand", "chest", "ankle"},
       {"chest", "ankle"},
       100.0,
       {"m/s2", "rad/s", "uT", "s"},
       pamap2_labels()},
      {Form::kUciHar,
       "uci-har",
       {"phone"},
       {"phone"},
       50.0,
       {"g", "rad/s", "earth", "s"},
       {{"1", "walking", "walk"},
        {"2", "walking upstairs", "stairs_up"},
        {"3", "walking downstairs", "stairs_down"},
        {"4", "sitting", "sit"},
        {"5", "standing", "stand"},
        {"6", "laying", "lie"}}},
      {Form::kCsv, "csv", {}, {}, 0.0, {}, {}},
  };
  return kSets;
}

const SetFacts& facts_of(Form form) {
  const std::vector<SetFacts>& sets = all_sets();
  return *std::find_if(sets.begin(), sets.end(),
                       [&](const SetFacts& set) { return set.form == form; });
}

std::string join(const auto& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

int32_t class_index(Recipe& recipe, std::string_view name) {
  const auto found = std::find(recipe.classes.begin(), recipe.classes.end(), name);
  if (found != recipe.classes.end()) return static_cast<int32_t>(found - recipe.classes.begin());
  recipe.classes.emplace_back(name);
  return static_cast<int32_t>(recipe.classes.size()) - 1;
}

void default_labels(const SetFacts& facts, LabelSet labels, Recipe& recipe) {
  recipe.every_label = labels == LabelSet::kAll;
  if (labels == LabelSet::kAll) {
    for (const LabelRow& row : facts.labels) {
      const bool is_activity = row.source != "0";  // 0 is the time between activities
      recipe.labels[std::string(row.source)] =
          is_activity ? class_index(recipe, fmt::format("{} {}", row.source, row.activity)) : -1;
    }
    return;
  }
  std::set<std::string_view> used;
  for (const LabelRow& row : facts.labels) used.insert(row.behaviour);
  for (const char* const behaviour : kBehaviours) {
    // A set without a behaviour keeps its class, so that a label means the same in every set.
    const int32_t index = class_index(recipe, behaviour);
    if (facts.labels.empty()) recipe.labels[behaviour] = index;
  }
  for (const LabelRow& row : facts.labels) {
    recipe.labels[std::string(row.source)] =
        row.behaviour.empty() ? -1 : class_index(recipe, row.behaviour);
  }
}

Result<void> check_sensors(const SetFacts& facts, const Recipe& recipe) {
  if (recipe.sensors.empty()) {
    return invalid_input("sensors",
                         "none chosen; name them in the order of the network's rows, e.g. "
                         "--sensors torso,right_leg");
  }
  std::set<std::string> seen;
  for (const std::string& sensor : recipe.sensors) {
    const bool known =
        facts.sensors.empty() ||
        std::find(facts.sensors.begin(), facts.sensors.end(), sensor) != facts.sensors.end();
    if (!known) {
      return invalid_input("sensors", fmt::format("'{}' is not in {}, which has {}", sensor,
                                                  facts.name, join(facts.sensors)));
    }
    if (!seen.insert(sensor).second) {
      return invalid_input("sensors", fmt::format("'{}' is chosen twice", sensor));
    }
  }
  if (recipe.sensors.size() > 8) return invalid_input("sensors", "are more than 8");
  return ok();
}

Result<void> check_numbers(const Recipe& recipe) {
  const auto within = [](double value, double low, double high) {
    return value >= low && value <= high;
  };
  if (!within(recipe.rate_hz, 0.1, 10000) ||
      (recipe.source_rate_hz != 0.0 && !within(recipe.source_rate_hz, 0.1, 10000))) {
    return invalid_input("rate", "has to be from 0.1 to 10000 Hz");
  }
  if (recipe.window_samples < 2 || recipe.window_samples > 65536 || recipe.hop_samples < 1 ||
      recipe.hop_samples > 1000000) {
    return invalid_input("window", "takes 2 to 65536 samples and a hop of at least 1");
  }
  if (!within(recipe.gap_s, 0.0, 10.0)) {
    return invalid_input("gap limit", "has to be from 0 to 10 seconds");
  }
  return ok();
}

}  // namespace

std::string_view name_of(Form form) { return facts_of(form).name; }

Result<Form> parse_form(std::string_view name) {
  std::string names;
  for (const SetFacts& set : all_sets()) {
    if (set.name == name) return set.form;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  return invalid_input("form", fmt::format("'{}' is not known; expected one of {}", name, names));
}

const std::vector<LabelRow>& published_labels(Form form) { return facts_of(form).labels; }
const std::vector<std::string_view>& published_sensors(Form form) { return facts_of(form).sensors; }

std::optional<double> unit_factor(std::string_view unit) {
  constexpr double kPi = 3.14159265358979323846;
  constexpr std::pair<std::string_view, double> kFactors[] = {
      {"m/s2", 1.0},  {"g", 9.80665},     {"rad/s", 1.0}, {"deg/s", kPi / 180.0},
      {"earth", 1.0}, {"uT", 1.0 / 50.0}, {"gauss", 2.0}, {"mG", 0.002},
      {"s", 1.0},     {"ms", 1e-3},       {"us", 1e-6},   {"ns", 1e-9}};
  for (const auto& [name, factor] : kFactors) {
    if (name == unit) return factor;
  }
  return std::nullopt;
}

Result<Recipe> make_recipe(Form form, const RecipeOptions& options, std::string_view toml,
                           const std::string& toml_name) {
  const SetFacts& facts = facts_of(form);
  Recipe recipe;
  recipe.form = form;
  recipe.units = facts.units;
  recipe.source_rate_hz = facts.rate_hz;
  recipe.rate_hz = options.rate_hz;
  recipe.window_samples = options.window_samples;
  recipe.hop_samples = options.hop_samples;
  recipe.gap_s = options.gap_s;
  default_labels(facts, options.labels, recipe);
  for (const std::string_view sensor : facts.usual) recipe.sensors.emplace_back(sensor);
  TRY(apply_toml(toml, toml_name, recipe));
  if (!options.sensors.empty()) recipe.sensors = options.sensors;
  TRY(check_sensors(facts, recipe));
  for (const auto& [sensor, offset] : recipe.offsets) {
    const auto& chosen = recipe.sensors;
    if (std::find(chosen.begin(), chosen.end(), sensor) == chosen.end()) {
      return invalid_input(toml_name, fmt::format("has offsets for '{}', but the sensors are {}",
                                                  sensor, join(chosen)));
    }
  }
  TRY(check_numbers(recipe));
  return recipe;
}

Result<int32_t> class_of(Recipe& recipe, std::string_view label, const std::string& place) {
  const auto found = recipe.labels.find(std::string(label));
  if (found != recipe.labels.end()) return found->second;
  if (recipe.every_label && !label.empty() && label.size() <= 200 && recipe.classes.size() < 4096) {
    const int32_t index = class_index(recipe, label);
    recipe.labels.emplace(label, index);
    return index;
  }
  return invalid_input(
      place, fmt::format("label '{}' is not in the label map; write it into [labels] of the TOML "
                         "file as a behaviour, or as \"\" to leave it out",
                         label.substr(0, 80)));
}

}  // namespace graupel::prepare
