// graupel run: the bundle's answer for each window.
#include <fmt/format.h>

#include "base/files.h"
#include "cli/command.h"
#include "data/npy.h"
#include "data/windows.h"
#include "run/answers.h"
#include "run/load.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, windows, output, format = "json";
};

// One .npy per output of the network: PREFIX.NAME.npy.
Result<void> write_arrays(const std::string& prefix, const run::Plan& plan,
                          const std::vector<Tensor>& outputs) {
  if (prefix.empty()) return invalid_input("--format npy", "needs -o PREFIX");
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::string name = plan.outputs[i].name;
    for (char& c : name) c = c == '/' || c == '\\' ? '_' : c;
    TRY(data::write_npy(prefix + "." + name + ".npy", outputs[i]));
  }
  return ok();
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const run::BundleEngine loaded, run::load_bundle_engine(flags.input));
  const run::Plan& plan = run::plan_of(loaded.engine);
  const run::Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  TRY_ASSIGN(const data::WindowSet set,
             data::load_windows(flags.windows, Shape(input.shape.begin() + 1, input.shape.end())));
  TRY_ASSIGN(const std::vector<Tensor> outputs, run::run_windows(loaded.engine, set.windows));
  if (flags.format == "npy") {
    TRY(write_arrays(flags.output, plan, outputs));
    return kDone;
  }
  TRY_ASSIGN(const std::vector<run::Answer> answers, run::answers_of(plan, outputs, loaded.labels));
  const std::string engine = fmt::format("cpu/{}", kernels::to_string(run::isa_of(loaded.engine)));
  std::string text;
  if (globals.json || flags.format == "json") {
    text = run::format_json(answers, engine) + "\n";
  } else {
    text = flags.format == "csv" ? run::format_csv(answers, engine)
                                 : run::format_json_lines(answers, engine);
  }
  if (!flags.output.empty()) {
    TRY(write_file_atomic(flags.output, text));
  } else {
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return kDone;
}

}  // namespace

void add_run(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "run", "class, logits and codes of each window",
                            "graupel run model.graupel windows.npy --format csv -o answers.csv",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle")->required();
  verb->add_option("windows", flags->windows, "raw windows (.npy, .npz, .csv)")->required();
  verb->add_option("--format", flags->format, "json, jsonl, csv, or npy (one file per output)")
      ->check(CLI::IsMember({"json", "jsonl", "csv", "npy"}))
      ->capture_default_str();
  verb->add_option("-o,--output", flags->output, "file (or prefix for npy); default stdout");
}

}  // namespace graupel::cli
