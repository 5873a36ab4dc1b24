// print: the text form of a graph. The grammar is in parse.cc.
//
// Idea: one line per input, constant, node and output; attributes that have their default value
// are left out. Any graph can be printed, also one that verify refuses.
// Test: text_test.cc, fuzz/ir_text_fuzz.cc.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ir/graph.h"
#include "ir/op_fields.h"
#include "ir/text.h"

namespace graupel::ir {
namespace {

std::string quoted(std::string_view raw) {
  std::string out = "\"";
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string name_text(std::string_view name) {
  return text::is_identifier(name) ? std::string(name) : quoted(name);
}

std::string type_text(DType dtype, const std::optional<Shape>& shape) {
  std::string out(to_string(dtype));
  out += '[';
  if (!shape) out += '?';
  for (size_t i = 0; shape && i < shape->size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "x" : "", (*shape)[i]);
  }
  return out + ']';
}

template <class T>
std::string element_text(const std::byte* bytes) {
  T value{};
  std::memcpy(&value, bytes, sizeof(T));
  return fmt::format("{}", value);
}

// The number at `bytes`, or "" where a number would not keep every bit (half formats, NaN).
std::string element_text(DType dtype, const std::byte* bytes) {
  switch (dtype) {
    case DType::kFloat32: {
      float value = 0;
      std::memcpy(&value, bytes, sizeof(value));
      return std::isfinite(value) ? fmt::format("{}", value) : "";
    }
    case DType::kFloat64: {
      double value = 0;
      std::memcpy(&value, bytes, sizeof(value));
      return std::isfinite(value) ? fmt::format("{}", value) : "";
    }
    case DType::kFloat16:
    case DType::kBFloat16: return "";
    case DType::kInt8: return fmt::format("{}", static_cast<int>(static_cast<int8_t>(*bytes)));
    case DType::kInt16: return element_text<int16_t>(bytes);
    case DType::kInt32: return element_text<int32_t>(bytes);
    case DType::kInt64: return element_text<int64_t>(bytes);
    case DType::kUInt8:
    case DType::kBool: return fmt::format("{}", static_cast<int>(*bytes));
    case DType::kUInt16: return element_text<uint16_t>(bytes);
    case DType::kUInt32: return element_text<uint32_t>(bytes);
    case DType::kUInt64: return element_text<uint64_t>(bytes);
  }
  return "";
}

bool all_equal(const Tensor& tensor) {
  const size_t width = element_size_bytes(tensor.dtype());
  return tensor.size() > 0 &&
         std::memcmp(tensor.bytes(), tensor.bytes() + width, tensor.size_bytes() - width) == 0;
}

std::string hex_text(const Tensor& tensor) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "hex:";
  out.reserve(4 + 2 * tensor.size_bytes());
  for (size_t i = 0; i < tensor.size_bytes(); ++i) {
    const auto byte = static_cast<unsigned>(tensor.bytes()[i]);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

class Printer {
 public:
  Printer(const Graph& graph, Constants constants) : graph_(graph), constants_(constants) {}

  std::string print() {
    line("graph {} opset {} ir {} {{", name_text(graph_.name), graph_.source_opset,
         graph_.source_ir_version);
    for (const auto& [key, value] : graph_.metadata) {
      line("  metadata {} = {}", quoted(key), quoted(value));
    }
    for (const ValueId id : graph_.inputs) line("  input {}", definition(id));
    for (const Value& value : graph_.values) {
      if (!value.constant) continue;
      const Tensor& tensor = *value.constant;
      line("  const {}: {} = {}", name_text(value.name), type_text(tensor.dtype(), tensor.shape()),
           contents(tensor));
    }
    for (const Node& node : graph_.nodes) {
      if (!node.dead) print_node(node);
    }
    for (const ValueId id : graph_.outputs) line("  output {}", reference(id));
    out_ += "}\n";
    return std::move(out_);
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  bool exists(ValueId id) const { return id.valid() && id.index() < graph_.values.size(); }

  std::string reference(ValueId id) const {
    return exists(id) ? name_text(graph_.value(id).name) : "_";
  }

  std::string definition(ValueId id) const {
    if (!exists(id)) return "_";
    const Value& value = graph_.value(id);
    return name_text(value.name) + ": " + type_text(value.dtype, value.shape);
  }

  std::string contents(const Tensor& tensor) {
    const size_t width = element_size_bytes(tensor.dtype());
    const size_t bytes = tensor.size_bytes();
    if (tensor.size() <= text::kReadableElements) {
      std::string out = "[";
      bool readable = true;
      for (size_t i = 0; i < tensor.size() && readable; ++i) {
        const std::string element = element_text(tensor.dtype(), tensor.bytes() + i * width);
        readable = !element.empty();
        out += (i > 0 ? ", " : "") + element;
      }
      if (readable) return out + "]";
    } else if (bytes <= text::kSplatBytes - splat_bytes_ && all_equal(tensor)) {
      const std::string element = element_text(tensor.dtype(), tensor.bytes());
      if (!element.empty()) {
        splat_bytes_ += bytes;
        return "splat " + element;
      }
    }
    return constants_ == Constants::kElided ? "elided" : hex_text(tensor);
  }

  std::string field(int64_t value) { return fmt::format("{}", value); }
  std::string field(double value) { return fmt::format("{}", value); }
  std::string field(bool value) { return value ? "1" : "0"; }
  std::string field(const Ints& value) { return fmt::format("[{}]", fmt::join(value, ", ")); }
  std::string field(const std::optional<int64_t>& value) {
    return value ? fmt::format("{}", *value) : "none";
  }
  std::string field(DType value) { return std::string(to_string(value)); }
  std::string field(const std::string& value) { return quoted(value); }
  std::string field(const Tensor& value) {
    return type_text(value.dtype(), value.shape()) + " " + contents(value);
  }
  template <class Kind>
  std::string field(Kind value) requires std::is_enum_v<Kind> {
    return std::string(to_string(value));
  }

  using Fields = std::vector<std::pair<std::string_view, std::string>>;
  Fields fields_of(Op op) {
    Fields fields;
    const auto collect = [&](std::string_view name, const auto& value) {
      fields.emplace_back(name, field(value));
    };
    visit_fields(op, collect);
    return fields;
  }

  // "Conv{group=2}"; fields with their default value are left out.
  std::string op_text(const Op& op) {
    const bool opaque = std::holds_alternative<Opaque>(op);
    const std::optional<Op> plain = opaque ? Op(Opaque{}) : make_op(op_type(op));
    const Fields fields = fields_of(op);
    const Fields defaults = plain ? fields_of(*plain) : Fields();
    std::string out = (opaque ? "opaque " : "") + name_text(op_type(op));
    std::string list;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i < defaults.size() && fields[i] == defaults[i]) continue;
      fmt::format_to(std::back_inserter(list), "{}{}={}", list.empty() ? "" : ", ", fields[i].first,
                     fields[i].second);
    }
    return list.empty() ? out : out + "{" + list + "}";
  }

  void print_node(const Node& node) {
    std::string inputs;
    for (const ValueId id : node.inputs) inputs += (inputs.empty() ? "" : ", ") + reference(id);
    std::string outputs;
    for (const ValueId id : node.outputs) {
      outputs += (outputs.empty() ? " -> " : ", ") + definition(id);
    }
    line("  {}: {}({}){}", name_text(node.name), op_text(node.op), inputs, outputs);
  }

  const Graph& graph_;
  Constants constants_;
  size_t splat_bytes_ = 0;
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph, Constants constants) {
  return Printer(graph, constants).print();
}

}  // namespace graupel::ir
