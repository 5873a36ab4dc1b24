// graupel parse: read, simplify, check, cut; gives a parsed bundle.
#include <fmt/format.h>

#include "base/files.h"
#include "cli/command.h"
#include "deploy/json.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, output, target = "hailo8", class_names, svg;
  ModelFlags model;
  SimplifyFlags simplify;
  CutFlags cut;
};

Result<int> run(const Globals& globals, const Flags& flags) {
  deploy::ParseOptions options;
  TRY_ASSIGN(options.read, read_options(flags.model));
  TRY_ASSIGN(options.simplify, simplify_options(flags.simplify));
  TRY_ASSIGN(options.class_names, read_class_names(flags.class_names));
  options.target = flags.target;
  options.cut = {flags.cut.end_nodes, flags.cut.start_nodes};
  TRY_ASSIGN(const deploy::Parsed parsed, deploy::parse(flags.input, options));
  const ir::Graph& graph = parsed.simplified.graph;
  if (!flags.output.empty()) {
    TRY_ASSIGN(const bundle::Bundle bundle, deploy::to_bundle(parsed));
    TRY(bundle::write_bundle(flags.output, bundle));
  }
  if (!flags.svg.empty()) TRY(write_file_atomic(flags.svg, cut::draw_svg(graph, parsed.cut)));
  print_json(globals, deploy::parse_json(parsed));
  print(globals, cut::draw_text(graph, parsed.cut));
  if (parsed.cut.fsq) {
    print(globals, fmt::format("FSQ: {}, levels [{}], bound before {}\n", parsed.cut.fsq->variant,
                               fmt::join(parsed.cut.fsq->levels, ","), parsed.cut.fsq->round_node));
  }
  for (const std::string& text : parsed.cut.notes) note(globals, text);
  const check::Counts& counts = parsed.findings.counts;
  print(globals, fmt::format("{}: {} errors, {} warnings, {} notes on the device part\n",
                             parsed.target.name, counts.errors, counts.warnings, counts.infos));
  return parsed.findings.passed() ? kDone : kMissed;
}

}  // namespace

void add_parse(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "parse", "simplify, check and cut; gives a bundle",
                            "graupel parse model.onnx --end-nodes /fsq/Sub -o model.graupel",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "the .onnx file")->required();
  verb->add_option("-o,--output", flags->output, "the bundle to write");
  verb->add_option("--target", flags->target, "hailo8, hailo8l, cpu, or a target's .toml")
      ->capture_default_str();
  verb->add_option("--class-names", flags->class_names, "text file, one class per line");
  verb->add_option("--svg", flags->svg, "where a picture of the cut goes");
  add_model_flags(*verb, flags->model);
  add_simplify_flags(*verb, flags->simplify);
  add_cut_flags(*verb, flags->cut);
}

}  // namespace graupel::cli
