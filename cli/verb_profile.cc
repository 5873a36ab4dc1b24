// graupel profile: what a bundle costs on this machine's CPU, against the bars.
#include "cli/profile_device.h"
#include "deploy/estimate.h"
#include "deploy/json.h"
#include "deploy/tables.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input;
  deploy::WindowOptions windows = {.windows = "random", .labels = {}, .normalization = {}};
  std::vector<std::string> bars;
  run::ProfileOptions options;
  EngineFlags engine;
  std::string estimate;
  estimate::Link link;
};

Result<int> run_estimate(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const estimate::Device device, estimate::parse_device(flags.estimate));
  TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_bundle(flags.input));
  const Result<ir::Graph> graph = deploy::member_graph(bundle, "device.onnx");
  if (!graph.ok()) return Error(graph.error()).within(flags.input);
  const estimate::Network network = estimate::describe(*graph);
  const estimate::Estimate result = estimate::estimate(network, device, flags.link);
  print_json(globals, deploy::estimate_json(network, device, flags.link, result));
  print(globals, deploy::estimate_text(network, device, flags.link, result));
  return kDone;
}

Result<int> run(const Globals& globals, const Flags& flags) {
  if (!flags.estimate.empty()) return run_estimate(globals, flags);
  TRY_ASSIGN(const std::vector<validate::Bar> bars,
             validate::with_limits(validate::default_bars(), flags.bars));
  TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_bundle(flags.input));
  TRY_ASSIGN(const deploy::Halves halves, deploy::float_halves(bundle));
  TRY_ASSIGN(const deploy::Windows windows,
             deploy::load_windows(flags.windows, deploy::first_part(halves)));
  Result<deploy::Profiled> profiled = deploy::profile(bundle, windows.raw, bars, flags.options);
  if (!profiled.ok()) return std::move(profiled).error().within(flags.input);
  Json json = deploy::profile_json(profiled->whole);
  json["device_latency_us_p95"] = profiled->device.latency_us_p95;
  std::string text = deploy::profile_table(profiled->whole) + "\n";
  TRY(profile_with_device(globals, flags.input, windows.raw, flags.options, flags.engine, *profiled,
                          json, text));
  json["bars"] = deploy::judgements_json(profiled->judgements);
  print_json(globals, json);
  print(globals, text);
  return show_verdict(globals, profiled->judgements);
}

}  // namespace

void add_profile(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "profile", "latency, per-step time, memory, size",
                            "graupel profile model.graupel --windows windows.npy --runs 5000",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle; with --estimate any")->required();
  verb->add_option("--windows", flags->windows.windows, "raw windows (.npy, .npz, .csv)")
      ->capture_default_str();
  verb->add_option("--runs", flags->options.runs, "timed runs")
      ->check(CLI::Range(size_t{1}, size_t{1000000}))
      ->capture_default_str();
  add_batch_flags(*verb, flags->options);
  verb->add_option("--bar", flags->bars, "set a bar: ID=LIMIT (repeatable)");
  add_engine_flags(*verb, flags->engine);
  verb->add_option("--estimate", flags->estimate, "what to expect of this device; nothing is run")
      ->check(CLI::IsMember({"hailo8", "hailo8l"}));
  verb->add_option("--pcie-gen", flags->link.generation, "with --estimate: of the slot, 1 to 3")
      ->check(CLI::Range(1, 3))
      ->capture_default_str();
  verb->add_option("--pcie-lanes", flags->link.lanes, "with --estimate: 1, 2 or 4")
      ->check(CLI::IsMember({1, 2, 4}))
      ->capture_default_str();
}

}  // namespace graupel::cli
