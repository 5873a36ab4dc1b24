// The device's part of `graupel profile`.
#pragma once

#include "cli/engine_flags.h"

namespace graupel::cli {

// --batch and --threads of the CPU's engine.
void add_batch_flags(CLI::App& verb, run::ProfileOptions& options);

// If the engine asked for has a device: times it, says so in `json` and `text`, and judges the bars
// by it if it answered every window.
Result<void> profile_with_device(const Globals& globals, const std::string& bundle,
                                 const Tensor& windows, const run::ProfileOptions& options,
                                 const EngineFlags& flags, deploy::Profiled& profiled, Json& json,
                                 std::string& text);

}  // namespace graupel::cli
