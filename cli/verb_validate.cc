// graupel validate: every promised number, measured against the original network.
#include "cli/command.h"
#include "deploy/json.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, model, output;
  deploy::WindowOptions windows;
  ModelFlags model_flags;
  std::vector<std::string> bars;
};

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(flags.input));
  TRY_ASSIGN(const onnx::ReadOptions read, read_options(flags.model_flags));
  TRY_ASSIGN(const ir::Graph original, onnx::read_model(flags.model, read));
  TRY_ASSIGN(const auto normalization, deploy::bundle_normalization(bundle));
  TRY_ASSIGN(const deploy::Windows windows,
             deploy::load_windows(flags.windows, original, normalization));
  deploy::ValidateOptions options;
  options.bars = flags.bars;
  const Result<deploy::Validated> result = deploy::validate(bundle, original, windows, options);
  if (!result.ok()) return Error(result.error()).within(flags.input);
  const deploy::Validated& validated = *result;
  if (!flags.output.empty()) TRY(bundle::write_bundle(flags.output, bundle));
  print_json(globals, {{"bars", deploy::judgements_json(validated.judgements)}});
  return show_verdict(globals, validated.judgements);
}

}  // namespace

void add_validate(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "validate", "measure every promised number",
                            "graupel validate model.graupel --model model.onnx --windows test.npy "
                            "--labels labels.npy --bar accuracy=95",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle")->required();
  verb->add_option("--model", flags->model, "the .onnx the bundle was made from")->required();
  verb->add_option("-o,--output", flags->output, "write the bundle with the verdict in it");
  verb->add_option("--bar", flags->bars, "set a bar: ID=LIMIT (repeatable)");
  verb->add_option("--windows", flags->windows.windows, "raw windows (.npy, .npz, .csv)")
      ->required();
  add_labels_flag(*verb, flags->windows);
  add_model_flags(*verb, flags->model_flags);
}

}  // namespace graupel::cli
