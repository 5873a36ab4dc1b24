// The evaluator's front: the memory limit is kept, tensors are dropped after their last reader,
// many windows answer as one at a time on any number of cores, and errors name node and window.
#include <sched.h>

#include "ir/eval_testing.h"

namespace graupel::ir {
namespace {

Graph relu_chain(int64_t elements, int length) {
  GraphBuilder built;
  ValueId value = add_input(built.graph, "x", DType::kFloat32, {1, elements});
  for (int i = 0; i < length; ++i) {
    value = built.node("relu" + std::to_string(i), Unary{UnaryKind::kRelu}, {value});
  }
  built.graph.outputs = {value};
  return built.graph;
}

TEST(Eval, TensorsAreDroppedAfterTheirLastReader) {
  const Graph graph = relu_chain(1 << 16, 40);  // 256 KiB a tensor, 10 MiB in all
  const std::vector<Tensor> inputs = probe_inputs(graph, 1);
  EvalOptions options;
  options.memory_limit_bytes = uint64_t{1} << 20;
  EXPECT_TRUE(evaluate(graph, inputs, options).ok());
  options.memory_limit_bytes = uint64_t{1} << 18;
  const Result<std::vector<Tensor>> refused = evaluate(graph, inputs, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidInput);
  EXPECT_NE(refused.error().message().find("memory limit"), std::string::npos);
  EXPECT_NE(refused.error().message().find("relu"), std::string::npos);
}

TEST(Eval, NoOperatorPassesTheMemoryLimit) {
  const Tensor x(DType::kFloat32, {1, 1, 8, 8}), w(DType::kFloat32, {64, 1, 8, 8});
  const Tensor big = Tensor::of<int64_t>({4}, {1, 1, 1024, 1024});
  const Tensor row(DType::kFloat32, {4096, 1}), column(DType::kFloat32, {1, 4096});
  Conv wide;
  wide.window.pads = {500, 500, 500, 500};
  const auto refuses = [](const Op& op, const std::vector<const Tensor*>& inputs) {
    const Result<std::vector<Tensor>> got = evaluate_op(op, inputs, 1, uint64_t{1} << 20);
    return !got.ok() && got.error().code == ErrorCode::kInvalidInput;
  };
  EXPECT_TRUE(refuses(wide, {&x, &w}));
  EXPECT_TRUE(refuses(Resize{}, {&x, nullptr, nullptr, &big}));
  EXPECT_TRUE(refuses(Expand{}, {&x, &big}));
  EXPECT_TRUE(refuses(Tile{}, {&x, &big}));
  EXPECT_TRUE(refuses(ConstantOfShape{}, {&big}));
  EXPECT_TRUE(refuses(MatMul{}, {&row, &column}));
  EXPECT_TRUE(refuses(Binary{BinaryKind::kAdd}, {&row, &column}));
}

Graph small_network() {
  Rng rng(61);
  GraphBuilder built;
  const ValueId x = add_input(built.graph, "x", DType::kFloat32, {1, 3, 2, 20});
  Conv conv;
  conv.window = {{1, 5}, {}, {}, {0, 2, 0, 2}, AutoPad::kNotSet};
  const ValueId a =
      built.node("conv", conv, {x, built.constant("w", random_floats(rng, {8, 3, 1, 5}))});
  const ValueId b = built.node("pool", GlobalPool{}, {a});
  const ValueId c = built.node("flat", Flatten{}, {b});
  built.graph.outputs = {
      built.node("fc", Gemm{}, {c, built.constant("v", random_floats(rng, {8, 4}))})};
  return built.graph;
}

TEST(Eval, ManyWindowsAnswerAsOneAtATimeOnAnyNumberOfCores) {
  const Graph graph = small_network();
  Rng rng(62);
  const Tensor windows = random_floats(rng, {17, 3, 2, 20});
  const Result<std::vector<Tensor>> on_all = evaluate_windows(graph, windows);
  ASSERT_TRUE(on_all.ok()) << on_all.error().message();
  for (size_t i = 0; i < 17; ++i) {
    const std::span<const float> values = windows.data<float>().subspan(i * 120, 120);
    const Tensor inputs[] = {Tensor::of<float>({1, 3, 2, 20}, values)};
    const Result<std::vector<Tensor>> alone = evaluate(graph, inputs);
    ASSERT_TRUE(alone.ok());
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_EQ((*alone)[0].data<float>()[k], (*on_all)[0].data<float>()[i * 4 + k]);
    }
  }
  cpu_set_t before, first;  // the affinity mask decides the number of threads
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&first);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    CPU_SET(cpu, &first);
    break;
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof first, &first), 0);
  const Result<std::vector<Tensor>> on_one = evaluate_windows(graph, windows);
  sched_setaffinity(0, sizeof before, &before);
  ASSERT_TRUE(on_one.ok());
  EXPECT_EQ((*on_one)[0], (*on_all)[0]);
}

