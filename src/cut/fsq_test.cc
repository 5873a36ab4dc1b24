// FSQ: published vectors through the added outputs, every variant in the layouts that training
// code exports, before and after the simplifier, and rounding that is not FSQ.
#include "cut/fsq.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/eval.h"
#include "ir/testing.h"
#include "onnx/onnx.h"
#include "simplify/simplify.h"

namespace graupel::cut {
namespace {

using ir::graph_of;
using ::testing::ElementsAre;

// A constant with one number per dimension, laid along `axis` of a rank-`rank` tensor.
std::string constant(const std::string& name, const std::vector<double>& numbers, size_t axis,
                     size_t rank) {
  std::string shape;
  for (size_t i = axis; i < rank; ++i) {
    shape += (i > axis ? "x" : "") + std::to_string(i == axis ? numbers.size() : 1);
  }
  std::vector<float> floats(numbers.begin(), numbers.end());
  return fmt::format("const {}: float32[{}] = [{}]\n", name, shape, fmt::join(floats, ", "));
}

struct Form {
  std::string shape = "1x4";
  size_t axis = 1, rank = 2;
};

// tanh(z + shift) * half - offset, as lucidrains writes it; `sign` of eps, `inverse` of the shift.
std::string tanh_bound(const std::vector<int64_t>& levels, const Form& form, double sign,
                       double (*inverse)(double)) {
  std::vector<double> shift, half, offset;
  for (const int64_t count : levels) {
    half.push_back(static_cast<double>(count - 1) * (1 + sign * 1e-3) / 2);
    offset.push_back(count % 2 == 0 ? 0.5 : 0.0);
    shift.push_back(inverse(offset.back() / half.back()));
  }
  return "graph g opset 17 ir 8 {\ninput z: float32[" + form.shape + "]\n" +
         constant("shift", shift, form.axis, form.rank) +
         constant("half", half, form.axis, form.rank) +
         constant("offset", offset, form.axis, form.rank) +
         "add: Add(z, shift) -> a\ntanh: Tanh(a) -> t\nmul: Mul(t, half) -> m\n"
         "sub: Sub(m, offset) -> b\n";
}
double area_tangent(double x) { return std::atanh(x); }
double tangent(double x) { return std::tan(x); }

std::vector<int64_t> output_of(const ir::Graph& graph, const std::string& name,
                               const std::vector<Tensor>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (graph.value(graph.outputs[i]).name == name) return outputs[i].to_int64s();
  }
  return {};
}

struct Codes {
  std::vector<int64_t> digits, code;
};
Codes codes_of(const ir::Graph& graph, const std::vector<float>& z) {
  const std::optional<Fsq> fsq = find_fsq(graph);
  EXPECT_TRUE(fsq);
  if (!fsq) return {};
  const Result<ir::Graph> extended = add_code_outputs(graph, *fsq);
  EXPECT_TRUE(extended.ok() && ir::verify(*extended).ok());
  const Tensor input = Tensor::of<float>(graph.shape(graph.inputs[0]), z);
  const Result<std::vector<Tensor>> outputs = ir::evaluate(*extended, std::span(&input, 1));
  EXPECT_TRUE(outputs.ok());
  return {output_of(*extended, kFsqDigitsOutput, *outputs),
          output_of(*extended, kFsqCodeOutput, *outputs)};
}

TEST(Fsq, PublishedVectorsGiveDigitsAndIndex) {
  const ir::Graph graph = graph_of(tanh_bound({8, 5, 5, 5}, {}, +1, area_tangent) +
                                   "round: Round(b) -> q\noutput q\n}");
  const std::optional<Fsq> fsq = find_fsq(graph);
  ASSERT_TRUE(fsq);
  EXPECT_EQ(fsq->variant, "lucidrains-2024");
  EXPECT_THAT(fsq->levels, ElementsAre(8, 5, 5, 5));
  EXPECT_EQ(fsq->unbounded, "z");
  EXPECT_EQ(fsq->bounded, "b");
  EXPECT_EQ(fsq->round_node, "round");
  EXPECT_FALSE(fsq->shift_folded);
  struct Row {
    std::vector<float> z;
    std::vector<int64_t> digits;
    int64_t index;
  };
  const Row rows[] = {{{2.338f, -.663f, .395f, .147f}, {7, 1, 3, 2}, 535},
                      {{.835f, -1.402f, -.415f, -.751f}, {6, 0, 1, 1}, 246},
                      {{-1.075f, -.844f, -.512f, -.287f}, {1, 1, 1, 1}, 249},
                      {{-.907f, .422f, -.548f, -3.198f}, {1, 3, 1, 0}, 65},
                      {{1.191f, -.392f, -.743f, .268f}, {7, 1, 1, 3}, 655},
                      {{.23f, .053f, -.854f, .192f}, {5, 2, 1, 2}, 461}};
  for (const Row& row : rows) {
    const Codes codes = codes_of(graph, row.z);
    EXPECT_EQ(codes.digits, row.digits);
    EXPECT_THAT(codes.code, ElementsAre(row.index));
  }
}

TEST(Fsq, GoogleNotebookVector) {
  const ir::Graph graph = graph_of(tanh_bound({3, 5, 4}, {"1x3", 1, 2}, -1, tangent) +
                                   "round: Round(b) -> q\noutput q\n}");
  EXPECT_EQ(find_fsq(graph)->variant, "paper-2023");
  const Codes codes = codes_of(graph, {.25f, .6f, -7.0f});
  EXPECT_THAT(codes.digits, ElementsAre(1, 3, 0));
  EXPECT_THAT(codes.code, ElementsAre(10));
}

TEST(Fsq, VariantsAreToldApart) {
  const std::string rest = "round: Round(b) -> q\noutput q\n}";
  const std::vector<int64_t> levels = {8, 6, 5, 4};
  const auto variant = [&](double sign, double (*inverse)(double)) {
    const std::optional<Fsq> fsq = find_fsq(graph_of(tanh_bound(levels, {}, sign, inverse) + rest));
    return fsq && fsq->levels == levels ? fsq->variant : "none";
  };
  EXPECT_EQ(variant(+1, area_tangent), "lucidrains-2024");
  EXPECT_EQ(variant(-1, area_tangent), "lucidrains-2023");
  EXPECT_EQ(variant(-1, tangent), "paper-2023");

  const ir::Graph clamp = graph_of(R"(graph g opset 17 ir 8 {
    input z: float32[1x2]
    const shift: float32[2] = [0.14271429, 0]
    const low: float32[] = [-1]
    const high: float32[] = [1]
    const half: float32[2] = [3.5035, 2.002]
    const offset: float32[2] = [0.5, 0]
    add: Add(z, shift) -> a
    clip: Clip(a, low, high) -> c
    mul: Mul(c, half) -> m
    sub: Sub(m, offset) -> b
    round: Round(b) -> q
    output q
  })");
  EXPECT_EQ(find_fsq(clamp)->variant, "hard-clamp");
  EXPECT_THAT(find_fsq(clamp)->levels, ElementsAre(8, 5));
  EXPECT_THAT(codes_of(clamp, {-9.0f, 9.0f}).digits, ElementsAre(0, 4));
}

