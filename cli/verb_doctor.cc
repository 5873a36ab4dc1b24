// graupel doctor: what this machine has for deploying and running.
#include <fmt/format.h>

#include "cli/command.h"
#include "deploy/doctor.h"
#include "train/backend.h"

namespace graupel::cli {
namespace {

// Opens the module as `train` does: a libtorch that does not load is as good as none.
deploy::Diagnosis examine_training() {
  const std::string folder = train::command_folder();
  const Result<train::Backend> backend = train::load_backend(folder);
  if (backend.ok()) {
    return {"training (libtorch)", true, folder + "/" + train::kModuleName, "", false};
  }
  return {"training (libtorch)", false, "", "graupel train; " + backend.error().what, false};
}

Result<int> run(const Globals& globals) {
  Json json = Json::array();
  bool all_found = true;
  std::vector<deploy::Diagnosis> rows = deploy::examine_machine();
  rows.push_back(examine_training());
  for (const deploy::Diagnosis& row : rows) {
    json.push_back({{"what", row.what},
                    {"found", row.found},
                    {"detail", row.detail},
                    {"needed_for", row.needed_for}});
    print(globals, fmt::format("{:<8} {:<28} {}\n", row.found ? "found" : "missing", row.what,
                               row.found ? row.detail : row.needed_for));
    all_found = all_found && (row.found || !row.required);
  }
  print_json(globals, json);
  return all_found ? kDone : kMachineLacks;
}

}  // namespace

void add_doctor(CLI::App& app, Globals& globals) {
  add_verb(app, globals, "doctor", "what this machine has: compiler, device, driver, CPU, training",
           "graupel doctor", [&globals] { return run(globals); });
}

}  // namespace graupel::cli