// Prepared once and evaluated often, from copies: as the graph itself, and as much is observed.
TEST(Eval, APreparedGraphAnswersAsTheGraph) {
  Graph graph = small_network();
  GraphBuilder built{std::move(graph)};
  const ValueId folded =
      built.node("folded", Unary{UnaryKind::kNeg},
                 {built.constant("bias", Tensor::of<float>({1, 4}, {1, 2, 3, 4}))});
  built.graph.outputs = {built.node("sum", Binary{}, {built.graph.outputs[0], folded})};
  Result<Prepared> prepared = prepare(built.graph);
  ASSERT_TRUE(prepared.ok());
  const Prepared copy = *prepared;
  Rng rng(63);
  for (int i = 0; i < 3; ++i) {
    const Tensor inputs[] = {random_floats(rng, {1, 3, 2, 20})};
    std::vector<ValueId> seen, seen_prepared;
    EvalOptions options;
    options.observe = [&](size_t, ValueId id, const Tensor&) { seen.push_back(id); };
    const Result<std::vector<Tensor>> want = evaluate(built.graph, inputs, options);
    options.observe = [&](size_t, ValueId id, const Tensor&) { seen_prepared.push_back(id); };
    const Result<std::vector<Tensor>> got = evaluate(copy, inputs, options);
    ASSERT_TRUE(want.ok() && got.ok());
    EXPECT_EQ((*got)[0], (*want)[0]);
    EXPECT_EQ(seen_prepared, seen);
  }
  const Tensor narrow(DType::kFloat32, {1, 3, 2, 19});
  EXPECT_FALSE(evaluate(copy, std::span(&narrow, 1)).ok());
  EXPECT_FALSE(evaluate(copy, {}).ok());
}

TEST(Eval, ErrorsNameTheFirstWindowAndTheNode) {
  GraphBuilder built;
  const ValueId x = add_input(built.graph, "x", DType::kInt32, {1, 2});
  const ValueId one = built.constant("one", Tensor::scalar<int32_t>(1));
  built.graph.outputs = {built.node("ratio", Binary{BinaryKind::kDiv}, {one, x})};
  Tensor windows(DType::kInt32, {50, 2});
  for (int32_t& value : windows.mutable_data<int32_t>()) value = 3;
  windows.mutable_data<int32_t>()[2 * 41] = 0;
  windows.mutable_data<int32_t>()[2 * 7 + 1] = 0;
  const Result<std::vector<Tensor>> got = evaluate_windows(built.graph, windows);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().message().find("window 7:"), std::string::npos) << got.error().message();
  EXPECT_NE(got.error().message().find("ratio"), std::string::npos) << got.error().message();
}

TEST(Eval, InputsThatDoNotFitAreRefused) {
  const Graph graph = relu_chain(4, 1);
  const Tensor narrow(DType::kFloat32, {1, 3}), other(DType::kInt32, {1, 4});
  EXPECT_FALSE(evaluate(graph, std::span(&narrow, 1)).ok());
  EXPECT_FALSE(evaluate(graph, std::span(&other, 1)).ok());
  EXPECT_FALSE(evaluate(graph, {}).ok());
  EXPECT_FALSE(evaluate_windows(graph, Tensor(DType::kFloat32, {0, 4})).ok());
}

}  // namespace
}  // namespace graupel::ir
