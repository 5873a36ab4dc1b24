// What the verbs share: global flags, how results and errors are shown, options several verbs take.
//
// Idea: a verb is one function that adds its subcommand to the CLI11 app; its callback parses
// nothing, it calls the library and prints. Results for people go to stdout, diagnostics to
// stderr; with --json stdout holds exactly one JSON document, errors included.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "cut/cut.h"
#include "deploy/deploy.h"
#include "deploy/parse.h"
#include "deploy/stages.h"
#include "deploy/windows.h"

namespace graupel::cli {

using Json = nlohmann::ordered_json;

// Exit status of the command: bars met, a bar missed, bad input, machine lacks it.
enum Exit : int { kDone = 0, kMissed = 1, kBadInput = 2, kMachineLacks = 3 };

struct Globals {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  int exit_code = kDone;
};

// Adds the subcommand NAME with the global flags; `action` runs when it was chosen. Whatever
// error it returns is shown and becomes the exit status.
CLI::App* add_verb(CLI::App& app, Globals& globals, const std::string& name,
                   const std::string& description, const std::string& example,
                   std::function<Result<int>()> action);

// ---- output ----

void print(const Globals& globals, const std::string& text);  // for people: not with --json or -q
void print_json(const Globals& globals, const Json& json);    // only with --json
void note(const Globals& globals, const std::string& text);   // to stderr, not with -q
void warn(const Globals& globals, const std::string& text);   // to stderr, always
bool on_terminal();                                           // stdout is one
void show_error(const Globals& globals, const Error& error);
int exit_code_of(const Error& error);

// ---- options several verbs take; each adds flags and gives the place they are stored ----

struct ModelFlags {
  std::vector<std::string> shapes;
  int64_t batch = 1;
};
void add_model_flags(CLI::App& verb, ModelFlags& flags);
Result<onnx::ReadOptions> read_options(const ModelFlags& flags);

struct SimplifyFlags {
  std::vector<std::string> passes, skip;
  int64_t stop_after = -1;
  std::string verify = "auto";
};
void add_simplify_flags(CLI::App& verb, SimplifyFlags& flags);
Result<simplify::SimplifyOptions> simplify_options(const SimplifyFlags& flags);

struct CutFlags {
  std::vector<std::string> start_nodes, end_nodes;
};
void add_cut_flags(CLI::App& verb, CutFlags& flags);

struct QuantizeFlags {
  std::string scheme = "symmetric";
  std::string calibrator = "output";
  double percentile = 99.99;
  int level = 1;
  double compression = 0.0;
  std::vector<std::string> wide_layers;
  std::string scales;
  bool keep_ranges = false;
  bool narrow_ends = false;
  bool automatic = false;
  quantize::Goals goals;
};
void add_quantize_flags(CLI::App& verb, QuantizeFlags& flags);
Result<quantize::QuantizeOptions> quantize_options(const QuantizeFlags& flags);

void add_window_flags(CLI::App& verb, deploy::WindowOptions& options, const std::string& flag,
                      const std::string& what);
void add_labels_flag(CLI::App& verb, deploy::WindowOptions& options);
// One class name per line. Empty path: no names.
Result<std::vector<std::string>> read_class_names(const std::string& path);

// Warnings about the calibration set go to stderr; a random one is loud.
void show_calibration(const Globals& globals, const deploy::Windows& windows,
                      const std::vector<quantize::CalibrationFinding>& findings);
// Names the goals of --auto that were missed; 0 or 1. No goals: 0.
int show_goals(const Globals& globals, const quantize::Quantized& quantized,
               const std::optional<quantize::Goals>& goals);
// The verdict table, and 0 or 1.
int show_verdict(const Globals& globals, const std::vector<validate::Judgement>& judgements);

// ---- the verbs, one file each ----

void add_simplify(CLI::App& app, Globals& globals);
void add_check(CLI::App& app, Globals& globals);
void add_parse(CLI::App& app, Globals& globals);
void add_optimize(CLI::App& app, Globals& globals);
void add_compile(CLI::App& app, Globals& globals);
void add_validate(CLI::App& app, Globals& globals);
void add_calibrate(CLI::App& app, Globals& globals);
void add_crossfit(CLI::App& app, Globals& globals);
void add_codes(CLI::App& app, Globals& globals);
void add_profile(CLI::App& app, Globals& globals);
void add_run(CLI::App& app, Globals& globals);
void add_hsmm(CLI::App& app, Globals& globals);
void add_decode(CLI::App& app, Globals& globals);
void add_deploy(CLI::App& app, Globals& globals);
void add_inspect(CLI::App& app, Globals& globals);
void add_prepare(CLI::App& app, Globals& globals);
void add_train(CLI::App& app, Globals& globals);
void add_serve(CLI::App& app, Globals& globals);
void add_synth(CLI::App& app, Globals& globals);
void add_doctor(CLI::App& app, Globals& globals);

}  // namespace graupel::cli
