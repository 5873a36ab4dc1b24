// Inside the onnx room only: protobuf messages <-> tensors and types, and bounded parsing.
// Public callers use onnx/onnx.h, which shows no protobuf type. Test: reader_test.cc.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::onnx {

// ONNX's TensorProto::DataType <-> DType; nullopt for strings, complex, float8, 4-bit types.
std::optional<DType> dtype_from_onnx(int32_t data_type);
int32_t dtype_to_onnx(DType dtype);
// "string", "float8e4m3fn", ...: for messages.
std::string onnx_type_name(int32_t data_type);

// Parse with protobuf's messages kept off stderr. Error kCorrupt.
Result<::onnx::ModelProto> parse_model_proto(std::string_view bytes);
Result<::onnx::ModelProto> read_model_proto(const std::string& path);

// Where external data may lie; empty: nowhere.
struct DataFolder {
  std::string path;
};
// Takes the bytes out of `proto` (raw data is moved, not copied). Errors: kCorrupt when the sizes
// contradict each other, kUnsupported for a type without DType, kInvalidInput or kIo for external
// data.
Result<Tensor> take_tensor(::onnx::TensorProto& proto, const DataFolder& folder);
void put_tensor(const Tensor& tensor, const std::string& name, ::onnx::TensorProto& proto);

// Bytes in a deterministic order.
std::string serialize(const google::protobuf::MessageLite& message);

}  // namespace graupel::onnx
