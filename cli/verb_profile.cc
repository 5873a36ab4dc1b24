// graupel profile: what a bundle costs on this machine's CPU.
#include <fmt/format.h>

#include "cli/command.h"
#include "data/synth.h"
#include "run/load.h"
#include "run/profile.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input;
  run::ProfileOptions options;
};

Json profile_json(const run::Profile& profile) {
  Json steps = Json::array();
  for (const run::StepProfile& step : profile.steps) {
    steps.push_back({{"node", step.node},
                     {"kind", step.kind},
                     {"part", run::to_string(step.part)},
                     {"macs", step.macs},
                     {"bytes", step.bytes},
                     {"time_us", step.time_us}});
  }
  return {{"isa", profile.isa},
          {"runs", profile.runs},
          {"latency_us_p50", profile.latency_us_p50},
          {"latency_us_p95", profile.latency_us_p95},
          {"latency_us_p99", profile.latency_us_p99},
          {"windows_per_s", profile.windows_per_s},
          {"device_us", profile.device_us},
          {"host_us", profile.host_us},
          {"arena_bytes", profile.arena_bytes},
          {"packed_bytes", profile.packed_bytes},
          {"plan_bytes", profile.plan_bytes},
          {"peak_rss_bytes", profile.peak_rss_bytes},
          {"steps", std::move(steps)}};
}

std::string profile_table(const run::Profile& profile) {
  std::string text = fmt::format("{:>9}  {:>6}  {:>10}  {:>9}  {:<6}  {}\n", "time", "share",
                                 "MACs", "bytes", "part", "step");
  for (const run::StepProfile& step : profile.steps) {
    text += fmt::format("{:>6.2f} us  {:>5.1f}%  {:>10}  {:>9}  {:<6}  {} {}\n", step.time_us,
                        100.0 * step.share, step.macs, step.bytes, run::to_string(step.part),
                        step.kind, step.node);
  }
  return text + fmt::format(
                    "p50 {:.1f} us, p95 {:.1f} us, p99 {:.1f} us; {:.0f} windows/s on one "
                    "thread ({})\narena {} B, packed weights {} B, cpu.plan {} B\n",
                    profile.latency_us_p50, profile.latency_us_p95, profile.latency_us_p99,
                    profile.windows_per_s, profile.isa, profile.arena_bytes, profile.packed_bytes,
                    profile.plan_bytes);
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(run::BundleEngine loaded, run::load_bundle_engine(flags.input));
  const run::Plan& plan = run::plan_of(loaded.engine);
  const run::Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  TRY_ASSIGN(const Tensor window,
             data::synth_noise(Shape(input.shape.begin() + 1, input.shape.end()), 1, 1));
  TRY_ASSIGN(const run::Profile profile,
             run::profile_engine(loaded.engine, window.data<float>(), flags.options));
  print_json(globals, profile_json(profile));
  print(globals, profile_table(profile));
  return kDone;
}

}  // namespace

void add_profile(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "profile", "latency, per-step time, memory",
                            "graupel profile model.graupel --runs 5000",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle")->required();
  verb->add_option("--runs", flags->options.runs, "timed runs")->capture_default_str();
}

}  // namespace graupel::cli
