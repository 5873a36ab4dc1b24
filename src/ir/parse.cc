// parse: a graph from its text form.
//
//   graph NAME opset 17 ir 8 {
//     metadata "key" = "value"
//     input x: float32[1x9x2x100]
//     const w: float32[32x9x1x7] = CONTENTS
//     "/conv1/Conv": Conv{pads=[0, 3, 0, 3], group=1}(x, w, _) -> y: float32[1x32x2x100]
//     output y
//   }
//
// A name is an identifier or a quoted string; `_` is an omitted input or output; `?` stands for an
// unknown shape. CONTENTS is [1, -1.5, ...], `splat 0.5` or `hex:` and the bytes. An operator
// without semantics is written `opaque Type{...}(...)`. Attributes left out have their defaults.
// For graphs written by hand the types of a node's outputs may be left out and are inferred.
// Line breaks are spaces; # starts a comment until the end of the line.
//
// Idea: one pass, one character of look-ahead, no recursion; memory stays within a small multiple
// of the text plus the budget for splats. Names are defined before they are used, so the graph is
// in topological order; types are not checked (verify does).
// Test: text_test.cc, fuzz/ir_text_fuzz.cc.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "ir/graph.h"
#include "ir/infer.h"
#include "ir/op_fields.h"
#include "ir/text.h"