TEST(Fsq, SymmetricGridCountsFromZero) {
  // floor((L - 1) (tanh z + 1) / 2 + 0.5), straight through: b + (floor(b) - b).
  const ir::Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input z: float32[1x2]
    const one: float32[] = [1]
    const two: float32[] = [2]
    const steps: float32[2] = [7, 3]
    const half: float32[] = [0.5]
    tanh: Tanh(z) -> t
    add: Add(t, one) -> a
    mul: Mul(steps, a) -> m
    div: Div(m, two) -> d
    add_half: Add(d, half) -> b
    floor: Floor(b) -> q
    sub: Sub(q, b) -> s
    through: Add(b, s) -> y
    output y
  })");
  const std::optional<Fsq> fsq = find_fsq(graph);
  ASSERT_TRUE(fsq);
  EXPECT_EQ(fsq->variant, "symmetric");
  EXPECT_THAT(fsq->levels, ElementsAre(8, 4));
  for (const float z : {-3.0f, -0.8f, -0.1f, 0.3f, 1.2f, 4.0f}) {
    const auto digit = [&](int64_t steps) {
      return static_cast<int64_t>(std::floor(steps * (std::tanh(z) + 1) / 2 + 0.5));
    };
    const Codes codes = codes_of(graph, {z, z});
    EXPECT_THAT(codes.digits, ElementsAre(digit(7), digit(3)));
    EXPECT_THAT(codes.code, ElementsAre(digit(7) + 8 * digit(3)));
  }
}

