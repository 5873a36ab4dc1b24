// graupel calibrate: labelled windows in, calibrated decisions in the bundle out.
#include <fmt/format.h>

#include "cli/command.h"
#include "deploy/calibrate.h"
#include "deploy/labelled.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input;
  deploy::LabelledPaths paths;
  deploy::CalibrateOptions options;
  deploy::MethodNames names;
  deploy::CalibrateOutputs outputs;
};

Result<int> run(const Globals& globals, Flags flags) {
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(flags.input));
  TRY_ASSIGN(const deploy::Labelled data, deploy::load_labelled(bundle, flags.paths));
  TRY(deploy::choose_methods(flags.names, flags.options));
  deploy::describe_data(data, flags.paths, flags.options);
  const Result<deploy::Calibrated> result =
      deploy::calibrate(bundle, data.windows, data.groups, flags.options);
  if (!result.ok()) return Error(result.error()).within(flags.input);
  if (flags.outputs.bundle.empty()) flags.outputs.bundle = flags.input;
  TRY_ASSIGN(const std::string report, deploy::write_calibration(bundle, *result, flags.outputs));
  for (const std::string& warning : result->warnings) warn(globals, warning);
  Json json = deploy::calibrated_json(*result);
  json["bundle"] = flags.outputs.bundle;
  json["report"] = report;
  print_json(globals, json);
  print(globals, deploy::calibrated_text(*result));
  const int code = show_verdict(globals, result->judgements);
  print(globals, fmt::format("\nbundle: {}\nreport: {}\n", flags.outputs.bundle, report));
  return code;
}

void add_method_flags(CLI::App& verb, Flags& flags) {
  deploy::MethodNames& names = flags.names;
  decide::Conformal& conformal = flags.options.conformal;
  verb.add_option("--alpha", conformal.alpha, "share of sets that may miss")->capture_default_str();
  verb.add_option("--method", names.method, "lac, aps, raps, saps")->capture_default_str();
  verb.add_option("--condition", names.condition, "a threshold for all: marginal; per class; group")
      ->capture_default_str();
  verb.add_flag("--randomised", conformal.randomised, "one random number per window (not lac)");
  verb.add_option("--empty-sets", names.empty_sets, "what empty sets become: top-class, or keep")
      ->capture_default_str();
  verb.add_option("--confidence", names.confidence, "auto, none, temperature, vector, per-group")
      ->capture_default_str();
  verb.add_option("--seed", flags.options.split.seed, "of the split")->capture_default_str();
}

}  // namespace

void add_calibrate(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "calibrate", "confidence and prediction sets to trust",
                            "graupel calibrate model.graupel --data windows.npy --labels "
                            "labels.npy --groups subjects.npy",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle")->required();
  verb->add_option("--data", flags->paths.data, "raw windows (.npy, .npz, .csv)")->required();
  verb->add_option("--labels", flags->paths.labels, "the class of each window");
  verb->add_option("--groups", flags->paths.groups, "the person or animal of each window");
  verb->add_option("-o,--output", flags->outputs.bundle, "bundle to write (default: the input)");
  verb->add_option("--report", flags->outputs.report, "default: decisions.html beside it");
  verb->add_option("--bar", flags->options.bars, "set a bar: ID=LIMIT (repeatable)");
  add_method_flags(*verb, *flags);
}

}  // namespace graupel::cli
