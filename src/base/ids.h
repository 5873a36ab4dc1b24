// Typed integer ids: an index into one vector that cannot be mistaken for an index into another.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace graupel {

template <class Tag>
struct Id {
  int32_t value = -1;  // -1: no element

  constexpr Id() = default;
  constexpr explicit Id(size_t index) : value(static_cast<int32_t>(index)) {}
  constexpr bool valid() const { return value >= 0; }
  constexpr size_t index() const { return static_cast<size_t>(value); }
  constexpr auto operator<=>(const Id&) const = default;
};

}  // namespace graupel

template <class Tag>
struct std::hash<graupel::Id<Tag>> {
  size_t operator()(graupel::Id<Tag> id) const noexcept { return std::hash<int32_t>()(id.value); }
};
