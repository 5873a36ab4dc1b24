// The options of `graupel serve`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/engine_flags.h"
#include "serve/service.h"

namespace graupel::cli {

struct ServeFlags {
  std::vector<std::string> bundles;
  std::string keys_file;
  int64_t deadline_ms = 1000, drain_ms = 10000, session_idle_s = 3600;
  EngineFlags engine;
  serve::ServeOptions options;
};
void add_serve_flags(CLI::App& verb, ServeFlags& flags);

}  // namespace graupel::cli
