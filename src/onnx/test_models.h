// Small ONNX models for tests, built through protobuf.
#pragma once

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

namespace graupel::onnx {

struct TestModel {
  explicit TestModel(int64_t opset) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(opset);
    model.mutable_graph()->set_name("test");
  }

  // A dimension of 0 is left open.
  void put(::onnx::ValueInfoProto& info, const std::string& name, const std::vector<int64_t>& dims,
           int type = 1) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    for (const int64_t dim : dims) {
      auto& slot = *tensor.mutable_shape()->add_dim();
      if (dim > 0) {
        slot.set_dim_value(dim);
      } else {
        slot.set_dim_param("N");
      }
    }
  }
  TestModel& input(const std::string& name, const std::vector<int64_t>& dims, int type = 1) {
    put(*model.mutable_graph()->add_input(), name, dims, type);
    return *this;
  }
  TestModel& output(const std::string& name, int type = 1) {
    auto& info = *model.mutable_graph()->add_output();
    info.set_name(name);
    info.mutable_type()->mutable_tensor_type()->set_elem_type(type);
    return *this;
  }
  TestModel& ints(const std::string& name, const std::vector<int64_t>& values) {
    auto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(7);
    tensor.add_dims(static_cast<int64_t>(values.size()));
    for (const int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }
  TestModel& floats(const std::string& name, const std::vector<int64_t>& dims, float value) {
    auto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(1);
    int64_t count = 1;
    for (const int64_t dim : dims) {
      tensor.add_dims(dim);
      count *= dim;
    }
    for (int64_t i = 0; i < count; ++i) tensor.add_float_data(value);
    return *this;
  }
  TestModel& node(const std::string& type, const std::vector<std::string>& inputs,
                  const std::vector<std::string>& outputs) {
    auto& added = *model.mutable_graph()->add_node();
    added.set_op_type(type);
    for (const std::string& name : inputs) added.add_input(name);
    for (const std::string& name : outputs) added.add_output(name);
    return *this;
  }
  // Attributes of the node added last.
  ::onnx::AttributeProto& attribute(const std::string& name,
                                    ::onnx::AttributeProto::AttributeType type) {
    auto& added =
        *model.mutable_graph()->mutable_node(model.graph().node_size() - 1)->add_attribute();
    added.set_name(name);
    added.set_type(type);
    return added;
  }
  TestModel& with(const std::string& name, int64_t value) {
    attribute(name, ::onnx::AttributeProto::INT).set_i(value);
    return *this;
  }
  TestModel& with(const std::string& name, const std::vector<int64_t>& values) {
    auto& added = attribute(name, ::onnx::AttributeProto::INTS);
    for (const int64_t value : values) added.add_ints(value);
    return *this;
  }
  TestModel& with(const std::string& name, double value) {
    attribute(name, ::onnx::AttributeProto::FLOAT).set_f(static_cast<float>(value));
    return *this;
  }
  TestModel& with(const std::string& name, const char* value) {
    attribute(name, ::onnx::AttributeProto::STRING).set_s(value);
    return *this;
  }
  std::string bytes() const { return model.SerializeAsString(); }

  ::onnx::ModelProto model;
};

}  // namespace graupel::onnx
