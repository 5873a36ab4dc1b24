// graupel calibrate: labelled windows in, calibrated decisions in the bundle out.
#include <fmt/format.h>

#include "cli/calibrate_flags.h"
#include "cli/command.h"
#include "deploy/calibrate.h"
#include "deploy/labelled.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input;
  deploy::LabelledPaths paths;
  CalibrateFlags what;
  deploy::CalibrateOutputs outputs;
};

Result<int> run(const Globals& globals, Flags flags) {
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(flags.input));
  TRY_ASSIGN(const deploy::Labelled data, deploy::load_labelled(bundle, flags.paths));
  TRY(deploy::choose_methods(flags.what.names, flags.what.options));
  TRY(deploy::choose_hsmm(flags.what.hsmm, data, flags.what.options));
  deploy::describe_data(data, flags.paths, flags.what.options);
  const Result<deploy::Calibrated> result =
      deploy::calibrate(bundle, data.windows, data.groups, flags.what.options);
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
  verb->add_option("--bar", flags->what.options.bars, "set a bar: ID=LIMIT (repeatable)");
  add_calibrate_flags(*verb, flags->what);
}

}  // namespace graupel::cli
