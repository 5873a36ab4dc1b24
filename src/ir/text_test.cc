// The text form: every operator with every attribute changed goes through print and parse
// unchanged; malformed text is refused with its line and never crashes.
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "base/rng.h"
#include "ir/graph.h"
#include "ir/op_fields.h"
#include "ir/testing.h"

namespace graupel::ir {
namespace {

// Changes each field to a value that is not its default.
struct Change {
  void operator()(std::string_view, int64_t& value) { value = value * 3 + 7; }
  void operator()(std::string_view, double& value) { value = value / 3 + 1e-17; }
  void operator()(std::string_view, bool& value) { value = !value; }
  void operator()(std::string_view, Ints& value) {
    value = {1, -2, std::numeric_limits<int64_t>::min()};
  }
  void operator()(std::string_view, std::optional<int64_t>& value) { value = -1; }
  void operator()(std::string_view, DType& value) { value = DType::kBFloat16; }
  void operator()(std::string_view, Tensor& value) { value = Tensor::of<int8_t>({1}, {-128}); }
  void operator()(std::string_view, std::string& value) {
    value = std::string("a\"\\\n\0\x7f\xff", 7);
  }
  template <class Kind>
  void operator()(std::string_view, Kind& value) {
    value = static_cast<Kind>(1);
  }
};

// Parses the print of a graph with that operator and gives back the operator.
Op through_text(const Op& op) {
  Graph graph;
  const ValueId x = add_input(graph, "x", DType::kFloat32, {2});
  const ValueId y = add_value(graph, {"y", DType::kFloat32, std::nullopt, std::nullopt});
  graph.nodes.push_back({"n", op, {x, ValueId()}, {ValueId(), y}, false});
  const std::string text = print(graph);
  const Graph parsed = graph_of(text);
  EXPECT_EQ(print(parsed), text);
  if (parsed.nodes.size() != 1) return Opaque{};
  EXPECT_FALSE(parsed.nodes[0].inputs[1].valid());
  EXPECT_FALSE(parsed.nodes[0].outputs[0].valid());
  return parsed.nodes[0].op;
}

TEST(Text, EveryOperatorKeepsDefaultAndChangedAttributes) {
  std::vector<Op> ops = default_ops();
  Opaque opaque;
  opaque.type = "Non Max\"Suppression";
  ops.emplace_back(opaque);
  for (const Op& op : ops) {
    SCOPED_TRACE(op_type(op));
    EXPECT_TRUE(through_text(op) == op);
    Op changed = op;
    Change change;
    visit_fields(changed, change);
    EXPECT_TRUE(through_text(changed) == changed);
  }
}

TEST(Text, DefaultsCoverTheVariantAndNamesAreDistinct) {
  std::set<size_t> alternatives;
  std::set<std::string_view> names;
  const std::vector<Op> ops = default_ops();
  for (const Op& op : ops) {
    alternatives.insert(op.index());
    EXPECT_TRUE(names.insert(op_type(op)).second) << op_type(op);
    EXPECT_TRUE(make_op(op_type(op)) == op);
  }
  EXPECT_EQ(alternatives.size(), std::variant_size_v<Op> - 1);  // all but Opaque
  EXPECT_FALSE(make_op("NoSuchOperator").has_value());
}

TEST(Text, ReadsAsPeopleWouldWriteIt) {
  const Graph graph = graph_of(R"(graph fsq opset 13 ir 7 {
    metadata "producer" = "pytorch 2.1"  # a comment
    input imu: float32[1x9x2x100]
    const w: float32[4x9x1x7] = splat 0.5
    const lo: float32[] = [-1.5]
    "/conv1/Conv": Conv{pads=[0, 3, 0, 3]}(imu, w) -> a
    act: Clip(a, lo, _) -> y
    output y
  })");
  EXPECT_EQ(print(graph), R"(graph fsq opset 13 ir 7 {
  metadata "producer" = "pytorch 2.1"
  input imu: float32[1x9x2x100]
  const w: float32[4x9x1x7] = splat 0.5
  const lo: float32[] = [-1.5]
  "/conv1/Conv": Conv{pads=[0, 3, 0, 3]}(imu, w) -> a: float32[1x4x2x100]
  act: Clip(a, lo, _) -> y: float32[1x4x2x100]
  output y
}
)");
  EXPECT_TRUE(verify(graph).ok());
}

TEST(Text, ConstantsKeepEveryBit) {
  Rng rng(7);
  for (int dtype = 0; dtype <= static_cast<int>(DType::kBool); ++dtype) {
    for (const int64_t count : {0, 1, 16, 17, 40}) {
      for (const bool equal : {false, true}) {
        Tensor tensor(static_cast<DType>(dtype), {count});
        std::byte* bytes = tensor.mutable_bytes();
        for (size_t i = 0; i < tensor.size_bytes(); ++i) {
          const uint64_t random = equal ? 1 : rng.next_u64();
          bytes[i] = static_cast<std::byte>(tensor.dtype() == DType::kBool ? random & 1 : random);
        }
        Graph graph;
        add_constant(graph, "c", tensor);
        const Graph parsed = graph_of(print(graph));
        ASSERT_EQ(parsed.values.size(), 1u);
        EXPECT_TRUE(*parsed.values[0].constant == tensor) << print(graph);
      }
    }
  }
  const float kInfinity = std::numeric_limits<float>::infinity();
  const Tensor special = Tensor::of<float>({4}, {-0.0f, kInfinity, 1e-45f, 3.4028235e38f});
  Graph graph;
  add_constant(graph, "c", special);
  EXPECT_TRUE(*graph_of(print(graph)).values[0].constant == special);
}

