// What the user's TOML file changes in a recipe. Every key is checked against the few that exist.
// Reference: docs/data.md. Test: recipe_test.cc; fuzz/recording_fuzz.cc.
#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>
#include <exception>

#include "prepare/recipe.h"

namespace graupel::prepare {
namespace {

struct Source {
  const std::string& name;
  Error at(const toml::node& node, std::string what) const {
    return invalid_input(fmt::format("{}:{}", name, node.source().begin.line), std::move(what));
  }
};

Result<std::string> text_value(const Source& source, std::string_view key, const toml::node& node) {
  const toml::value<std::string>* const text = node.as_string();
  if (text == nullptr) return source.at(node, fmt::format("'{}' is not a string", key));
  return text->get();
}

Result<std::vector<std::string>> text_list(const Source& source, std::string_view key,
                                           const toml::node& node) {
  const toml::array* const list = node.as_array();
  if (list == nullptr) return source.at(node, fmt::format("'{}' is not a list of strings", key));
  std::vector<std::string> texts;
  for (const toml::node& item : *list) {
    TRY_ASSIGN(std::string text, text_value(source, key, item));
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<void> read_unit(const Source& source, std::string_view key, const toml::node& node,
                       std::initializer_list<std::string_view> choices, std::string& unit) {
  TRY_ASSIGN(unit, text_value(source, key, node));
  if (std::find(choices.begin(), choices.end(), unit) != choices.end()) return ok();
  std::string names;
  for (const std::string_view choice : choices) {
    names += (names.empty() ? "" : ", ") + std::string(choice);
  }
  return source.at(node, fmt::format("'{}' is not a unit of {}; expected {}", unit, key, names));
}

Result<void> read_units(const Source& source, const toml::table& table, Units& units) {
  for (const auto& [key, node] : table) {
    if (key == "acceleration") {
      TRY(read_unit(source, key, node, {"m/s2", "g"}, units.acceleration));
    } else if (key == "rotation") {
      TRY(read_unit(source, key, node, {"rad/s", "deg/s"}, units.rotation));
    } else if (key == "field") {
      TRY(read_unit(source, key, node, {"earth", "uT", "gauss", "mG"}, units.field));
    } else if (key == "time") {
      TRY(read_unit(source, key, node, {"s", "ms", "us", "ns"}, units.time));
    } else {
      return source.at(node, fmt::format("unknown key 'units.{}'; expected acceleration, rotation, "
                                         "field or time",
                                         key.str()));
    }
  }
  return ok();
}

Result<void> read_offsets(const Source& source, std::string_view sensor, const toml::node& node,
                          Recipe& recipe) {
  const toml::table* const table = node.as_table();
  if (table == nullptr) return source.at(node, fmt::format("'offsets.{}' is no table", sensor));
  std::array<double, kAxes>& offset = recipe.offsets[std::string(sensor)];
  for (const auto& [key, list] : *table) {
    const size_t first = key == "acceleration" ? 0 : key == "rotation" ? 3 : key == "field" ? 6 : 9;
    const toml::array* const numbers = list.as_array();
    if (first == 9 || numbers == nullptr || numbers->size() != 3) {
      return source.at(list, fmt::format("'offsets.{}.{}' is not acceleration, rotation or field "
                                         "with three numbers",
                                         sensor, key.str()));
    }
    for (size_t axis = 0; axis < 3; ++axis) {
      const std::optional<double> number = (*numbers)[axis].value<double>();
      if (!number || !(std::abs(*number) < 1e9)) {
        return source.at(
            list, fmt::format("'offsets.{}.{}' holds what is not a number", sensor, key.str()));
      }
      offset[first + axis] = *number;
    }
  }
  return ok();
}

// The map as a whole is replaced: half of one and half of another would surprise.
Result<void> read_labels(const Source& source, const toml::table& table,
                         const std::vector<std::string>& order, Recipe& recipe) {
  recipe.labels.clear();
  recipe.every_label = false;
  recipe.classes = order;
  std::vector<std::string> found;
  for (const auto& [key, node] : table) {
    TRY_ASSIGN(const std::string name, text_value(source, key, node));
    if (name.empty()) {
      recipe.labels[std::string(key.str())] = -1;
      continue;
    }
    auto at = std::find(recipe.classes.begin(), recipe.classes.end(), name);
    if (at == recipe.classes.end()) {
      if (!order.empty()) {
        return source.at(node, fmt::format("class '{}' is not in the list 'classes'", name));
      }
      recipe.classes.push_back(name);
      at = recipe.classes.end() - 1;
    }
    recipe.labels[std::string(key.str())] = static_cast<int32_t>(at - recipe.classes.begin());
  }
  if (recipe.classes.empty()) return source.at(table, "'labels' makes no class");
  return ok();
}

Result<void> apply(const Source& source, const toml::table& root, Recipe& recipe) {
  std::vector<std::string> classes;
  const toml::table* labels = nullptr;
  for (const auto& [key, node] : root) {
    const toml::table* const table = node.as_table();
    if (key == "sensors") {
      TRY_ASSIGN(recipe.sensors, text_list(source, key, node));
    } else if (key == "classes") {
      TRY_ASSIGN(classes, text_list(source, key, node));
    } else if (key == "rate_hz" && node.is_number()) {
      recipe.source_rate_hz = node.value<double>().value_or(0.0);
    } else if (key == "units" && table != nullptr) {
      TRY(read_units(source, *table, recipe.units));
    } else if (key == "labels" && table != nullptr) {
      labels = table;
    } else if (key == "offsets" && table != nullptr) {
      for (const auto& [sensor, values] : *table) {
        TRY(read_offsets(source, sensor, values, recipe));
      }
    } else {
      return source.at(node,
                       fmt::format("unknown or malformed key '{}'; expected sensors, classes, "
                                   "rate_hz, [units], [labels] or [offsets.SENSOR]",
                                   key.str()));
    }
  }
  if (labels != nullptr) return read_labels(source, *labels, classes, recipe);
  if (!classes.empty()) return invalid_input(source.name, "has 'classes' but no [labels]");
  return ok();
}

}  // namespace

Result<void> apply_toml(std::string_view toml, const std::string& name, Recipe& recipe) {
  if (toml.empty()) return ok();
  // toml++ throws; nothing may leave this function.
  try {
    const toml::table root = toml::parse(toml);
    return apply(Source{name}, root, recipe);
  } catch (const toml::parse_error& error) {
    return invalid_input(fmt::format("{}:{}", name, error.source().begin.line),
                         fmt::format("is not TOML: {}", error.description()));
  } catch (const std::exception& error) {
    return invalid_input(name, fmt::format("is not TOML: {}", error.what()));
  }
}

}  // namespace graupel::prepare
