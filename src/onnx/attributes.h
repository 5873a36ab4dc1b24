// The attributes of one ONNX node, read by name and checked for type.
//
// Idea: like ByteReader, the first wrong attribute is remembered and later reads give defaults, so
// an operator's reader asks for everything and the caller checks once. Attributes that nobody asked
// for are an error: they might change what the operator means.
// Test: reader_test.cc.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ir/ops.h"
#include "onnx/proto.h"

namespace graupel::onnx {

class Attributes {
 public:
  explicit Attributes(::onnx::NodeProto& node) : node_(&node) {}

  bool has(std::string_view name) const { return find(name) != nullptr; }
  int64_t integer(std::string_view name, int64_t fallback);
  bool flag(std::string_view name, bool fallback) { return integer(name, fallback ? 1 : 0) != 0; }
  double real(std::string_view name, double fallback);
  std::string text(std::string_view name, std::string_view fallback);
  std::optional<ir::Ints> ints(std::string_view name);
  std::optional<std::vector<float>> floats(std::string_view name);
  ::onnx::TensorProto* tensor(std::string_view name);  // nullptr if absent
  // Known, and without influence on inference results.
  void ignore(std::string_view name) { asked_.emplace(name); }
  // Refuses the node: the first refusal stays.
  void refuse(std::string why);

  // The first refusal, or an attribute nobody asked for.
  Result<void> status() const;

 private:
  ::onnx::AttributeProto* find(std::string_view name) const;
  // The attribute if present and of that type.
  ::onnx::AttributeProto* ask(std::string_view name, ::onnx::AttributeProto::AttributeType type);

  ::onnx::NodeProto* node_;
  std::set<std::string, std::less<>> asked_;
  std::optional<std::string> refusal_;
};

}  // namespace graupel::onnx
