// What to make of recordings: sensors, units, label map, rate, windows.
//
// Idea: each published set has its facts here as data (sensors, columns, label names and the map to
// the ten behaviours); a TOML file overrides what the user wants otherwise, and is all there is for
// the general CSV form. Reference: docs/data.md. Test: recipe_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "prepare/recording.h"

namespace graupel::prepare {

enum class Form : uint8_t { kDsads, kDsadsCompact, kMhealth, kPamap2, kUciHar, kCsv };
std::string_view name_of(Form form);  // "dsads", ...
Result<Form> parse_form(std::string_view name);
// What the folder or file at `path` looks like. Error kInvalidInput lists what each form would
// look like, and names the folder below that does.
Result<Form> detect_form(const std::string& path);

// Which labels become classes: the ten behaviours, or each label of its own.
enum class LabelSet : uint8_t { kBehaviours, kAll };

struct Units {
  std::string acceleration = "m/s2";  // or "g"
  std::string rotation = "rad/s";     // or "deg/s"
  std::string field = "earth";        // or "uT", "gauss", "mG"; earth: 1 is the local field
  std::string time = "s";             // or "ms", "us", "ns"; the CSV form only
};
// Factor to m/s^2, rad/s, earth field (50 uT), or seconds; nothing for an unknown name.
std::optional<double> unit_factor(std::string_view unit);

struct Recipe {
  Form form = Form::kCsv;
  std::vector<std::string> sensors;       // chosen, in the order of the network's rows
  std::vector<std::string> classes;       // names, in the order of the labels
  std::map<std::string, int32_t> labels;  // label in the files -> class, -1: left out
  bool every_label = false;               // labels that are not in the map become classes
  // A run goes on whatever its labels, and is left out nowhere; the columns label and subject may
  // be missing. The CSV form only.
  bool continuous = false;
  Units units;
  std::map<std::string, std::array<double, kAxes>> offsets;  // per sensor, in target units
  double source_rate_hz = 0.0;  // of the files; 0: from their time stamps
  double rate_hz = 25.0;        // of the windows
  int64_t window_samples = 100;
  int64_t hop_samples = 50;
  double gap_s = 0.25;  // a longer gap is cut, a shorter one filled in
};

struct RecipeOptions {
  std::vector<std::string> sensors;  // empty: the set's usual pair
  LabelSet labels = LabelSet::kBehaviours;
  double rate_hz = 25.0;
  int64_t window_samples = 100;
  int64_t hop_samples = 50;
  double gap_s = 0.25;
};

// Names of a set's label in its files ("a01", "4") and of the activity, and the behaviour it
// becomes ("": left out).
struct LabelRow {
  std::string_view source, activity, behaviour;
};
const std::vector<LabelRow>& published_labels(Form form);
// A set's sensors, and the pair it is used with unless told otherwise.
const std::vector<std::string_view>& published_sensors(Form form);

// The recipe of a form, changed by a TOML text ("" for none). Errors: kInvalidInput naming the
// file's line and key, a sensor or class that does not exist, rates and counts out of range.
Result<Recipe> make_recipe(Form form, const RecipeOptions& options, std::string_view toml,
                           const std::string& toml_name);

// What the TOML text changes (recipe_toml.cc); make_recipe calls it.
Result<void> apply_toml(std::string_view toml, const std::string& name, Recipe& recipe);

// The class of a label in the files; error kInvalidInput for one the map does not know, with what
// to write into the TOML. `place` is where it was read.
Result<int32_t> class_of(Recipe& recipe, std::string_view label, const std::string& place);

}  // namespace graupel::prepare
