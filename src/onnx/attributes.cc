// The attributes of one ONNX node, read by name and checked for type. See attributes.h.
// Reference: AttributeProto in onnx.proto. Test: reader_test.cc.
#include "onnx/attributes.h"

#include <fmt/format.h>

namespace graupel::onnx {

using ::onnx::AttributeProto;

AttributeProto* Attributes::find(std::string_view name) const {
  for (AttributeProto& attribute : *node_->mutable_attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

AttributeProto* Attributes::ask(std::string_view name, AttributeProto::AttributeType type) {
  asked_.emplace(name);
  AttributeProto* const attribute = find(name);
  if (attribute == nullptr) return nullptr;
  // Files of IR version 1 leave the type out.
  if (attribute->has_type() && attribute->type() != type) {
    refuse(fmt::format("attribute '{}' has type {}, expected {}", name,
                       AttributeProto::AttributeType_Name(attribute->type()),
                       AttributeProto::AttributeType_Name(type)));
    return nullptr;
  }
  return attribute;
}

int64_t Attributes::integer(std::string_view name, int64_t fallback) {
  const AttributeProto* const attribute = ask(name, AttributeProto::INT);
  return attribute == nullptr ? fallback : attribute->i();
}

double Attributes::real(std::string_view name, double fallback) {
  const AttributeProto* const attribute = ask(name, AttributeProto::FLOAT);
  // ONNX attributes are float32, so that is what a default is, too.
  return attribute == nullptr ? static_cast<float>(fallback) : attribute->f();
}

std::string Attributes::text(std::string_view name, std::string_view fallback) {
  const AttributeProto* const attribute = ask(name, AttributeProto::STRING);
  return attribute == nullptr ? std::string(fallback) : attribute->s();
}

std::optional<ir::Ints> Attributes::ints(std::string_view name) {
  const AttributeProto* const attribute = ask(name, AttributeProto::INTS);
  if (attribute == nullptr) return std::nullopt;
  return ir::Ints(attribute->ints().begin(), attribute->ints().end());
}

std::optional<std::vector<float>> Attributes::floats(std::string_view name) {
  const AttributeProto* const attribute = ask(name, AttributeProto::FLOATS);
  if (attribute == nullptr) return std::nullopt;
  return std::vector<float>(attribute->floats().begin(), attribute->floats().end());
}

::onnx::TensorProto* Attributes::tensor(std::string_view name) {
  AttributeProto* const attribute = ask(name, AttributeProto::TENSOR);
  return attribute == nullptr ? nullptr : attribute->mutable_t();
}

void Attributes::refuse(std::string why) {
  if (!refusal_) refusal_ = std::move(why);
}

Result<void> Attributes::status() const {
  if (refusal_) return unsupported("", *refusal_);
  for (const AttributeProto& attribute : node_->attribute()) {
    if (!attribute.ref_attr_name().empty()) {
      return unsupported("", "attribute '" + attribute.name() + "' refers to a function's");
    }
    if (!asked_.contains(attribute.name())) {
      return unsupported(
          "", "attribute '" + attribute.name() + "' is not known for this operator in this opset");
    }
  }
  return ok();
}

}  // namespace graupel::onnx
