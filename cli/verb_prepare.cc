// graupel prepare: recordings to windows, splits, scales and a data card.
#include <fmt/format.h>

#include "cli/command.h"
#include "prepare/card.h"
#include "prepare/prepare.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string form = "auto", labels = "behaviours", split = "subjects", scale = "channel";
  double clip = 0.0;
  prepare::PrepareOptions options;
};

Result<prepare::PrepareOptions> checked(const Flags& flags) {
  prepare::PrepareOptions options = flags.options;
  if (flags.form != "auto") {
    TRY_ASSIGN(options.form, prepare::parse_form(flags.form));
  }
  if (flags.labels == "all") options.recipe.labels = prepare::LabelSet::kAll;
  if (flags.split == "leave-one-out") options.split.kind = prepare::SplitKind::kLeaveOneOut;
  if (flags.split == "all-folds") options.split.kind = prepare::SplitKind::kAllFolds;
  if (flags.scale == "sensor") options.scale = prepare::ScaleBy::kSensor;
  if (flags.clip != 0.0) options.clip = flags.clip;
  return options;
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const prepare::PrepareOptions options, checked(flags));
  TRY_ASSIGN(const prepare::Prepared prepared, prepare::prepare(options));
  print(globals, prepare::describe(options, prepared));
  print_json(globals, prepare::summary_json(options, prepared));
  if (!globals.json) {
    for (const std::string& text : prepared.tally.notes) note(globals, text);
  }
  if (prepared.leakage.clean()) return kDone;
  warn(globals, "leakage between the splits: " + prepared.leakage.example);
  return kMissed;
}

}  // namespace

void add_prepare(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "prepare", "recordings to windows, split by person",
                            "graupel prepare DSADS/data -o windows --sensors torso,right_leg",
                            [&globals, flags] { return run(globals, *flags); });
  prepare::PrepareOptions& options = flags->options;
  verb->add_option("input", options.input, "folder of a published set, or a .csv")->required();
  verb->add_option("-o,--output", options.output, "folder for what comes out")->required();
  verb->add_option("--form", flags->form, "auto, dsads, mhealth, pamap2, uci-har, csv");
  verb->add_option("--config", options.toml, "TOML: sensors, units, labels, offsets");
  verb->add_option("--sensors", options.recipe.sensors, "in the order of the window's rows")
      ->delimiter(',');
  verb->add_option("--labels", flags->labels, "behaviours (ten), or all activities of the set")
      ->check(CLI::IsMember({"behaviours", "all"}));
  verb->add_option("--rate", options.recipe.rate_hz, "Hz of the windows")->capture_default_str();
  verb->add_option("--window", options.recipe.window_samples, "samples")->capture_default_str();
  verb->add_option("--hop", options.recipe.hop_samples, "samples")->capture_default_str();
  verb->add_option("--gap", options.recipe.gap_s, "longest gap to fill, s")->capture_default_str();
  verb->add_option("--split", flags->split, "subjects, leave-one-out, or all-folds")
      ->check(CLI::IsMember({"subjects", "leave-one-out", "all-folds"}));
  verb->add_option("--test-subjects", options.split.test_subjects)->delimiter(',');
  verb->add_option("--validation-subjects", options.split.validation_subjects)->delimiter(',');
  verb->add_option("--calibration-subjects", options.split.calibration_subjects)->delimiter(',');
  verb->add_option("--seed", options.split.seed, "draws people and calibration windows");
  verb->add_option("--scale", flags->scale, "z-score per channel, or one scale per sensor triplet")
      ->check(CLI::IsMember({"channel", "sensor"}));
  verb->add_option("--remove-mean", options.centred, "channels without their window mean: 6,7,8")
      ->delimiter(',');
  verb->add_option("--clip", flags->clip, "limit of the scaled values");
  verb->add_option("--calibration", options.calibration_windows, "windows of calibration_data.npy")
      ->capture_default_str();
}

}  // namespace graupel::cli
