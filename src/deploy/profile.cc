// What a bundle costs on this machine, judged. See stages.h.
//
// Idea: the whole plan gives the end-to-end latency; a plan of the device part alone, compiled from
// the bundle's own INT8 graph, gives the latency of what would run on the NPU.
// Test: deploy_test.cc.
#include "compile/compile.h"
#include "deploy/stages.h"
#include "deploy/tables.h"
#include "run/engine.h"

namespace graupel::deploy {

Result<run::Plan> device_plan(const bundle::Bundle& bundle) {
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  TRY_ASSIGN(const ir::Graph int8, member_graph(bundle, "device_int8.onnx"));
  compile::CompileOptions options;
  TRY_ASSIGN(options.normalization, bundle_normalization(bundle));
  return compile::compile_plan(halves.before, int8, ir::Graph(), options);
}

Result<Profiled> profile(const bundle::Bundle& bundle, const Tensor& windows,
                         const std::vector<validate::Bar>& bars,
                         const run::ProfileOptions& options) {
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, "cpu.plan"));
  TRY_ASSIGN(run::Plan plan, run::parse_plan(bytes));
  TRY_ASSIGN(run::Plan device_only, device_plan(bundle));
  const run::EngineOptions engine_options = {.batch = options.batch, .threads = options.threads};
  TRY_ASSIGN(run::Engine engine, run::load_engine(std::move(plan), engine_options));
  TRY_ASSIGN(run::Engine device_engine, run::load_engine(std::move(device_only), engine_options));
  TRY_ASSIGN(const std::string file, bundle::format_bundle(bundle));
  Profiled result;
  TRY_ASSIGN(result.whole, run::profile_engine(engine, windows.data<float>(), options));
  TRY_ASSIGN(result.device, run::profile_engine(device_engine, windows.data<float>(), options));
  const run::Profile& whole = result.whole;
  const uint64_t memory =
      whole.arena_bytes + whole.scratch_bytes + whole.packed_bytes + whole.constant_bytes;
  for (const validate::Bar& bar : bars) {
    const auto say = [&](double value, std::string detail) {
      result.judgements.push_back({bar, value, std::move(detail)});
    };
    if (bar.id == "latency_p95") say(whole.latency_us_p95 / 1e3, whole.isa);
    if (bar.id == "core_latency_p95") say(result.device.latency_us_p95 / 1e3, whole.isa);
    if (bar.id == "throughput") say(whole.windows_per_s, way_text(whole));
    if (bar.id == "peak_memory") {
      say(static_cast<double>(memory) / 1e6, "arena, scratch, weights and tables");
    }
    if (bar.id == "artefact_size") say(static_cast<double>(file.size()) / 1e6, "");
  }
  return result;
}

}  // namespace graupel::deploy
