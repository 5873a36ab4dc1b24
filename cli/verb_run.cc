// graupel run: the bundle's answer for each window.
#include <fmt/format.h>

#include "base/files.h"
#include "cli/engine_flags.h"
#include "data/windows.h"
#include "deploy/labelled.h"
#include "run/answers.h"
#include "run/load.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, windows, output, groups, format = "json";
  std::optional<int64_t> group;
  bool sequence = false;
  int64_t hop_samples = 0;
  EngineFlags engine;
};

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const run::BundleEngine loaded, run::load_bundle_engine(flags.input));
  const run::Plan& plan = run::plan_of(loaded.engine);
  const run::Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  TRY_ASSIGN(const data::WindowSet set,
             data::load_windows(flags.windows, Shape(input.shape.begin() + 1, input.shape.end())));
  TRY_ASSIGN(const std::vector<int64_t> recordings, deploy::groups_of(flags.groups, set));
  TRY_ASSIGN(const npu::Started started,
             start_engine(globals, flags.input, loaded.engine, flags.engine));
  TRY_ASSIGN(const npu::Batch batch,
             npu::answer_windows(started, loaded.engine, set.windows, flags.engine.threads));
  show_engine(globals, started);
  run::AnswerContext context = {
      loaded.labels, loaded.decider ? &*loaded.decider : nullptr, flags.group, {}, batch.sources};
  if (flags.sequence) context.recording = {recordings, {.hop_samples = flags.hop_samples}};
  TRY_ASSIGN(const bool alarm, run::drift_alarm(plan, batch.outputs, context));
  if (alarm) warn(globals, "drift alarm: these windows do not resemble the calibration windows");
  if (const auto text = run::hop_note(context)) note(globals, *text);
  if (flags.format == "npy") {
    TRY(run::write_arrays(flags.output, plan, batch.outputs, context));
  } else {
    const bool to_file = !flags.output.empty();
    // With --json stdout is one JSON document; a file is what --format says.
    const auto form = run::output_format(globals.json && !to_file ? "json" : flags.format);
    const std::string engine = run::engine_name(loaded.engine);
    TRY_ASSIGN(const std::string text, run::format_any(plan, batch.outputs, context, engine, form));
    if (!to_file && (globals.json || !globals.quiet)) fmt::print("{}", text);
    if (!to_file) return kDone;
    TRY(write_file_atomic(flags.output, text));
  }
  Json json = {{"output", flags.output}, {"windows", set.count()}};
  if (started.has_device) json["engine"] = engine_json(started);
  print_json(globals, json);
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
  verb->add_option("--group", flags->group, "the person all windows are of, if known by number");
  CLI::Option* sequence = verb->add_flag("--sequence", flags->sequence,
                                         "the windows are a recording in order: the HSMM's state");
  verb->add_option("--groups", flags->groups, "file: each window's recording")->needs(sequence);
  verb->add_option("--hop", flags->hop_samples, "samples between windows")->needs(sequence);
  verb->add_option("-o,--output", flags->output, "file (or prefix for npy); default stdout");
  add_threads_flag(*verb, flags->engine.threads, "cores of the CPU's engine; without it all");
  add_engine_flags(*verb, flags->engine);
}

}  // namespace graupel::cli
