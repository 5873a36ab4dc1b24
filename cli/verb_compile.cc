// graupel compile: an optimized bundle to a CPU plan, or to a HEF by the vendor's compiler.
#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "cli/command.h"
#include "cli/compile_hailo.h"
#include "compile/emit_c.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, output, target = "cpu", emit;
  HailoFlags hailo;
};

// model.graupel becomes model.h and model.c in the folder `output`.
Result<int> emit_sources(const Globals& globals, const Flags& flags, const run::Plan& plan) {
  const std::string name = std::filesystem::path(flags.input).stem().string();
  Result<compile::CSource> source = compile::emit_c(plan, name);
  if (!source.ok()) return std::move(source).error().within(flags.input);
  std::error_code failed;
  std::filesystem::create_directories(flags.output, failed);
  const std::string path = (std::filesystem::path(flags.output) / source->name).string();
  TRY(write_file_atomic(path + ".h", source->header));
  TRY(write_file_atomic(path + ".c", source->source));
  print_json(globals, {{"header", path + ".h"}, {"source", path + ".c"}});
  print(globals, fmt::format("{0}.h, {0}.c\n", path));
  return kDone;
}

Result<int> run(const Globals& globals, const Flags& flags) {
  if (flags.target != "cpu" || !flags.hailo.hef.empty()) {
    return compile_hailo(globals, flags.hailo, flags.input, flags.output, flags.target);
  }
  if (flags.output.empty()) return invalid_input("-o", "is missing: the bundle to write");
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(flags.input));
  const Result<run::Plan> compiled = deploy::compile(bundle);
  if (!compiled.ok()) return Error(compiled.error()).within(flags.input);
  const run::Plan& plan = *compiled;
  if (!flags.emit.empty()) return emit_sources(globals, flags, plan);
  TRY(bundle::write_bundle(flags.output, bundle));
  int64_t macs = 0;
  for (const run::Step& step : plan.steps) macs += step.macs;
  print_json(globals, {{"steps", plan.steps.size()},
                       {"multiply_adds", macs},
                       {"constants_bytes", plan.constants.size()},
                       {"arena_bytes", plan.arena_size_bytes},
                       {"arena_lower_bound_bytes", plan.arena_lower_bound_bytes}});
  print(globals,
        fmt::format("{} steps, {:.2f} M multiply-adds, {} B of constants, arena {} B "
                    "(lower bound {} B)\n",
                    plan.steps.size(), static_cast<double>(macs) / 1e6, plan.constants.size(),
                    plan.arena_size_bytes, plan.arena_lower_bound_bytes));
  return kDone;
}

}  // namespace

void add_compile(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "compile", "an INT8 bundle to a CPU plan or a HEF",
                            "graupel compile model.graupel -o model.graupel",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "an optimized bundle")->required();
  verb->add_option("-o,--output", flags->output,
                   "the bundle to write, or the folder for C sources");
  verb->add_option("--emit", flags->emit, "c: the INT8 network as C99 source instead of a bundle")
      ->check(CLI::IsMember({"c"}));
  verb->add_option("--target", flags->target, "cpu, hailo8 or hailo8l (the vendor's compiler)")
      ->capture_default_str();
  add_hailo_flags(*verb, flags->hailo);
}

}  // namespace graupel::cli
