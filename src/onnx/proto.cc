// Protobuf messages <-> tensors and types.
//
// Idea: sizes are checked against the bytes at hand before anything is allocated, and raw tensor
// data is moved out of the message instead of being copied, so that a model's weights exist once.
// Reference: onnx.proto of ONNX 1.12; later element types are known by number for messages.
// Test: reader_test.cc, hostile_test.cc.
#include "onnx/proto.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "onnx/external_data.h"
#include "onnx/wire_scan.h"

namespace graupel::onnx {
namespace {

struct TypePair {
  int32_t onnx;
  DType dtype;
};
constexpr TypePair kTypes[] = {{1, DType::kFloat32},  {2, DType::kUInt8},   {3, DType::kInt8},
                               {4, DType::kUInt16},   {5, DType::kInt16},   {6, DType::kInt32},
                               {7, DType::kInt64},    {9, DType::kBool},    {10, DType::kFloat16},
                               {11, DType::kFloat64}, {12, DType::kUInt32}, {13, DType::kUInt64},
                               {16, DType::kBFloat16}};

constexpr std::string_view kOtherTypes[] = {"undefined",
                                            "",
                                            "",
                                            "",
                                            "",
                                            "",
                                            "",
                                            "",
                                            "string",
                                            "",
                                            "",
                                            "",
                                            "",
                                            "",
                                            "complex64",
                                            "complex128",
                                            "",
                                            "float8e4m3fn",
                                            "float8e4m3fnuz",
                                            "float8e5m2",
                                            "float8e5m2fnuz",
                                            "uint4",
                                            "int4",
                                            "float4e2m1",
                                            "float8e8m0"};

constexpr uint64_t kProtobufLimitBytes = std::numeric_limits<int32_t>::max();

Error not_a_model(const std::string& where, uint64_t size_bytes) {
  return corrupt(where, fmt::format("is not an ONNX model (protobuf cannot decode its {} bytes); "
                                    "the file is truncated, damaged or of another kind",
                                    size_bytes));
}

Error too_large(const std::string& where) {
  return unsupported(where,
                     "is larger than the 2 GiB protobuf allows; save the model with external data");
}

Result<::onnx::ModelProto> decode(google::protobuf::io::ZeroCopyInputStream& stream,
                                  const std::string& where, uint64_t size_bytes) {
  const google::protobuf::LogSilencer silence;
  google::protobuf::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(std::numeric_limits<int32_t>::max());
  ::onnx::ModelProto model;
  if (size_bytes == 0 || !model.ParsePartialFromCodedStream(&coded) ||
      !coded.ConsumedEntireMessage()) {
    return not_a_model(where, size_bytes);
  }
  if (!model.has_graph()) {
    return corrupt(where, "is not an ONNX model (a protobuf message without a graph)");
  }
  return model;
}

// Elements stored one per protobuf number: the message's numbers narrowed to the tensor's type.
template <class To, class From>
Result<Tensor> narrowed(DType dtype, const Shape& shape, int64_t count,
                        const google::protobuf::RepeatedField<From>& from) {
  if (from.size() != count) {
    return corrupt("", fmt::format("holds {} values, expected {} for shape {}", from.size(), count,
                                   to_string(shape)));
  }
  Buffer buffer(static_cast<size_t>(count) * sizeof(To));
  if (count == 0) return Tensor::adopt(dtype, shape, std::move(buffer));
  std::byte* out = buffer.mutable_data();
  for (int i = 0; i < from.size(); ++i) {
    const To value = static_cast<To>(from.Get(i));
    if constexpr (!std::is_same_v<To, From>) {
      if (static_cast<From>(value) != from.Get(i)) {
        return corrupt("", fmt::format("element {} is {}, which {} cannot hold", i, from.Get(i),
                                       to_string(dtype)));
      }
    }
    std::memcpy(out + static_cast<size_t>(i) * sizeof(To), &value, sizeof(To));
  }
  return Tensor::adopt(dtype, shape, std::move(buffer));
}

Result<Tensor> typed_tensor(const ::onnx::TensorProto& proto, DType dtype, const Shape& shape,
                            int64_t count) {
  switch (dtype) {
    case DType::kFloat32: return narrowed<float>(dtype, shape, count, proto.float_data());
    case DType::kFloat64: return narrowed<double>(dtype, shape, count, proto.double_data());
    case DType::kInt64: return narrowed<int64_t>(dtype, shape, count, proto.int64_data());
    case DType::kUInt64: return narrowed<uint64_t>(dtype, shape, count, proto.uint64_data());
    case DType::kUInt32: return narrowed<uint32_t>(dtype, shape, count, proto.uint64_data());
    case DType::kInt32: return narrowed<int32_t>(dtype, shape, count, proto.int32_data());
    case DType::kInt16: return narrowed<int16_t>(dtype, shape, count, proto.int32_data());
    case DType::kInt8: return narrowed<int8_t>(dtype, shape, count, proto.int32_data());
    case DType::kUInt8: return narrowed<uint8_t>(dtype, shape, count, proto.int32_data());
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kUInt16: return narrowed<uint16_t>(dtype, shape, count, proto.int32_data());
    case DType::kBool: return narrowed<bool>(dtype, shape, count, proto.int32_data());
  }
  return internal_error("", "unknown element type");
}

// A byte of a bool tensor is 0 or 1; other bytes would be undefined behaviour when read as bool.
Result<Tensor> adopt_raw(DType dtype, const Shape& shape, std::string bytes) {
  if (dtype == DType::kBool) {
    for (char& byte : bytes) byte = byte != 0 ? 1 : 0;
  }
  const uint64_t found = bytes.size();
  Result<Tensor> tensor = Tensor::adopt(dtype, shape, Buffer(std::move(bytes)));
  if (!tensor.ok()) {
    return corrupt("", fmt::format("holds {} bytes, which do not fit {} of shape {}", found,
                                   to_string(dtype), to_string(shape)));
  }
  return tensor;
}

Result<Tensor> take_unnamed(::onnx::TensorProto& proto, const DataFolder& folder) {
  const std::optional<DType> dtype = dtype_from_onnx(proto.data_type());
  if (!dtype) {
    return unsupported("", "has element type " + onnx_type_name(proto.data_type()) +
                               ", which graupel does not take");
  }
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const std::optional<int64_t> count = element_count(shape);
  if (!count) return corrupt("", "has a negative or overflowing shape");
  const uint64_t size_bytes = static_cast<uint64_t>(*count) * element_size_bytes(*dtype);
  if (proto.has_segment()) return unsupported("", "is stored in segments");
  if (proto.data_location() == ::onnx::TensorProto::EXTERNAL) {
    TRY_ASSIGN(std::string bytes, read_external(proto, folder, size_bytes));
    return adopt_raw(*dtype, shape, std::move(bytes));
  }
  if (!proto.has_raw_data()) return typed_tensor(proto, *dtype, shape, *count);
  std::string bytes = std::move(*proto.mutable_raw_data());
  proto.clear_raw_data();
  return adopt_raw(*dtype, shape, std::move(bytes));
}

}  // namespace

std::optional<DType> dtype_from_onnx(int32_t data_type) {
  for (const TypePair& pair : kTypes) {
    if (pair.onnx == data_type) return pair.dtype;
  }
  return std::nullopt;
}

int32_t dtype_to_onnx(DType dtype) {
  for (const TypePair& pair : kTypes) {
    if (pair.dtype == dtype) return pair.onnx;
  }
  return 0;
}

std::string onnx_type_name(int32_t data_type) {
  if (const std::optional<DType> dtype = dtype_from_onnx(data_type)) {
    return std::string(to_string(*dtype));
  }
  if (data_type >= 0 && static_cast<size_t>(data_type) < std::size(kOtherTypes)) {
    return std::string(kOtherTypes[data_type]);
  }
  return fmt::format("number {}", data_type);
}

Result<::onnx::ModelProto> parse_model_proto(std::string_view bytes) {
  if (bytes.size() > kProtobufLimitBytes) return too_large("model");
  TRY(check_structure(bytes));
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  return decode(stream, "model", bytes.size());
}

Result<::onnx::ModelProto> read_model_proto(const std::string& path) {
  TRY_ASSIGN(const MappedFile file, map_file(path));
  if (file.size() > kProtobufLimitBytes) return too_large(path);
  Result<::onnx::ModelProto> model = parse_model_proto(file.bytes());
  if (!model.ok()) return Error{model.error().code, path, model.error().what};
  return model;
}

Result<Tensor> take_tensor(::onnx::TensorProto& proto, const DataFolder& folder) {
  Result<Tensor> tensor = take_unnamed(proto, folder);
  if (!tensor.ok()) return std::move(tensor).error().within("tensor '" + proto.name() + "'");
  return tensor;
}

void put_tensor(const Tensor& tensor, const std::string& name, ::onnx::TensorProto& proto) {
  proto.set_name(name);
  proto.set_data_type(dtype_to_onnx(tensor.dtype()));
  for (const int64_t dim : tensor.shape()) proto.add_dims(dim);
  if (tensor.size() == 0) {
    proto.set_raw_data("");
  } else {
    proto.set_raw_data(tensor.bytes(), tensor.size_bytes());
  }
}

std::string serialize(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace graupel::onnx
