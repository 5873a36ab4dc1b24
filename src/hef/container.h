// The container of a HEF: header, length, checksum. For hef.cc.
#pragma once

#include <string_view>

#include "base/result.h"
#include "hef/hef.h"

namespace graupel::hef {

// Fills the fields of `hef` that the header holds and gives the protobuf. Errors as read_hef's.
Result<std::string_view> open_container(std::string_view bytes, Hef& hef);

}  // namespace graupel::hef
