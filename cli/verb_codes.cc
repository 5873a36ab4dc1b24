// graupel codes: which FSQ codes occur, what INT8 changes, what hand-written host code would.
#include <fmt/format.h>

#include "cli/command.h"
#include "data/npy.h"
#include "deploy/codes.h"
#include "deploy/labelled.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, host_codes;
  deploy::LabelledPaths paths;
};

Result<int> compare(const Globals& globals, const Flags& flags, const bundle::Bundle& bundle,
                    const deploy::Windows& windows, Json& json) {
  TRY_ASSIGN(const Tensor host, data::read_npy(flags.host_codes));
  TRY_ASSIGN(const deploy::HostCodes found, deploy::compare_host_codes(bundle, windows, host));
  json["host_codes"] = {{"differing_percent", found.differing_percent},
                        {"explanation", found.explanation}};
  print(globals, fmt::format("\n{}: {:.2f}% of the codes differ from the network's{}\n",
                             flags.host_codes, found.differing_percent,
                             found.explanation.empty() ? "" : "; they are " + found.explanation));
  return found.differing_percent > 0.0 ? kMissed : kDone;
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_bundle(flags.input));
  TRY_ASSIGN(const deploy::Labelled data, deploy::load_labelled(bundle, flags.paths));
  TRY_ASSIGN(const std::optional<deploy::Codes> codes, deploy::measure_codes(bundle, data.windows));
  if (!codes) {
    return unsupported(flags.input, "holds no FSQ that graupel recognised; there are no codes");
  }
  for (const std::string& warning : codes->dead_dimensions) warn(globals, warning);
  Json json = deploy::codes_json(*codes);
  print(globals, deploy::codes_text(*codes));
  int code = codes->int8_differing == 0 ? kDone : kMissed;
  if (!flags.host_codes.empty()) {
    TRY_ASSIGN(const int compared, compare(globals, flags, bundle, data.windows, json));
    code = std::max(code, compared);
  }
  print_json(globals, json);
  return code;
}

}  // namespace

void add_codes(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "codes", "which FSQ codes occur and what changes them",
                            "graupel codes model.graupel windows.npy --labels labels.npy",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle")->required();
  verb->add_option("windows", flags->paths.data, "raw windows (.npy, .npz, .csv)")->required();
  verb->add_option("--labels", flags->paths.labels, "the class of each window");
  verb->add_option("--host-codes", flags->host_codes,
                   ".npy of codes (N) or digits (N x D) your own host code gave, to compare");
}

}  // namespace graupel::cli
