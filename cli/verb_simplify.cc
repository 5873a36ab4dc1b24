// graupel simplify: the same function in fewer, plainer operators.
#include <fmt/format.h>

#include "cli/command.h"
#include "deploy/json.h"
#include "deploy/tables.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, output;
  ModelFlags model;
  SimplifyFlags simplify;
  int64_t opset = 0;
  bool list_passes = false;
};

Result<int> run(const Globals& globals, const Flags& flags) {
  if (flags.list_passes) {
    print(globals, deploy::pass_table());
    Json passes = Json::array();
    for (const simplify::Pass& pass : simplify::pass_list()) passes.push_back(pass.name);
    print_json(globals, passes);
    return kDone;
  }
  if (flags.input.empty()) return invalid_input("usage", "name an .onnx file to simplify");
  TRY_ASSIGN(const onnx::ReadOptions read, read_options(flags.model));
  TRY_ASSIGN(const simplify::SimplifyOptions options, simplify_options(flags.simplify));
  TRY_ASSIGN(ir::Graph graph, onnx::read_model(flags.input, read));
  const size_t nodes_before = ir::live_nodes(graph).size();
  Result<simplify::Simplified> result = simplify::simplify(std::move(graph), options);
  if (!result.ok()) return std::move(result).error().within(flags.input);
  if (!flags.output.empty()) {
    onnx::WriteOptions write;
    write.opset = flags.opset;
    TRY(onnx::write_model(flags.output, result->graph, write));
  }
  print_json(globals, deploy::simplify_json(*result));
  print(globals, deploy::trace_table(*result));
  print(globals,
        fmt::format("{} nodes -> {} in {} edits; probed {}{}\n", nodes_before,
                    ir::live_nodes(result->graph).size(), result->edits, result->verification,
                    result->max_abs_difference
                        ? fmt::format(", largest difference {:.2g}", *result->max_abs_difference)
                        : ""));
  return kDone;
}

}  // namespace

void add_simplify(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "simplify", "fuse, fold and remove; same function",
                            "graupel simplify model.onnx -o model.simple.onnx",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "the .onnx file");
  verb->add_option("-o,--output", flags->output, "where the simplified .onnx goes");
  verb->add_option("--opset", flags->opset, "opset to write, 11 to 17 (default: the input's)");
  verb->add_flag("--list-passes", flags->list_passes, "list the passes in their order");
  add_model_flags(*verb, flags->model);
  add_simplify_flags(*verb, flags->simplify);
}

}  // namespace graupel::cli
