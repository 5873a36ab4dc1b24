// Tables of an enum's values and their names in decide.json, read in both directions.
// Test: block_test.cc, hsmm_model_test.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace graupel::decide {

template <class T>
struct Name {
  T value;
  std::string_view name;
};

template <class T, size_t N>
std::string_view name_of(const Name<T> (&names)[N], T value) {
  for (const Name<T>& name : names) {
    if (name.value == value) return name.name;
  }
  return "unknown";
}

template <class T, size_t N>
std::optional<T> value_of(const Name<T> (&names)[N], std::string_view text) {
  for (const Name<T>& name : names) {
    if (name.name == text) return name.value;
  }
  return std::nullopt;
}

}  // namespace graupel::decide