namespace graupel::ir {
namespace {

struct TypeText {
  DType dtype = DType::kFloat32;
  std::optional<Shape> shape;
};

// Appends the element that `token` spells; false if it spells none of that dtype.
template <class T>
bool append_element(std::string_view token, std::string& bytes) {
  T value{};
  const char* const end = token.data() + token.size();
  const auto [next, status] = std::from_chars(token.data(), end, value);
  if (status != std::errc() || next != end) return false;
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return true;
}

bool append_element(DType dtype, std::string_view token, std::string& bytes) {
  switch (dtype) {
    case DType::kFloat32: return append_element<float>(token, bytes);
    case DType::kFloat64: return append_element<double>(token, bytes);
    case DType::kFloat16:
    case DType::kBFloat16: return false;
    case DType::kInt8: return append_element<int8_t>(token, bytes);
    case DType::kInt16: return append_element<int16_t>(token, bytes);
    case DType::kInt32: return append_element<int32_t>(token, bytes);
    case DType::kInt64: return append_element<int64_t>(token, bytes);
    case DType::kUInt8: return append_element<uint8_t>(token, bytes);
    case DType::kUInt16: return append_element<uint16_t>(token, bytes);
    case DType::kUInt32: return append_element<uint32_t>(token, bytes);
    case DType::kUInt64: return append_element<uint64_t>(token, bytes);
    case DType::kBool: return append_element<uint8_t>(token, bytes);
  }
  return false;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Graph> parse() {
    TRY(expect_word("graph"));
    TRY_ASSIGN(graph_.name, name());
    TRY(expect_word("opset"));
    TRY_ASSIGN(graph_.source_opset, number<int64_t>());
    TRY(expect_word("ir"));
    TRY_ASSIGN(graph_.source_ir_version, number<int64_t>());
    TRY(expect('{'));
    while (!accept('}')) TRY(statement());
    if (peek() != '\0' || at_ < text_.size()) return error("expected nothing after '}'");
    return std::move(graph_);
  }

  // ---- values of attributes, by the type of the field ----

  Result<void> field(int64_t& out) { return number_into(out); }
  Result<void> field(double& out) { return number_into(out); }
  Result<void> field(bool& out) {
    TRY_ASSIGN(const int64_t value, number<int64_t>());
    if (value != 0 && value != 1) return error("expected 0 or 1");
    out = value == 1;
    return ok();
  }
  Result<void> field(Ints& out) {
    out.clear();
    TRY(expect('['));
    while (!accept(']')) {
      if (!out.empty()) TRY(expect(','));
      TRY_ASSIGN(const int64_t entry, number<int64_t>());
      out.push_back(entry);
    }
    return ok();
  }
  Result<void> field(std::optional<int64_t>& out) {
    out.reset();
    if (accept_word("none")) return ok();
    TRY_ASSIGN(out, number<int64_t>());
    return ok();
  }
  Result<void> field(DType& out) {
    const std::string_view word = take_word();
    const std::optional<DType> dtype = parse_dtype(word);
    if (!dtype) {
      at_ -= word.size();
      return error(fmt::format("'{}' is no element type", word));
    }
    out = *dtype;
    return ok();
  }
  Result<void> field(std::string& out) {
    TRY_ASSIGN(out, quoted());
    return ok();
  }
  Result<void> field(Tensor& out) {
    TRY_ASSIGN(const TypeText read, type());
    if (!read.shape) return error("expected a known shape");
    TRY_ASSIGN(out, contents(read.dtype, *read.shape));
    return ok();
  }
  template <class Kind>
  Result<void> field(Kind& out) requires std::is_enum_v<Kind> {
    const std::string_view word = take_word();
    for (int i = 0; to_string(static_cast<Kind>(i)) != "?"; ++i) {
      if (to_string(static_cast<Kind>(i)) != word) continue;
      out = static_cast<Kind>(i);
      return ok();
    }
    at_ -= word.size();
    return error(fmt::format("'{}' is no value of this attribute", word));
  }

 private:
  Error error(std::string what) const {
    const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const size_t line_start =
        before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    return invalid_input(
        fmt::format("line {}, column {}", lines + 1, before.size() - line_start + 1),
        std::move(what));
  }

  // ---- characters and words ----

  // The next character that is not white space or comment; '\0' at the end.
  char peek() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
        ++at_;
      } else {
        return c;
      }
    }
    return '\0';
  }
  bool accept(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  Result<void> expect(char c) {
    if (accept(c)) return ok();
    return error(fmt::format("expected '{}'", c));
  }
  // Letters, digits, '_' and '.'; empty if there are none.
  std::string_view peek_word() {
    if (!text::starts_identifier(peek())) return {};
    size_t end = at_;
    while (end < text_.size() && text::continues_identifier(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  std::string_view take_word() {
    const std::string_view word = peek_word();
    at_ += word.size();
    return word;
  }
  bool accept_word(std::string_view word) {
    if (peek_word() != word) return false;
    at_ += word.size();
    return true;
  }
  Result<void> expect_word(std::string_view word) {
    if (accept_word(word)) return ok();
    return error(fmt::format("expected '{}'", word));
  }
  // The characters a number may hold; from_chars judges them.
  std::string_view number_token() {
    peek();
    size_t end = at_;
    while (end < text_.size() &&
           (text::continues_identifier(text_[end]) || text_[end] == '-' || text_[end] == '+')) {
      ++end;
    }
    const std::string_view token = text_.substr(at_, end - at_);
    at_ = end;
    return token;
  }
  template <class T>
  Result<T> number() {
    const std::string_view token = number_token();
    T value{};
    const char* const end = token.data() + token.size();
    const auto [next, status] = std::from_chars(token.data(), end, value);
    if (status == std::errc() && next == end) return value;
    at_ -= token.size();
    return error("expected a number");
  }
  template <class T>
  Result<void> number_into(T& out) {
    TRY_ASSIGN(out, number<T>());
    return ok();
  }

  // ---- names and types ----

  Result<std::string> quoted() {
    TRY(expect('"'));
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\') {
        const char escape = at_ < text_.size() ? text_[at_++] : '\0';
        if (escape == 'x' && text_.size() - at_ >= 2) {
          const int high = hex_digit(text_[at_]);
          const int low = hex_digit(text_[at_ + 1]);
          if (high < 0 || low < 0) return error("expected two hexadecimal digits after \\x");
          at_ += 2;
          c = static_cast<char>(high * 16 + low);
        } else if (escape == '"' || escape == '\\') {
          c = escape;
        } else {
          return error("expected \\\\, \\\" or \\xHH after a backslash");
        }
      }
      out += c;
    }
    if (at_ >= text_.size()) return error("the string does not end");
    ++at_;
    return out;
  }
  Result<std::string> name() {
    if (peek() == '"') return quoted();
    const std::string_view word = peek_word();
    if (!text::is_identifier(word)) return error("expected a name");
    at_ += word.size();
    return std::string(word);
  }

  Result<TypeText> type() {
    TypeText out;
    TRY(field(out.dtype));
    TRY(expect('['));
    if (accept('?')) {
      TRY(expect(']'));
      return out;
    }
    out.shape.emplace();
    while (!accept(']')) {
      if (!out.shape->empty()) TRY(expect('x'));
      peek();
      int64_t dim = 0;
      const auto [next, status] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), dim);
      if (status != std::errc() || dim < 0) return error("expected a size");
      at_ = static_cast<size_t>(next - text_.data());
      out.shape->push_back(dim);
    }
    if (!element_count(*out.shape, infer::kMaxElements)) {
      return error("the shape has more than 2^40 elements");
    }
    return out;
  }

  // ---- contents of constants ----

  Result<Tensor> contents(DType dtype, const Shape& shape) {
    std::string bytes;
    if (peek() == '[') {
      TRY_ASSIGN(bytes, listed(dtype));
    } else if (accept_word("splat")) {
      TRY_ASSIGN(bytes, splat(dtype, shape));
    } else if (accept_word("hex")) {
      TRY(expect(':'));
      TRY_ASSIGN(bytes, hex());
    } else if (peek_word() == "elided") {
      return error("the constant is elided; print the graph with all its constants");
    } else {
      return error("expected [, splat or hex:");
    }
    if (dtype == DType::kBool &&
        std::any_of(bytes.begin(), bytes.end(), [](char c) { return c != '\0' && c != '\1'; })) {
      return error("a bool is neither 0 nor 1");
    }
    Result<Tensor> tensor = Tensor::adopt(dtype, shape, Buffer(std::move(bytes)));
    if (tensor.ok()) return tensor;
    return error(tensor.error().what);
  }
  Result<std::string> listed(DType dtype) {
    std::string bytes;
    TRY(expect('['));
    while (!accept(']')) {
      if (!bytes.empty()) TRY(expect(','));
      TRY(element(dtype, bytes));
    }
    return bytes;
  }
  Result<void> element(DType dtype, std::string& bytes) {
    const std::string_view token = number_token();
    if (append_element(dtype, token, bytes)) return ok();
    at_ -= token.size();
    return error(fmt::format("expected a number of type {}", to_string(dtype)));
  }
  Result<std::string> splat(DType dtype, const Shape& shape) {
    std::string one;
    TRY(element(dtype, one));
    const int64_t count = element_count(shape).value_or(0);
    const size_t left = text::kSplatBytes - splat_bytes_;
    if (static_cast<uint64_t>(count) > left / one.size()) {
      return error(fmt::format("the splats of a graph hold more than {} bytes", text::kSplatBytes));
    }
    std::string bytes;
    bytes.reserve(static_cast<size_t>(count) * one.size());
    for (int64_t i = 0; i < count; ++i) bytes += one;
    splat_bytes_ += bytes.size();
    return bytes;
  }
  Result<std::string> hex() {
    std::string bytes;
    while (at_ < text_.size() && hex_digit(text_[at_]) >= 0) {
      const int low = at_ + 1 < text_.size() ? hex_digit(text_[at_ + 1]) : -1;
      if (low < 0) return error("expected an even number of hexadecimal digits");
      bytes += static_cast<char>(hex_digit(text_[at_]) * 16 + low);
      at_ += 2;
    }
    return bytes;
  }

  // ---- statements ----

  Result<void> statement() {
    if (accept_word("metadata")) {
      TRY_ASSIGN(const std::string key, quoted());
      TRY(expect('='));
      TRY_ASSIGN(graph_.metadata[key], quoted());
      return ok();
    }
    if (accept_word("input")) {
      TRY_ASSIGN(const ValueId id, defined_value());
      TRY(expect(':'));
      TRY(typed(id));
      graph_.inputs.push_back(id);
      return ok();
    }
    if (accept_word("output")) {
      TRY_ASSIGN(const ValueId id, reference());
      graph_.outputs.push_back(id);
      return ok();
    }
    if (accept_word("const")) return constant();
    return node();
  }

  Result<void> constant() {
    TRY_ASSIGN(const ValueId id, defined_value());
    TRY(expect(':'));
    TRY(typed(id));
    TRY(expect('='));
    Value& value = graph_.value(id);
    if (!value.shape) return error("a constant has a known shape");
    TRY_ASSIGN(value.constant, contents(value.dtype, *value.shape));
    return ok();
  }

  // A new value by the name that comes next.
  Result<ValueId> defined_value() {
    TRY_ASSIGN(std::string text, name());
    if (graph_.values.size() >= (size_t{1} << 30)) return error("too many values");
    if (!ids_.emplace(text, ValueId(graph_.values.size())).second) {
      return error(fmt::format("'{}' is defined twice", text));
    }
    return add_value(graph_, {std::move(text), DType::kFloat32, std::nullopt, std::nullopt});
  }
  Result<void> typed(ValueId id) {
    TRY_ASSIGN(const TypeText read, type());
    graph_.value(id).dtype = read.dtype;
    graph_.value(id).shape = read.shape;
    return ok();
  }
  Result<ValueId> reference() {
    TRY_ASSIGN(const std::string text, name());
    const auto found = ids_.find(text);
    if (found != ids_.end()) return found->second;
    return error(fmt::format("'{}' is not defined above", text));
  }

  Result<void> node() {
    Node node;
    TRY_ASSIGN(node.name, name());
    if (!node_names_.insert(node.name).second) {
      return error(fmt::format("two nodes are called '{}'", node.name));
    }
    TRY(expect(':'));
    TRY_ASSIGN(node.op, op());
    TRY(expect('('));
    while (!accept(')')) {
      if (!node.inputs.empty()) TRY(expect(','));
      if (accept_word("_")) {
        node.inputs.emplace_back();
        continue;
      }
      TRY_ASSIGN(const ValueId id, reference());
      node.inputs.push_back(id);
    }
    TRY_ASSIGN(const bool all_typed, outputs(node));
    if (!all_typed) TRY(infer_outputs(node));
    graph_.nodes.push_back(std::move(node));
    return ok();
  }

  // "-> y: float32[1], z"; whether each output has its type written.
  Result<bool> outputs(Node& node) {
    if (!accept('-')) return true;
    TRY(expect('>'));
    bool all_typed = true;
    do {
      if (accept_word("_")) {
        node.outputs.emplace_back();
        continue;
      }
      TRY_ASSIGN(const ValueId id, defined_value());
      node.outputs.push_back(id);
      const bool has_type = accept(':');
      if (has_type) TRY(typed(id));
      all_typed = all_typed && has_type;
    } while (accept(','));
    return all_typed;
  }

  Result<void> infer_outputs(const Node& node) {
    std::vector<OperandType> operands;
    for (const ValueId id : node.inputs) {
      if (id.valid()) {
        const Value& value = graph_.value(id);
        operands.push_back({value.dtype, value.shape, graph_.constant(id), false});
      } else {
        operands.push_back({DType::kFloat32, std::nullopt, nullptr, true});
      }
    }
    const Result<std::vector<ValueType>> types =
        infer_types(node.op, operands, node.outputs.size());
    if (!types.ok()) return error(fmt::format("{}: {}", node.name, types.error().what));
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (!node.outputs[i].valid()) continue;
      graph_.value(node.outputs[i]).dtype = (*types)[i].dtype;
      graph_.value(node.outputs[i]).shape = (*types)[i].shape;
    }
    return ok();
  }

  Result<Op> op() {
    const bool opaque = accept_word("opaque");
    TRY_ASSIGN(const std::string type, name());
    Op op;
    if (opaque) {
      Opaque unknown;
      unknown.type = type;
      op = std::move(unknown);
    } else {
      std::optional<Op> known = make_op(type);
      if (!known) return error(fmt::format("no operator is called '{}'", type));
      op = std::move(*known);
    }
    if (!accept('{')) return op;
    do {
      TRY(attribute(op));
    } while (accept(','));
    TRY(expect('}'));
    return op;
  }

  Result<void> attribute(Op& op) {
    const std::string wanted(take_word());
    TRY(expect('='));
    Result<void> parsed = error(fmt::format("{} has no attribute '{}'", op_type(op), wanted));
    const auto assign = [&](std::string_view name, auto& value) {
      if (name == wanted) parsed = field(value);
    };
    visit_fields(op, assign);
    return parsed;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t splat_bytes_ = 0;
  Graph graph_;
  std::unordered_map<std::string, ValueId> ids_;
  std::unordered_set<std::string> node_names_;
};

}  // namespace

Result<Graph> parse(std::string_view text) { return Parser(text).parse(); }

}  // namespace graupel::ir