TEST(Fsq, IfsqIsToldFromThePlainLogisticByItsScale) {
  const auto graph = [](const std::string& scale) {
    return graph_of(R"(graph g opset 17 ir 8 {
      input z: float32[1x3x2x2]
      const scale: float32[] = [)" +
                    scale + R"(]
      const two: float32[] = [2]
      const one: float32[] = [1]
      const half: float32[3x1x1] = [3.5, 2, 1.5]
      const rest: float32[3x1x1] = [4, 2.5, 2]
      mul: Mul(z, scale) -> a
      sigmoid: Sigmoid(a) -> s
      twice: Mul(s, two) -> t
      y: Sub(t, one) -> y
      grid: Mul(y, half) -> g
      add: Add(g, rest) -> b
      floor: Floor(b) -> q
      output q
    })");
  };
  const std::optional<Fsq> fsq = find_fsq(graph("1.6"));
  ASSERT_TRUE(fsq);
  EXPECT_EQ(fsq->variant, "ifsq");
  EXPECT_THAT(fsq->levels, ElementsAre(8, 5, 4));
  EXPECT_EQ(fsq->axis, 1);
  // With any other factor in front it is the plain logistic, whose z holds the factor.
  const std::optional<Fsq> plain = find_fsq(graph("1.5"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->variant, "sigmoid");
  EXPECT_EQ(plain->unbounded, "a");
}

TEST(Fsq, ChannelsOfImagesAndLastAxisOfSequences) {
  const std::string rest = "round: Round(b) -> q\noutput q\n}";
  const ir::Graph image = graph_of(tanh_bound({4, 3}, {"1x2x2x3", 1, 4}, +1, area_tangent) + rest);
  EXPECT_EQ(find_fsq(image)->axis, 1);
  std::vector<float> z(12, -9.0f);
  z[11] = 9.0f;
  const Codes codes = codes_of(image, z);
  EXPECT_EQ(codes.digits.size(), 12u);
  EXPECT_THAT(codes.code, ElementsAre(0, 0, 0, 0, 0, 8));

  const ir::Graph sequence = graph_of(tanh_bound({4, 3}, {"1x7x2", 2, 3}, +1, area_tangent) + rest);
  EXPECT_EQ(find_fsq(sequence)->axis, 2);
  EXPECT_EQ(codes_of(sequence, std::vector<float>(14, 9.0f)).code, std::vector<int64_t>(7, 11));
}

TEST(Fsq, EqualLevelsMayBeScalars) {
  const ir::Graph graph = graph_of(tanh_bound({8}, {"1x5", 1, 2}, +1, area_tangent) +
                                   "round: Round(b) -> q\noutput q\n}");
  ASSERT_TRUE(find_fsq(graph));
  EXPECT_THAT(find_fsq(graph)->levels, ElementsAre(8, 8, 8, 8, 8));
}

TEST(Fsq, TooManyCodesLeaveTheDigits) {
  const std::string rest = "round: Round(b) -> q\noutput q\n}";
  const auto outputs = [&](size_t dimensions) {
    const Form form{fmt::format("1x{}", dimensions), 1, 2};
    const ir::Graph graph =
        graph_of(tanh_bound(std::vector<int64_t>(dimensions, 4), form, +1, area_tangent) + rest);
    const Codes codes = codes_of(graph, std::vector<float>(dimensions, 9.0f));
    EXPECT_EQ(codes.digits, std::vector<int64_t>(dimensions, 3));
    return codes.code;
  };
  EXPECT_THAT(outputs(31), ElementsAre((int64_t{1} << 62) - 1));
  EXPECT_TRUE(outputs(32).empty());
}

