// Profiling over a device. See profile_device.h. Test: tests/device.
#include "cli/profile_device.h"

#include "deploy/profile_device.h"
#include "run/load.h"

namespace graupel::cli {

void add_batch_flags(CLI::App& verb, run::ProfileOptions& options) {
  verb.add_option("--batch", options.batch, "windows at a time, as one run")
      ->check(CLI::Range(size_t{1}, run::kMostBatch))
      ->capture_default_str();
  add_threads_flag(verb, options.threads, "threads that share the large steps of a run")
      ->capture_default_str();
}

Result<void> profile_with_device(const Globals& globals, const std::string& bundle,
                                 const Tensor& windows, const run::ProfileOptions& options,
                                 const EngineFlags& flags, deploy::Profiled& profiled, Json& json,
                                 std::string& text) {
  if (engine_options(flags).choice == npu::EngineChoice::kCpu) return ok();
  TRY_ASSIGN(const run::BundleEngine loaded, run::load_bundle_engine(bundle));
  TRY_ASSIGN(const npu::Started started, start_engine(globals, bundle, loaded.engine, flags));
  if (!started.has_device) return ok();
  TRY_ASSIGN(const deploy::DeviceProfile profile,
             deploy::profile_device(started, windows, options));
  deploy::judge_by_device(profile, profiled.judgements);
  json["device"] = deploy::device_profile_json(profile);
  json["engine"] = engine_json(started);
  text += deploy::device_profile_text(profile);
  show_engine(globals, started);
  return ok();
}

}  // namespace graupel::cli
