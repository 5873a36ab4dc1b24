// graupel doctor: what this machine has for deploying and running.
#include <fmt/format.h>

#include "cli/command.h"
#include "deploy/doctor.h"

namespace graupel::cli {
namespace {

Result<int> run(const Globals& globals) {
  Json json = Json::array();
  bool all_found = true;
  for (const deploy::Diagnosis& row : deploy::examine_machine()) {
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
  add_verb(app, globals, "doctor", "what this machine has: compiler, device, driver, CPU",
           "graupel doctor", [&globals] { return run(globals); });
}

}  // namespace graupel::cli