TEST(Fsq, FoldedShiftIsRecognisedByTheRest) {
  const ir::Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[1x3]
    const w: float32[3x2] = [1, 2, 3, 4, 5, 6]
    const bias: float32[2] = [0.7, -0.3]
    const half: float32[2] = [3.5035, 2.002]
    const offset: float32[2] = [0.5, 0]
    gemm: Gemm(x, w, bias) -> z
    tanh: Tanh(z) -> t
    mul: Mul(t, half) -> m
    sub: Sub(m, offset) -> b
    round: Round(b) -> q
    output q
  })");
  const std::optional<Fsq> fsq = find_fsq(graph);
  ASSERT_TRUE(fsq);
  EXPECT_EQ(fsq->variant, "lucidrains-2024");
  EXPECT_TRUE(fsq->shift_folded);
  EXPECT_EQ(fsq->unbounded, "z");
}

TEST(Fsq, OtherRoundingIsNotMistaken) {
  const auto found = [](const std::string& body) {
    return find_fsq(graph_of("graph g opset 17 ir 8 {\ninput z: float32[1x4]\n" + body +
                             "\noutput q\n}"))
        .has_value();
  };
  EXPECT_FALSE(found("round: Round(z) -> q"));
  EXPECT_FALSE(found("const s: float32[] = [12.5]\nm: Mul(z, s) -> b\nround: Round(b) -> q"));
  // A tanh image made into bytes, and a plain int8 quantiser behind a clamp.
  EXPECT_FALSE(
      found("const s: float32[] = [127.5]\nconst o: float32[] = [128]\nt: Tanh(z) -> t\n"
            "m: Mul(t, s) -> m\na: Add(m, o) -> b\nfloor: Floor(b) -> q"));
  EXPECT_FALSE(
      found("const s: float32[] = [127]\nconst l: float32[] = [-1]\n"
            "const h: float32[] = [1]\nc: Clip(z, l, h) -> c\nm: Mul(c, s) -> b\n"
            "round: Round(b) -> q"));
  // Half a level off; an offset on an odd number of levels.
  EXPECT_FALSE(
      found("const s: float32[] = [3.25]\nt: Tanh(z) -> t\nm: Mul(t, s) -> b\n"
            "round: Round(b) -> q"));
  EXPECT_FALSE(
      found("const s: float32[] = [2.002]\nconst o: float32[] = [0.5]\nt: Tanh(z) -> t\n"
            "m: Mul(t, s) -> m\no: Sub(m, o) -> b\nround: Round(b) -> q"));
  // Constants that vary along two axes.
  EXPECT_FALSE(
      find_fsq(graph_of("graph g opset 17 ir 8 {\ninput z: float32[1x2x2]\n"
                        "const s: float32[2x2] = [2.002, 2.002, 2.002, 2.002]\nt: Tanh(z) -> t\n"
                        "m: Mul(t, s) -> b\nround: Round(b) -> q\noutput q\n}")));
}

TEST(Fsq, ShippedModelsBeforeAndAfterSimplification) {
  const std::pair<const char*, std::vector<int64_t>> kModels[] = {
      {"fsq_imu_synthetic.onnx", {8, 6, 5, 5, 4}},
      {"fsq_imu_8x8.onnx", std::vector<int64_t>(8, 8)},
      {"fsq_imu_linear_head.onnx", {8, 6, 5, 5, 4}}};
  for (const auto& [file, levels] : kModels) {
    SCOPED_TRACE(file);
    const Result<ir::Graph> read =
        onnx::read_model(std::string(GRAUPEL_SOURCE_DIR "/models/") + file);
    ASSERT_TRUE(read.ok()) << read.error().message();
    const Result<simplify::Simplified> simplified = simplify::simplify(*read);
    ASSERT_TRUE(simplified.ok()) << simplified.error().message();
    for (const ir::Graph* graph : {&*read, &simplified->graph}) {
      const std::optional<Fsq> fsq = find_fsq(*graph);
      ASSERT_TRUE(fsq);
      EXPECT_EQ(fsq->levels, levels);
      EXPECT_EQ(fsq->variant, "lucidrains-2024");
      EXPECT_EQ(fsq->round_node, "/fsq/Round");
    }
  }
}

}  // namespace
}  // namespace graupel::cut
