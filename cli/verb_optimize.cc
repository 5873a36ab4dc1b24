// graupel optimize: a parsed bundle and calibration windows to INT8.
#include <fmt/format.h>

#include "base/files.h"
#include "cli/command.h"
#include "deploy/encodings.h"
#include "deploy/json.h"
#include "deploy/tables.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, output, model, export_scales;
  deploy::WindowOptions windows;
  QuantizeFlags quantize;
};

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(flags.input));
  ir::Graph original;
  if (!flags.model.empty()) {
    TRY_ASSIGN(original, onnx::read_model(flags.model));
  } else {
    note(globals, "without --model the windows are not compared with the training's statistics");
  }
  TRY_ASSIGN(const deploy::Windows windows, deploy::load_calibration(flags.windows, bundle));
  TRY_ASSIGN(const quantize::QuantizeOptions options, quantize_options(flags.quantize));
  TRY_ASSIGN(const deploy::Optimized optimized,
             deploy::optimize(bundle, windows, options, flags.model.empty() ? nullptr : &original));
  TRY(bundle::write_bundle(flags.output, bundle));
  show_calibration(globals, windows, optimized.calibration);
  Json json = deploy::quantized_json(optimized.quantized);
  json["calibration"] = deploy::calibration_json(optimized.calibration);
  print_json(globals, json);
  if (windows.normalization && flags.windows.normalization.empty()) {
    note(
        globals,
        "windows were normalised as the bundle says; --normalization none leaves them as they are");
  }
  print(globals, deploy::noise_table(optimized.quantized) + "\n" +
                     deploy::optimisation_tables(optimized.quantized));
  if (!flags.export_scales.empty()) {
    if (optimized.quantized.equalized) {
      return invalid_input(flags.export_scales,
                           "would hold scales of an equalised network, which training does not "
                           "know; add --no-equalization");
    }
    TRY(write_file_atomic(flags.export_scales,
                          deploy::format_encodings(quantize::encodings_of(optimized.quantized))));
  }
  return show_goals(globals, optimized.quantized, options.goals);
}

}  // namespace

void add_optimize(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "optimize", "INT8 from calibration windows",
                            "graupel optimize model.graupel --calib windows.npy -o model.graupel",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a parsed bundle")->required();
  verb->add_option("-o,--output", flags->output, "the bundle to write")->required();
  verb->add_option("--model", flags->model, "the original .onnx, to judge the windows against");
  add_window_flags(*verb, flags->windows, "--calib",
                   "calibration windows (.npy, .npz, .csv), or 'random'");
  verb->add_option("--calib-groups", flags->windows.groups, "the person or animal of each window");
  verb->add_option("--calib-labels", flags->windows.labels,
                   "their classes, to know what INT8 costs in macro F1");
  add_quantize_flags(*verb, flags->quantize);
  verb->add_option("--export-scales", flags->export_scales,
                   "write every scale as JSON, for quantisation-aware training");
}

}  // namespace graupel::cli
