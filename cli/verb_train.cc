// graupel train: prepared windows to a verified ONNX model.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/progress.h"
#include "train/train.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string config, network;
  std::vector<int64_t> levels;
  bool no_fsq = false;
  int64_t epochs = 0, seed = -1;
  train::TrainOptions options;
};

Result<train::TrainOptions> checked(const Flags& flags) {
  train::TrainOptions options = flags.options;
  options.config = train::default_config();
  if (!flags.config.empty()) {
    TRY_ASSIGN(options.config, train::read_config(flags.config));
  }
  if (!flags.network.empty()) {
    TRY_ASSIGN(train::Network network, train::named_network(flags.network));
    network.fsq_levels = options.config.network.fsq_levels;
    network.fsq_variant = options.config.network.fsq_variant;
    options.config.network = network;
  }
  if (!flags.levels.empty()) options.config.network.fsq_levels = flags.levels;
  if (flags.no_fsq) {
    options.config.network.projection =
        static_cast<int64_t>(options.config.network.fsq_levels.size());
    options.config.network.fsq_levels.clear();
  }
  if (flags.epochs > 0) options.config.optimization.epochs = flags.epochs;
  if (flags.seed >= 0) options.config.optimization.seed = static_cast<uint64_t>(flags.seed);
  return options;
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const train::TrainOptions options, checked(flags));
  TRY_ASSIGN(const train::Backend backend, train::load_backend(train::command_folder()));
  EpochProgress progress(globals);
  const auto show = [&](const train::StepReport& report) { progress.show(report); };
  TRY_ASSIGN(const train::Trained trained, train::train(options, backend, show));
  print(globals, train::describe(options, trained));
  print_json(globals, Json::parse(train::training_json(options, trained)));
  return kDone;
}

}  // namespace

void add_train(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "train", "prepared windows to a trained ONNX model",
                            "graupel train windows -o model --config training.toml",
                            [&globals, flags] { return run(globals, *flags); });
  train::TrainOptions& options = flags->options;
  verb->add_option("windows", options.set.folder, "folder that `prepare` wrote")->required();
  verb->add_option("-o,--output", options.output, "folder for what comes out")->required();
  verb->add_option("--config", flags->config, "TOML: network, fsq, optimization, augmentation");
  verb->add_option("--network", flags->network, std::string(train::kNetworkNames));
  verb->add_option("--levels", flags->levels, "of the FSQ: 8,6,5,5,4")->delimiter(',');
  verb->add_flag("--no-fsq", flags->no_fsq, "the same network without its quantizer");
  verb->add_option("--epochs", flags->epochs)->check(CLI::PositiveNumber);
  verb->add_option("--seed", flags->seed)->check(CLI::NonNegativeNumber);
  verb->add_option("--fold", options.set.fold, "of a folder with all folds: the person tested");
  verb->add_option("--join", options.set.joined, "other splits to train on: validation,calibration")
      ->delimiter(',');
  verb->add_flag("--resume", options.resume, "go on from the checkpoint in the output folder");
  verb->add_option("--teacher", options.teacher, "folder of a run to distil from");
  verb->add_option("--initial", options.initial, "folder of a run whose weights to start from");
  verb->add_option("--scales", options.scales, "JSON of integer scales: refine with rounding");
  verb->add_option("--opset", options.opset, "of the ONNX file")->check(CLI::Range(11, 17));
  verb->add_option("--threads", options.threads)->check(CLI::Range(1, 256))->capture_default_str();
}

}  // namespace graupel::cli