TEST(Text, LargeConstantsCanBeElided) {
  Graph graph;
  std::vector<float> values(100);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  add_constant(graph, "c", Tensor::of<float>({100}, values));
  const std::string text = print(graph, Constants::kElided);
  EXPECT_NE(text.find("= elided"), std::string::npos);
  const Result<Graph> parsed = parse(text);
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message().find("line 2, column 27: the constant is elided"),
            std::string::npos)
      << parsed.error().message();
}

TEST(Text, MalformedTextIsRefusedWithItsPlace) {
  const std::pair<const char*, const char*> kRows[] = {
      {"", "line 1, column 1: expected 'graph'"},
      {"graph g opset x ir 8 {}", "column 15: expected a number"},
      {"graph g opset 17 ir 8 {", "expected a name"},
      {"graph g opset 17 ir 8 {} x", "expected nothing after"},
      {"graph g opset 17 ir 8 {\n input x: float31[2] }", "line 2, column 11: 'float31'"},
      {"graph g opset 17 ir 8 {\n input x: float32[-2] }", "expected a size"},
      {"graph g opset 17 ir 8 { input x: float32[1099511627776x2] }", "more than 2^40"},
      {"graph g opset 17 ir 8 { input x: int8[1] input x: int8[1] }", "'x' is defined twice"},
      {"graph g opset 17 ir 8 { output y }", "'y' is not defined above"},
      {"graph g opset 17 ir 8 { n: Frobnicate() }", "no operator is called 'Frobnicate'"},
      {"graph g opset 17 ir 8 { n: Relu{axis=1}() }", "Relu has no attribute 'axis'"},
      {"graph g opset 17 ir 8 { n: Pad{mode=wild}() }", "'wild' is no value"},
      {"graph g opset 17 ir 8 { n: Relu() -> y }", "has 0 inputs, expected 1"},
      {"graph g opset 17 ir 8 { n: Cast{to=int8}() n: Relu() }", "two nodes are called 'n'"},
      {"graph g opset 17 ir 8 { const c: int8[2] = [1] }", "holds 1 bytes, expected 2"},
      {"graph g opset 17 ir 8 { const c: int8[1] = [128] }", "expected a number of type int8"},
      {"graph g opset 17 ir 8 { const c: int8[1] = hex:0 }", "even number"},
      {"graph g opset 17 ir 8 { const c: bool[1] = hex:02 }", "neither 0 nor 1"},
      {"graph g opset 17 ir 8 { const c: int8[?] = [] }", "a constant has a known shape"},
      {"graph g opset 17 ir 8 { const c: int8[1000000000000] = splat 0 }", "more than 16777216"},
      {"graph g opset 17 ir 8 { metadata \"a\" = \"b }", "the string does not end"},
      {"graph g opset 17 ir 8 { metadata \"\\q\" = \"b\" }", "after a backslash"},
  };
  for (const auto& [text, message] : kRows) {
    SCOPED_TRACE(text);
    const Result<Graph> parsed = parse(text);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidInput);
    EXPECT_NE(parsed.error().message().find(message), std::string::npos)
        << parsed.error().message();
  }
}

// Cut, and with characters exchanged, text either parses to a graph that prints alike or not at
// all.
TEST(Text, DamagedTextNeverCrashes) {
  const std::string sound = print(graph_of(R"(graph "g g" opset 17 ir 8 {
    metadata "k" = "v\x01"
    input x: float32[1x2x8]
    const w: float32[3x2x3] = splat 0.25
    const h: float16[2] = hex:00ff3c00
    c: Conv{strides=[2], pads=[1, 1]}(x, w, _) -> y
    o: opaque Loop{has_subgraph=1, opset=13, attributes="ab"}(y) -> z: int64[?], _
    output y
  })"));
  constexpr std::string_view kCharacters = "{}[]()->_,:=\"\\?x0-9.eE#\n abhinfN";
  Rng rng(11);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = sound;
    const uint64_t damages = 1 + rng.below(3);
    for (uint64_t j = 0; j < damages; ++j) {
      const size_t at = rng.below(text.size());
      const char c = kCharacters[rng.below(kCharacters.size())];
      switch (rng.below(4)) {
        case 0: text[at] = c; break;
        case 1: text.insert(at, 1, c); break;
        case 2: text.erase(at, 1); break;
        default: text.resize(i % 10 == 0 ? at + 1 : text.size()); break;
      }
    }
    const Result<Graph> parsed = parse(text);
    if (!parsed.ok()) continue;
    ++accepted;
    static_cast<void>(verify(*parsed));
    const std::string printed = print(*parsed);
    const Result<Graph> again = parse(printed);
    ASSERT_TRUE(again.ok()) << again.error().message() << "\n" << printed;
    ASSERT_EQ(print(*again), printed);
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace graupel::ir
