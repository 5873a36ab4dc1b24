// Shared parts of the verbs. See command.h. Test: tests/cli.
#include "cli/command.h"

#include <fmt/color.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/files.h"
#include "deploy/encodings.h"
#include "report/report.h"

namespace graupel::cli {

CLI::App* add_verb(CLI::App& app, Globals& globals, const std::string& name,
                   const std::string& description, const std::string& example,
                   std::function<Result<int>()> action) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->footer("\nExample:\n  " + example + "\n");
  verb->add_flag("--json", globals.json, "print one JSON document on stdout and nothing else");
  verb->add_flag("-q,--quiet", globals.quiet, "print errors only");
  verb->add_flag("-v,--verbose", globals.verbose, "print more");
  verb->callback([&globals, action = std::move(action)] {
    const Result<int> code = action();
    if (code.ok()) {
      globals.exit_code = *code;
      return;
    }
    show_error(globals, code.error());
    globals.exit_code = exit_code_of(code.error());
  });
  return verb;
}

void print(const Globals& globals, const std::string& text) {
  if (globals.json || globals.quiet) return;
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_json(const Globals& globals, const Json& json) {
  if (!globals.json) return;
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void note(const Globals& globals, const std::string& text) {
  if (!globals.quiet) fmt::print(stderr, "graupel: {}\n", text);
}

void warn(const Globals&, const std::string& text) {
  fmt::print(stderr, "graupel: warning: {}\n", text);
}

bool on_terminal() { return isatty(STDOUT_FILENO) == 1; }

void show_error(const Globals& globals, const Error& error) {
  print_json(
      globals,
      {{"error", {{"code", to_string(error.code)}, {"where", error.where}, {"what", error.what}}}});
  fmt::print(stderr, "graupel: error: {}\n", error.message());
}

int exit_code_of(const Error& error) {
  return error.code == ErrorCode::kDevice ? kMachineLacks : kBadInput;
}

void add_model_flags(CLI::App& verb, ModelFlags& flags) {
  verb.add_option("--shape", flags.shapes, "pin an input's shape: NAME=1x9x2x100 (repeatable)");
  verb.add_option("--batch", flags.batch, "size of an open first dimension")->capture_default_str();
}

Result<onnx::ReadOptions> read_options(const ModelFlags& flags) {
  onnx::ReadOptions options;
  if (flags.batch < 1) return invalid_input("--batch", "has to be at least 1");
  options.batch = flags.batch;
  for (const std::string& setting : flags.shapes) {
    const size_t equals = setting.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid_input("--shape " + setting, "is not of the form NAME=1x9x2x100");
    }
    TRY_ASSIGN(options.shapes[setting.substr(0, equals)], parse_shape(setting.substr(equals + 1)));
  }
  return options;
}

void add_simplify_flags(CLI::App& verb, SimplifyFlags& flags) {
  verb.add_option("--passes", flags.passes, "run only these passes")->delimiter(',');
  verb.add_option("--skip", flags.skip, "leave these passes out")->delimiter(',');
  verb.add_option("--stop-after", flags.stop_after, "make N edits and no more (to bisect)");
  verb.add_option("--verify", flags.verify,
                  "probe against the evaluator: auto, each (pass), end, off")
      ->check(CLI::IsMember({"auto", "each", "end", "off"}))
      ->capture_default_str();
}

Result<simplify::SimplifyOptions> simplify_options(const SimplifyFlags& flags) {
  simplify::SimplifyOptions options;
  options.passes = flags.passes;
  options.skip = flags.skip;
  if (flags.stop_after >= 0) options.stop_after = flags.stop_after;
  if (flags.verify == "each") options.verify = simplify::Verify::kEachPass;
  if (flags.verify == "end") options.verify = simplify::Verify::kEnd;
  if (flags.verify == "off") options.verify = simplify::Verify::kOff;
  return options;
}

void add_cut_flags(CLI::App& verb, CutFlags& flags) {
  verb.add_option("--end-nodes", flags.end_nodes, "last nodes on the device (ONNX node names)");
  verb.add_option("--start-nodes", flags.start_nodes, "first nodes on the device");
}

void add_quantize_flags(CLI::App& verb, QuantizeFlags& flags) {
  verb.add_option("--scheme", flags.scheme, "symmetric or asymmetric activations")
      ->check(CLI::IsMember({"symmetric", "asymmetric"}))
      ->capture_default_str();
  verb.add_option("--calibrator", flags.calibrator, "how a range is chosen")
      ->check(CLI::IsMember(
          {"minmax", "moving-average", "percentile", "mse", "mse-channel", "entropy", "output"}))
      ->capture_default_str();
  verb.add_option("--percentile", flags.percentile, "for --calibrator percentile")
      ->check(CLI::Range(50.0, 100.0))
      ->capture_default_str();
  verb.add_option("--level", flags.level,
                  "0 equalisation, 1 + bias correction, 2 + finetuning (1024 windows), 3 AdaRound "
                  "(256), 4 AdaRound long (1024)")
      ->check(CLI::Range(0, quantize::kHighestLevel))
      ->capture_default_str();
  verb.add_option("--compression", flags.compression, "share of layers with 4-bit weights")
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--a16-w16", flags.wide_layers, "layers that compute in 16 bits (node names)");
  verb.add_option("--scales", flags.scales,
                  "use the scales in this file (docs/int8.md) and choose none");
  verb.add_flag("--no-equalization", flags.keep_ranges,
                "leave the channels' ranges as they are, so that scales fit the float network");
  verb.add_flag("--no-wide-ends", flags.narrow_ends,
                "8 bits in front of a last tanh too, as `compile --emit c` needs them");
  verb.add_flag("--auto", flags.automatic,
                "change observers and raise precision until the goals are met");
  verb.add_option("--goal-output-snr", flags.goals.output_snr_db, "dB at the outputs, for --auto")
      ->capture_default_str();
  verb.add_option("--goal-layer-snr", flags.goals.layer_snr_db, "dB at the worst layer")
      ->capture_default_str();
  verb.add_option("--goal-logits-snr", flags.goals.logits_snr_db, "dB at the first output")
      ->capture_default_str();
  verb.add_option("--goal-agreement", flags.goals.agreement_percent, "% of unchanged answers")
      ->capture_default_str();
  verb.add_option("--goal-digits", flags.goals.digits_changed_percent, "% of changed FSQ digits")
      ->capture_default_str();
  verb.add_option("--goal-macro-f1-drop", flags.goals.macro_f1_drop_points,
                  "points of macro F1 lost, where the windows have labels")
      ->capture_default_str();
}

Result<quantize::QuantizeOptions> quantize_options(const QuantizeFlags& flags) {
  quantize::QuantizeOptions options;
  options.scheme = quantize::parse_scheme(flags.scheme).value_or(options.scheme);
  options.calibrator = quantize::parse_calibrator(flags.calibrator).value_or(options.calibrator);
  options.percentile = flags.percentile;
  options.level = flags.level;
  options.four_bit_share = flags.compression;
  options.wide_layers = flags.wide_layers;
  options.equalization = !flags.keep_ranges;
  options.wide_ends = !flags.narrow_ends;
  if (flags.automatic) options.goals = flags.goals;
  if (!flags.scales.empty()) {
    TRY_ASSIGN(const std::string text, read_file(flags.scales, uint64_t{256} << 20));
    Result<quantize::Encodings> given = deploy::parse_encodings(text);
    if (!given.ok()) return std::move(given).error().within(flags.scales);
    options.given = *given;
  }
  return options;
}

void add_window_flags(CLI::App& verb, deploy::WindowOptions& options, const std::string& flag,
                      const std::string& what) {
  verb.add_option(flag, options.windows, what)->required();
  verb.add_option("--normalization", options.normalization,
                  "how raw windows become the model's: a normalization.json, 'fit', or 'none'; "
                  "without it as the bundle says");
}

void add_labels_flag(CLI::App& verb, deploy::WindowOptions& options) {
  verb.add_option("--labels", options.labels, "class of each window (.npy int64, or text)");
}

Result<std::vector<std::string>> read_class_names(const std::string& path) {
  std::vector<std::string> names;
  if (path.empty()) return names;
  TRY_ASSIGN(const std::string text, read_file(path, 1 << 20));
  std::string line;
  for (const char c : text + "\n") {
    if (c != '\n') {
      if (c != '\r') line += c;
      continue;
    }
    if (!line.empty()) names.push_back(line);
    line.clear();
  }
  return names;
}

void show_calibration(const Globals& globals, const deploy::Windows& windows,
                      const std::vector<quantize::CalibrationFinding>& findings) {
  if (windows.random) {
    warn(globals,
         "CALIBRATED ON RANDOM NOISE: every scale is a guess. This bundle is for trying things "
         "out; real windows will be clipped or lost in rounding. Never deploy it.");
  }
  for (const quantize::CalibrationFinding& finding : findings) {
    const std::string text =
        fmt::format("calibration windows: {}; {}", finding.message, finding.fix);
    if (finding.severity == quantize::Severity::kInfo) {
      note(globals, text);
    } else {
      warn(globals, text);
    }
  }
}

int show_goals(const Globals& globals, const quantize::Quantized& quantized,
               const std::optional<quantize::Goals>& goals) {
  const std::string missed = goals ? quantize::missed_goals(quantized, *goals) : "";
  if (missed.empty()) return kDone;
  warn(globals, "goals missed: " + missed);
  return kMissed;
}

int show_verdict(const Globals& globals, const std::vector<validate::Judgement>& judgements) {
  std::vector<report::Bar> bars = deploy::report_bars(judgements);
  print(globals,
        report::render_bars(bars, on_terminal() ? report::Color::kOn : report::Color::kOff));
  std::string missed;
  for (const validate::Judgement& judgement : judgements) {
    if (validate::outcome(judgement) != validate::Outcome::kFail) continue;
    missed += (missed.empty() ? "" : ", ") + judgement.bar.id;
  }
  if (missed.empty()) return kDone;
  warn(globals, "missed: " + missed);
  return kMissed;
}

}  // namespace graupel::cli
