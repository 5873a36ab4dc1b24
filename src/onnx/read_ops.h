// The tables of operators the reader knows. Test: reader_test.cc.
#pragma once

#include <span>
#include <string_view>

#include "onnx/node_reader.h"

namespace graupel::onnx {

// Operator `type` of the standard domain. `read` refuses through node.attributes.refuse.
struct OpReader {
  std::string_view type;
  int64_t since;  // first opset that has the operator
  ir::Op (*read)(NodeReader& node);
};

std::span<const OpReader> math_readers();
std::span<const OpReader> layer_readers();
std::span<const OpReader> shape_readers();
std::span<const OpReader> composite_readers();

}  // namespace graupel::onnx
