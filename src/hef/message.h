// What every reader of a HEF's messages needs: one error, bounded names. Test: hef_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace graupel::hef {

inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr size_t kMaxValues = 65536;  // per-feature scales of one stream, and list entries

inline Error broken(std::string_view what) {
  return corrupt(std::string(what),
                 "is no protobuf message; the file was not made by the compiler or is damaged");
}

inline std::string name_of(std::string_view bytes) {
  return std::string(bytes.substr(0, kMaxNameBytes));
}

}  // namespace graupel::hef
