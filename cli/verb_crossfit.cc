// graupel crossfit: confidence and prediction sets on people never seen, over all folds of a run.
#include "cli/command.h"
#include "deploy/crossfit.h"

namespace graupel::cli {
namespace {

Result<int> run(const Globals& globals, const deploy::CrossfitOptions& options) {
  TRY_ASSIGN(const deploy::Crossfit judged, deploy::crossfit(options));
  print(globals, deploy::crossfit_text(judged));
  print_json(globals, deploy::crossfit_json(judged));
  return kDone;
}

}  // namespace

void add_crossfit(CLI::App& app, Globals& globals) {
  const auto options = std::make_shared<deploy::CrossfitOptions>();
  CLI::App* verb = add_verb(app, globals, "crossfit",
                            "confidence on people never seen, over leave-one-out folds",
                            "graupel crossfit runs --data everybody/all/windows.npy --labels "
                            "everybody/all/labels.npy --groups everybody/all/groups.npy",
                            [&globals, options] { return run(globals, *options); });
  verb->add_option("folds", options->folds, "folder of PERSON/model.graupel")->required();
  verb->add_option("--data", options->data.data, "raw windows of everybody")->required();
  verb->add_option("--labels", options->data.labels, "the class of each window");
  verb->add_option("--groups", options->data.groups, "the person of each window");
  verb->add_option("--alpha", options->alpha, "share of sets that may miss")
      ->check(CLI::Range(0.0001, 0.9999))
      ->capture_default_str();
  verb->add_option("--seed", options->seed, "of the intervals")->capture_default_str();
}

}  // namespace graupel::cli
