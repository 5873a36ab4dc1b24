// The description names exactly the routes of the table, with their methods and roles.
#include "serve/openapi.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "serve/service.h"

namespace graupel::serve {
namespace {

TEST(Openapi, NamesEveryRouteOfTheTableAndNoOther) {
  std::set<std::string> described, known;
  std::istringstream lines{std::string(openapi_text())};
  std::string path, method;
  for (std::string line; std::getline(lines, line) && line != "components:";) {
    if (line.starts_with("  /")) path = line.substr(2, line.size() - 3);
    if (line.starts_with("    ") && line[4] != ' ') method = line.substr(4, line.size() - 5);
    if (line.starts_with("      x-role: ")) {
      for (char& c : method) c = static_cast<char>(std::toupper(c));
      described.insert(method + " " + path + " " + line.substr(14));
    }
  }
  for (const Route& route : routes()) {
    known.insert(std::string(route.method) + " " + std::string(route.pattern) + " " +
                 std::string(to_string(route.role)));
  }
  EXPECT_EQ(described, known);
}

}  // namespace
}  // namespace graupel::serve
