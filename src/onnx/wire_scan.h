// A look at a model's wire format before protobuf builds objects from it.
// Test: hostile_test.cc.
#pragma once

#include <string_view>

#include "base/result.h"

namespace graupel::onnx {

// Refuses bytes that are no protobuf encoding of a ModelProto, nest too deeply, or whose many tiny
// parts would take more than 64 MiB + 3 times their own size in memory. Error kCorrupt.
Result<void> check_structure(std::string_view bytes);

}  // namespace graupel::onnx
