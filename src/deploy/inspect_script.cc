// A model script described and judged, as compile --script does before it merges one.
// See inspect_script.h. Test: tests/hailo, inspect_test.cc.
#include "deploy/inspect_script.h"

#include <algorithm>
#include <map>
#include <string>

#include "deploy/hailo.h"
#include "hailo/script.h"
#include "hailo/script_check.h"

namespace graupel::deploy {

Result<nlohmann::ordered_json> inspect_script(std::string_view text) {
  TRY_ASSIGN(const hailo::Script script, hailo::parse_script(text));
  nlohmann::ordered_json json = {{"kind", "alls"}, {"statements", script.statements.size()}};
  std::map<std::string, size_t> commands;
  size_t names = 0;
  for (const hailo::Statement& statement : script.statements) {
    ++commands[statement.command];
    names += statement.names.size();
  }
  for (const auto& [name, count] : commands) json["commands"][name] = count;
  json["names_given"] = names;
  const bool same = hailo::format_script(script) == text;
  json["written_back"] = same ? "byte for byte" : "with other bytes";
  json["findings"] = hailo_findings_json(hailo::check_script(script));
  return json;
}

}  // namespace graupel::deploy
