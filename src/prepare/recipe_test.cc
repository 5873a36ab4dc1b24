// Recipes from TOML, and the judgement of units on made-up walks.
#include "prepare/recipe.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "prepare/units_check.h"

namespace graupel::prepare {
namespace {

TEST(Recipe, PublishedSetsKnowTheTenBehaviours) {
  const Recipe dsads = make_recipe(Form::kDsads, {}, "", "").value();
  EXPECT_EQ(dsads.classes,
            (std::vector<std::string>{"sit", "stand", "lie", "stairs_up", "stairs_down", "walk",
                                      "run", "cycle", "row", "jump"}));
  EXPECT_EQ(dsads.labels.at("a03"), 2);
  EXPECT_EQ(dsads.labels.at("a04"), 2);
  EXPECT_EQ(dsads.labels.at("a19"), -1);
  EXPECT_EQ(dsads.labels.size(), 19u);
  EXPECT_EQ(dsads.sensors, (std::vector<std::string>{"torso", "right_leg"}));
  const Recipe har = make_recipe(Form::kUciHar, {}, "", "").value();
  EXPECT_EQ(har.classes, dsads.classes) << "a label means the same in every set";
  EXPECT_EQ(har.sensors.size(), 1u);
}

TEST(Recipe, TomlChangesSensorsUnitsLabelsAndOffsets) {
  const Recipe recipe = make_recipe(Form::kPamap2, {}, R"(
sensors = ["hand", "chest"]
classes = ["move", "rest"]
rate_hz = 100
[units]
acceleration = "g"
rotation = "deg/s"
field = "mG"
[labels]
1 = "rest"
4 = "move"
0 = ""
[offsets.hand]
rotation = [0.1, 0, -0.2]
)",
                                    "my.toml")
                            .value();
  EXPECT_EQ(recipe.sensors, (std::vector<std::string>{"hand", "chest"}));
  EXPECT_EQ(recipe.classes, (std::vector<std::string>{"move", "rest"}));
  EXPECT_EQ(recipe.labels, (std::map<std::string, int32_t>{{"0", -1}, {"1", 1}, {"4", 0}}));
  EXPECT_EQ(recipe.units.field, "mG");
  EXPECT_EQ(recipe.offsets.at("hand")[5], -0.2);
}

TEST(Recipe, TomlErrorsNameTheLine) {
  const auto error = [](const std::string& toml) {
    const Result<Recipe> recipe = make_recipe(Form::kDsads, {}, toml, "my.toml");
    return recipe.ok() ? "" : recipe.error().message();
  };
  EXPECT_EQ(error("sensors = 1"), "my.toml:1: 'sensors' is not a list of strings");
  EXPECT_NE(error("\nspeed = 2").find("my.toml:2: unknown or malformed key 'speed'"),
            std::string::npos);
  EXPECT_NE(error("[units]\nacceleration = \"ft\"").find("expected m/s2, g"), std::string::npos);
  EXPECT_NE(error("[units]\nmass = \"g\"").find("units.mass"), std::string::npos);
  EXPECT_NE(error("sensors = [\"nose\"]").find("'nose' is not in dsads"), std::string::npos);
  EXPECT_NE(error("sensors = [\"torso\",\"torso\"]").find("twice"), std::string::npos);
  EXPECT_NE(error("classes = [\"a\"]").find("no [labels]"), std::string::npos);
  EXPECT_NE(error("classes = [\"a\"]\n[labels]\na01 = \"b\"").find("'b' is not in"),
            std::string::npos);
  EXPECT_NE(error("[offsets.torso]\nacceleration = [1, 2]").find("three numbers"),
            std::string::npos);
  EXPECT_NE(error("[offsets.left_leg]\nacceleration = [1, 2, 3]").find("the sensors are"),
            std::string::npos);
  EXPECT_NE(error("rate_hz = 1e9").find("10000 Hz"), std::string::npos);
  EXPECT_NE(error("= nothing").find("is not TOML"), std::string::npos);
  EXPECT_FALSE(make_recipe(Form::kCsv, {}, "", "").ok()) << "a CSV has no usual sensors";
  RecipeOptions options;
  options.window_samples = 1;
  EXPECT_FALSE(make_recipe(Form::kDsads, options, "", "").ok());
  options = {};
  options.gap_s = 1e9;
  EXPECT_FALSE(make_recipe(Form::kDsads, options, "", "").ok());
}

TEST(Recipe, AnUnknownLabelIsAnErrorUnlessEveryLabelCounts) {
  Recipe strict = make_recipe(Form::kDsads, {}, "", "").value();
  EXPECT_EQ(class_of(strict, "a12", "here").value(), 6);
  EXPECT_NE(class_of(strict, "a20", "here").error().message().find("here: label 'a20'"),
            std::string::npos);
  RecipeOptions options;
  options.labels = LabelSet::kAll;
  options.sensors = {"hip"};
  Recipe open = make_recipe(Form::kCsv, options, "", "").value();
  EXPECT_EQ(class_of(open, "dig", "here").value(), 0);
  EXPECT_EQ(class_of(open, "rest", "here").value(), 1);
  EXPECT_EQ(class_of(open, "dig", "here").value(), 0);
}

// ---- units ----

// Somebody walking: gravity, two harmonics, a swinging limb. Scaled as a wrong unit would.
RawRun walk(int64_t subject, double acceleration = 1.0, double rotation = 1.0) {
  RawRun run;
  run.subject = subject;
  run.sensors.resize(2);
  Rng rng(static_cast<uint64_t>(subject));
  for (int i = 0; i < 500; ++i) {
    const double phase = i * 0.04 * 2 * 3.14159265 * 1.8;
    for (Series& series : run.sensors) {
      series.time_s.push_back(i * 0.04);
      const double row[] = {2.0 * std::sin(phase) + 0.3 * rng.normal(), 0.3 * rng.normal(),
                            9.81 + 2.5 * std::sin(2 * phase)};
      for (const double x : row) series.values.push_back(acceleration * x);
      for (int k = 0; k < 3; ++k) {
        series.values.push_back(rotation * (0.8 * std::sin(phase + k) + 0.05 * rng.normal()));
      }
      for (int k = 0; k < 3; ++k) series.values.push_back(0.5);
    }
  }
  return run;
}

std::string judge(const std::vector<RawRun>& runs, const Units& units = {}) {
  Recipe recipe;
  recipe.sensors = {"hip", "wrist"};
  recipe.units = units;
  UnitEvidence evidence;
  for (const RawRun& run : runs) observe_units(run, evidence);
  Tally tally;
  const Result<void> checked = check_units(evidence, recipe, tally);
  if (checked.ok()) return tally.notes.empty() ? "" : "note: " + tally.notes[0];
  return checked.error().message();
}

TEST(UnitsCheck, AcceptsWhatIsRight) { EXPECT_EQ(judge({walk(1), walk(2), walk(3)}), ""); }

TEST(UnitsCheck, NamesAWholeSetInAnotherUnit) {
  constexpr double kG = 9.80665, kDegrees = 180.0 / 3.14159265358979;
  const std::string in_g = judge({walk(1, 1 / kG), walk(2, 1 / kG)});
  EXPECT_NE(in_g.find("units: acceleration is declared in m/s2"), std::string::npos) << in_g;
  EXPECT_NE(in_g.find("looks like g"), std::string::npos) << in_g;
  const std::string not_g = judge({walk(1, kG), walk(2, kG)}, {"g", "rad/s", "earth", "s"});
  EXPECT_NE(not_g.find("looks like m/s2"), std::string::npos) << not_g;
  const std::string degrees = judge({walk(1, 1, kDegrees), walk(2, 1, kDegrees)});
  EXPECT_NE(degrees.find("looks like deg/s"), std::string::npos) << degrees;
  const std::string radians =
      judge({walk(1, 1, 1 / kDegrees), walk(2, 1, 1 / kDegrees)}, {"m/s2", "deg/s", "earth", "s"});
  EXPECT_NE(radians.find("looks like rad/s"), std::string::npos) << radians;
}

TEST(UnitsCheck, NamesThePeopleOfAMixedSet) {
  const std::string mixed = judge({walk(1), walk(2, 1.0 / 9.80665), walk(3), walk(4)});
  EXPECT_NE(mixed.find("mixed units: "), std::string::npos) << mixed;
  EXPECT_NE(mixed.find("subject 2 (sensors hip, wrist)"), std::string::npos) << mixed;
  const std::string turning = judge({walk(1), walk(2), walk(3, 1.0, 57.3)});
  EXPECT_NE(turning.find("mixed units: rotation"), std::string::npos) << turning;
  EXPECT_NE(turning.find("subject 3"), std::string::npos) << turning;
}

TEST(UnitsCheck, MissingGravityIsADoubtNotAnError) {
  const std::string doubt = judge({walk(1, 0.01)});
  EXPECT_NE(doubt.find("note: acceleration of subject 1"), std::string::npos) << doubt;
}

}  // namespace
}  // namespace graupel::prepare
