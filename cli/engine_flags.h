// --engine and what belongs to it, for the verbs that answer windows.
#pragma once

#include "cli/command.h"
#include "npu/start.h"

namespace graupel::cli {

struct EngineFlags {
  std::string engine = "auto";
  npu::EngineOptions options;
  size_t threads = 0;  // of the CPU's engine where a verb has --threads; 0: every core
};
// --threads, 1 to the cores this process may use.
CLI::Option* add_threads_flag(CLI::App& verb, size_t& threads, const std::string& text);

void add_engine_flags(CLI::App& verb, EngineFlags& flags);
npu::EngineOptions engine_options(const EngineFlags& flags);

// Loads what the device needs from the bundle and warns if it is not used.
Result<npu::Started> start_engine(const Globals& globals, const std::string& bundle,
                                  const run::Engine& engine, const EngineFlags& flags);

// Who answered how many windows, and shadow runs; to stderr, a warning if a fallback happened.
void show_engine(const Globals& globals, const npu::Started& started);
Json engine_json(const npu::Started& started);

}  // namespace graupel::cli
