// How a HEF for the stand-in library carries what it computes: the plan of the device part, behind
// this mark and its size, somewhere in the file. A real HEF holds the compiler's own data there.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace graupel::npu {

inline constexpr std::string_view kStandinMark = "GRAUPEL STAND-IN DEVICE PLAN\n";

inline std::string standin_payload(std::string_view plan) {
  const uint64_t size = plan.size();
  std::string text(kStandinMark);
  text.append(reinterpret_cast<const char*>(&size), sizeof(size));
  return text.append(plan);
}

// The plan's bytes, or nothing.
inline std::string_view standin_plan(std::string_view hef) {
  const size_t at = hef.find(kStandinMark);
  if (at == std::string_view::npos) return {};
  std::string_view rest = hef.substr(at + kStandinMark.size());
  uint64_t size = 0;
  if (rest.size() < sizeof(size)) return {};
  std::memcpy(&size, rest.data(), sizeof(size));
  rest.remove_prefix(sizeof(size));
  return size <= rest.size() ? rest.substr(0, size) : std::string_view();
}

}  // namespace graupel::npu
