// The half of graupel compile that drives the vendor's compiler.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/command.h"
#include "deploy/hailo.h"

namespace graupel::cli {

struct HailoFlags {
  deploy::HailoOptions options;
  std::string dfc, work, kit, hef;
  int64_t timeout_minutes = 720;
  bool fresh = false, accept_recommendation = false;
  std::vector<std::string> precision, allocator, resources, bars;
  std::vector<std::string> parser_words, optimize_words, compiler_words;
  int64_t level = -1000;
  double fps = 0;
  std::string nms;
};

void add_hailo_flags(CLI::App& verb, HailoFlags& flags);

// A bundle with cpu.plan or not, into `output` with model.hef; or a kit, or a HEF brought home.
// `target` is the verb's --target.
Result<int> compile_hailo(const Globals& globals, HailoFlags flags, const std::string& input,
                          const std::string& output, const std::string& target);

}  // namespace graupel::cli
