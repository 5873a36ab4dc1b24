// --engine and what belongs to it, for the verbs that answer windows.
#pragma once

#include "cli/command.h"
#include "npu/start.h"

namespace graupel::cli {

struct EngineFlags {
  std::string engine = "auto";
  npu::EngineOptions options;
};
void add_engine_flags(CLI::App& verb, EngineFlags& flags);
npu::EngineOptions engine_options(const EngineFlags& flags);

// Loads what the device needs from the bundle and warns if it is not used.
Result<npu::Started> start_engine(const Globals& globals, const std::string& bundle,
                                  const run::Engine& engine, const EngineFlags& flags);

// Who answered how many windows, and shadow runs; to stderr, a warning if a fallback happened.
void show_engine(const Globals& globals, const npu::Started& started);
Json engine_json(const npu::Started& started);

}  // namespace graupel::cli
