// Plans that are wrong in one place: every number of every step, buffer and port of plans that hold
// all kinds of steps is changed, one at a time. What the checks let through is another valid plan:
// it runs inside its memory (the address sanitizer judges), answers the same on every instruction
// set and in a batch, and answers a window the same whatever came before it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "run/engine.h"
#include "run/plan_chain.h"
#include "run/plan_fields.h"

namespace graupel::run {
namespace {

constexpr int64_t kMostWork = 1'500'000;
constexpr uint64_t kMostArenaBytes = uint64_t{1} << 20;

// The step kinds that sample_plan and chain lack, over small tensors.
Plan float_plan() {
  Rng rng(11);
  PlanBuilder b;
  const auto floats = [&](Shape shape) { return b.buffer(DType::kFloat32, std::move(shape)); };
  const auto constant = [&](Shape shape) {
    return b.constant(random_float(rng, std::move(shape), 0.5, 1.5));
  };
  const BufferId x = b.input({1, 2, 4, 6});
  const BufferId centred = floats({1, 2, 4, 6});
  b.step(RemoveMean{x, centred, b.constant(Tensor::of<uint8_t>({2}, {1, 0})), 2, 4, 6});
  const BufferId scaled = floats({1, 2, 4, 6});
  b.step(Normalize{centred, scaled, b.constant(Tensor::of<double>({2}, {0.5, -0.5})),
                   b.constant(Tensor::of<double>({2}, {1.0, 2.0})), 2, 24});
  const BufferId bytes = b.buffer(DType::kInt8, {1, 2, 4, 6}, Layout::kChannelsLast);
  b.step(Quantize{scaled, bytes, {}, {}, ByteOrder::kChannelsLast, 2, 24, 0.05f, {3, -128, 127}});
  const BufferId largest = b.buffer(DType::kInt8, {1, 2, 2, 3}, Layout::kChannelsLast);
  b.step(MaxPoolInt8{bytes, largest, {2, 4, 6, 2, 3, 3, 2, 2, 2, 1, 1, 1, 0}});
  const BufferId looked_up = b.buffer(DType::kInt8, {1, 2, 2, 3}, Layout::kChannelsLast);
  b.step(Lookup{largest, looked_up, b.constant(random_int8(rng, {2, 256})), 2, 1});
  const BufferId wide = floats({1, 2, 2, 3});
  b.step(Dequantize{looked_up, wide, ByteOrder::kChannelsLast, 2, 6, 0.1f, 3});
  const BufferId conv = floats({1, 3, 2, 3});
  b.step(ConvF32{ConvKind::kForward,
                 wide,
                 constant({3, 2, 3, 3}),
                 constant({3}),
                 conv,
                 {2, 2, 3, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1},
                 1,
                 3,
                 1});
  const BufferId up = floats({1, 2, 4, 6});
  b.step(ConvF32{ConvKind::kTransposed,
                 conv,
                 constant({3, 2, 2, 2}),
                 {},
                 up,
                 {3, 2, 3, 4, 6, 2, 2, 2, 2, 1, 1, 0, 0},
                 1,
                 2,
                 1});
  const BufferId mean = floats({1, 2, 2, 2});
  b.step(PoolF32{
      PoolOp::kAverage, up, mean, constant({2, 2}), {2, 4, 6, 2, 2, 2, 3, 2, 3, 1, 1, 0, 0}});
  const BufferId most = floats({1, 2, 1, 1});
  b.step(PoolF32{PoolOp::kMax, mean, most, {}, {2, 2, 2, 1, 1, 2, 2, 1, 1, 1, 1, 0, 0}});
  const BufferId joined = floats({10});  // filled by two steps, with a gap that is filled with 7
  const std::array<uint8_t, 8> seven = {0, 0, 0xe0, 0x40};
  b.step(Move{mean, joined, b.constant(Tensor::of<int32_t>({8}, {0, 2, 4, 6, 1, 3, 5, -1})),
              MoveTable::kIndices, 0, seven});
  b.step(
      Move{most, joined, b.constant(Tensor::of<int32_t>({2}, {1, 0})), MoveTable::kIndices, 8, {}});
  const BufferId turned = floats({2, 5});
  b.step(Move{joined, turned, b.constant(Tensor::of<int32_t>({3, 3}, {0, 5, 5, 5, 0, 3, 8, -1, 2})),
              MoveTable::kRuns, 0, seven});
  const BufferId product = floats({2, 5, 5});
  MatMul matmul;
  matmul.a = turned;
  matmul.b = constant({5});
  matmul.y = product;
  matmul.m = matmul.n = 5;
  matmul.k = 1;
  matmul.b_column = 1;
  matmul.batch = {2};
  matmul.a_batch = {5};
  matmul.b_batch = {0};
  b.step(matmul, Part::kHost);
  const BufferId bent = floats({2, 5, 5});
  b.step(Unary{UnaryOp::kHardSigmoid, product, bent, 0.2f, 0.5f}, Part::kHost);
  const BufferId is_less = b.buffer(DType::kBool, {2, 5, 5});
  b.step(Binary{BinaryOp::kLess, product, constant({5}), is_less, {2, 5, 5}, {25, 5, 1}, {0, 0, 1}},
         Part::kHost);
  const BufferId chosen = floats({2, 5, 5});
  b.step(Where{is_less, bent, constant({1}), chosen, {2, 5, 5}, {25, 5, 1}, {25, 5, 1}, {0, 0, 0}},
         Part::kHost);
  const BufferId bigger = floats({2, 3, 5});
  b.step(Interpolate{chosen,
                     bigger,
                     b.constant(Tensor::of<int32_t>(
                         {10, 2}, {0, 0, 1, 1, 0, 1, 1, 2, 3, 4, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4})),
                     b.constant(Tensor::of<double>({10, 2}, std::vector<double>(20, 0.5))),
                     2,
                     {2, 3, 5},
                     {25, 5, 1}},
         Part::kHost);
  const BufferId norms = floats({2, 5});
  b.step(Reduce{ReduceOp::kL2, bigger, norms, {2, 5}, {15, 1}, {3}, {5}}, Part::kHost);
  const BufferId shares = floats({2, 5});
  b.step(Softmax{SoftmaxOp::kSoftmax, norms, shares, 2, 5, 1}, Part::kHost);
  const BufferId best = b.buffer(DType::kInt64, {2, 1});
  b.step(ArgReduce{ArgOp::kMin, Tie::kLast, shares, best, 2, 5, 1}, Part::kHost);
  const BufferId divided = b.buffer(DType::kInt64, {2, 1});
  b.step(Binary{BinaryOp::kMod,
                best,
                b.constant(Tensor::of<int64_t>({1}, {3})),
                divided,
                {2, 1},
                {1, 1},
                {0, 0}},
         Part::kHost);
  const BufferId as_float = floats({2, 1});
  b.step(Cast{divided, as_float}, Part::kHost);
  b.output(shares, "shares");
  b.output(as_float, "index");
  return b.plan;
}

// ---- changing one number ----

// The numbers of a plan in the order of its file, each with the place it is at: the step's kind and
// the position of its field, as in plan_fields.h.
class Numbers {
 public:
  explicit Numbers(Plan& plan) {
    for (Buffer& buffer : plan.buffers) visit(buffer, "Buffer");
    for (Port& port : plan.inputs) visit(port, "Port");
    for (Port& port : plan.outputs) visit(port, "Port");
    for (Step& step : plan.steps) {
      add("Step.macs", step.macs);
      add("Step.bytes", step.bytes);
      const std::string kind(step_name(step.body));
      std::visit([&](auto& body) { visit(body, kind); }, step.body);
    }
    add("arena", plan.arena_size_bytes);
    add("arena_lower_bound", plan.arena_lower_bound_bytes);
  }

  // Calls change(place) for every value tried, with the plan changed by it; then restores the plan.
  template <class F>
  void try_all(F change) {
    for (auto& attempt : attempts_) {
      attempt.second([&] { change(attempt.first); });
    }
  }

 private:
  using Tried = std::function<void()>;

  template <class T>
  void visit(T& record, const std::string& place) {
    size_t index = 0;
    const auto next = [&](auto& field) { add(place + "." + std::to_string(index++), field); };
    std::apply([&](auto&... field) { (next(field), ...); }, fields(record));
  }

  template <class T>
  void add(const std::string& place, T& field) {
    if constexpr (std::is_same_v<T, std::string>) {
      // A name is free.
    } else if constexpr (std::is_enum_v<T>) {
      add_values(place, field, all_of<T>());
    } else if constexpr (std::is_floating_point_v<T>) {
      const T huge = std::numeric_limits<T>::max(), tiny = std::numeric_limits<T>::denorm_min();
      add_values(place, field,
                 {T(NAN), T(INFINITY), -T(INFINITY), T(0), -field, huge, tiny, field * 2});
    } else if constexpr (std::is_integral_v<T>) {
      add_values(place, field, integers_around(field));
    } else if constexpr (std::is_same_v<T, BufferId>) {
      std::vector<BufferId> values = {BufferId(), BufferId(size_t{1} << 30)};
      for (size_t i = 0; i < 64; ++i) values.push_back(BufferId(i));
      add_values(place, field, values);
    } else if constexpr (std::is_same_v<T, std::optional<Window2d>>) {
      add_values(place, field, {std::nullopt, Window2d{}});
      if (field) visit(*field, place);
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      std::vector<int64_t> longer = field, shorter = field;
      longer.push_back(1);
      if (!shorter.empty()) shorter.pop_back();
      add_values(place, field, {longer, shorter, {}, std::vector<int64_t>(9, 1)});
      // Elements by their position: the lines above move them elsewhere.
      for (size_t i = 0; i < field.size(); ++i) {
        std::vector<std::vector<int64_t>> lists;
        for (const int64_t value : integers_around(field[i])) {
          lists.push_back(field);
          lists.back()[i] = value;
        }
        add_values(place, field, lists);
      }
    } else if constexpr (std::is_same_v<T, std::array<uint8_t, 8>>) {
      for (uint8_t& value : field) add(place, value);
    } else {
      visit(field, place);
    }
  }
  template <class T>
  static std::vector<T> integers_around(T value) {
    std::vector<T> values = {T(-1),
                             T(0),
                             T(1),
                             T(uint64_t(value) - 1),
                             T(uint64_t(value) + 1),
                             std::numeric_limits<T>::max(),
                             std::numeric_limits<T>::min()};
    if constexpr (sizeof(T) > 1) {
      values.insert(values.end(),
                    {T(uint64_t(value) * 2), T(64), T(1 << 20), T((1 << 20) + 1), T(1 << 30)});
    }
    return values;
  }
  template <class E>
  static std::vector<E> all_of() {
    std::vector<E> values;
    for (uint8_t i = 0; i < enum_count<E>(); ++i) values.push_back(static_cast<E>(i));
    return values;
  }
  template <class T>
  void add_values(const std::string& place, T& field, std::vector<T> values) {
    attempts_.emplace_back(place, [&field, values = std::move(values)](const Tried& tried) {
      const T original = field;
      for (const T& value : values) {
        if (value == original) continue;
        field = value;
        tried();
      }
      field = original;
    });
  }

  std::vector<std::pair<std::string, std::function<void(const Tried&)>>> attempts_;
};

// ---- judging what was let through ----

std::string bytes_of(const Engine& engine, size_t window = 0) {
  std::string bytes;
  for (size_t i = 0; i < plan_of(engine).outputs.size(); ++i) {
    const std::span<const std::byte> output = output_bytes(engine, i, window);
    bytes.append(reinterpret_cast<const char*>(output.data()), output.size());
  }
  return bytes;
}

std::vector<float> some_values(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.uniform(-3.0, 3.0));
  return values;
}

// One window between others, alone and in a batch; empty if the engine does not take the plan.
std::string answer(const Plan& plan, kernels::Isa isa, const std::string& place) {
  Result<Engine> engine = load_engine(plan, {.isa = isa, .batch = 2});
  if (!engine.ok()) {
    EXPECT_EQ(engine.error().code, ErrorCode::kUnsupported) << engine.error().message();
    return {};
  }
  const auto count =
      static_cast<size_t>(buffer_elements(plan.buffers[plan.inputs[0].buffer.index()]));
  std::vector<float> window = some_values(count, 1);
  const std::vector<float> other = some_values(count, 2);
  EXPECT_TRUE(run(*engine, window).ok());
  std::string first = bytes_of(*engine);
  EXPECT_TRUE(run(*engine, other).ok());
  EXPECT_TRUE(run(*engine, window).ok());
  EXPECT_EQ(bytes_of(*engine), first) << place << ": depends on the window before";
  window.insert(window.begin(), other.begin(), other.end());
  EXPECT_TRUE(run_batch(*engine, window, 2).ok());
  EXPECT_EQ(bytes_of(*engine, 1), first) << place << ": differs in a batch";
  return first;
}

struct Count {
  int refused = 0, ran = 0;
};

void judge(const Plan& plan, const std::string& place, std::map<std::string, Count>& counts) {
  const Result<Plan> read = parse_plan(format_plan(plan));
  if (!read.ok()) {
    ++counts[place].refused;
    const std::string message = read.error().message();
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << place << ": " << message;
    EXPECT_EQ(message.rfind("plan", 0), 0u) << place << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return;
  }
  if (*plan_work(*read) > kMostWork || read->arena_size_bytes > kMostArenaBytes) return;
  ++counts[place].ran;
  const std::string expected = answer(*read, kernels::Isa::kScalar, place);
  for (const kernels::Isa isa : kernels::supported_isas()) {
    if (isa == kernels::Isa::kScalar) continue;
    EXPECT_EQ(answer(*read, isa, place), expected) << place << ": differs on " << to_string(isa);
  }
}

TEST(CheckPlan, EveryNumberChangedIsRefusedOrAnotherValidPlan) {
  std::map<std::string, Count> counts;
  std::set<size_t> kinds;
  for (Plan plan : {sample_plan(), chain(DType::kInt8), chain(DType::kUInt8), float_plan()}) {
    ASSERT_TRUE(check_plan(plan).ok()) << check_plan(plan).error().message();
    for (const Step& step : plan.steps) kinds.insert(step.body.index());
    const Plan original = plan;
    Numbers(plan).try_all([&](const std::string& place) {
      if (!::testing::Test::HasFailure()) judge(plan, place, counts);
    });
    ASSERT_EQ(plan, original);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<StepBody>);
  // Functions to compute, orders of bytes and factors: each choice makes a valid plan.
  const std::set<std::string> choices = {"ArgReduce.0",  "ArgReduce.1", "BinaryInt8.0", "ConvF32.0",
                                         "Dequantize.2", "MatMul.16",   "MatMul.17",    "Move.5",
                                         "Port.2",       "Quantize.4",  "Reduce.0",     "Softmax.0",
                                         "Unary.3",      "Unary.4"};
  std::set<std::string> never_refused;
  int refused = 0, ran = 0;
  for (const auto& [place, count] : counts) {
    if (count.refused == 0) never_refused.insert(place);
    refused += count.refused;
    ran += count.ran;
  }
  EXPECT_EQ(never_refused, choices);
  EXPECT_GT(refused, 10'000);
  EXPECT_GT(ran, 500);
  RecordProperty("refused", refused);
  RecordProperty("ran", ran);
}

// ---- what the message says ----

// Steps of chain(kUInt8).
constexpr size_t kPooled = 1, kResidual = 4, kAveraged = 8;

ConvInt8& conv_of(Plan& plan, size_t step) { return std::get<ConvInt8>(plan.steps[step].body); }
template <class T>
void set_constant(Plan& plan, BufferId id, T value) {
  std::memcpy(plan.constants.data() + plan.buffers[id.index()].offset, &value, sizeof value);
}

struct Lie {
  const char* message;  // part of it
  void (*tell)(Plan&);
};

const Lie kLies[] = {
    {"step node4 (ConvInt8): names no buffer",
     [](Plan& p) { conv_of(p, kResidual).residual = BufferId(size_t{4096}); }},
    {"step node4 (ConvInt8): takes int8 or uint8",
     [](Plan& p) { conv_of(p, kResidual).residual = BufferId(size_t{0}); }},
    {"step node4 (ConvInt8): reads and writes the same bytes",
     [](Plan& p) { conv_of(p, kResidual).residual = conv_of(p, kResidual).y; }},
    {"step node4 (ConvInt8): a zero point does not fit",
     [](Plan& p) { conv_of(p, kResidual).residual_zero_point = -1; }},
    {"step node4 (ConvInt8): a scale is not a positive number",
     [](Plan& p) { conv_of(p, kResidual).residual_scale = NAN; }},
    {"step node4 (ConvInt8): a scale is not a positive number",
     [](Plan& p) { conv_of(p, kResidual).sum_scale = 0.0f; }},
    {"step node4 (ConvInt8): joins more than one step",
     [](Plan& p) { conv_of(p, kResidual).pool = conv_of(p, kPooled).pool; }},
    {"step node8 (ConvInt8): joins more than one step",
     [](Plan& p) { conv_of(p, kAveraged).residual = conv_of(p, kAveraged).x; }},
    {"step node8 (ConvInt8): bounds do not fit",
     [](Plan& p) { conv_of(p, kAveraged).last.high = 256; }},
    {"step node8 (ConvInt8): a multiplier is not finite",
     [](Plan& p) { set_constant(p, conv_of(p, kAveraged).average, INFINITY); }},
    {"step node8 (ConvInt8): buffer",
     [](Plan& p) { conv_of(p, kAveraged).average = conv_of(p, kAveraged).bias; }},
    {"step node1 (ConvInt8): the fused pool does not fit",
     [](Plan& p) { conv_of(p, kPooled).pool->in_h += 1; }},
    {"step node1 (ConvInt8): a pool has an empty window",
     [](Plan& p) { conv_of(p, kPooled).pool->stride_h = 1 << 20; }},
    {"step node1 (ConvInt8): a window size is out of range",
     [](Plan& p) { conv_of(p, kPooled).window.stride_w = 0; }},
    {"step node1 (ConvInt8): sizes are too large",
     [](Plan& p) {
       Window2d& w = conv_of(p, kPooled).window;
       w.kernel_h = w.kernel_w = w.channels = 1 << 20;
     }},
    {"step node1 (ConvInt8): channels do not fit the groups",
     [](Plan& p) { conv_of(p, kPooled).groups = 0; }},
    {"step node1 (ConvInt8): buffer 'c", [](Plan& p) { conv_of(p, kPooled).out_channels += 16; }},
    {"step node1 (ConvInt8): a multiplier is not finite",
     [](Plan& p) { set_constant(p, conv_of(p, kPooled).multiplier, NAN); }},
    {"step node0 (Quantize): a scale is not a positive number",
     [](Plan& p) { std::get<Quantize>(p.steps[0].body).scale = -INFINITY; }},
    {"step node2 (ConvInt8): counts its multiply-adds wrongly",
     [](Plan& p) { p.steps[2].macs = -1; }},
    {"buffer b1: lies outside its memory",
     [](Plan& p) { p.buffers[1].offset = p.arena_size_bytes; }},
    {"buffer b1: is not aligned", [](Plan& p) { p.buffers[1].offset += 32; }},
    {"lies outside its memory", [](Plan& p) { p.arena_size_bytes -= kAlignmentBytes; }},
    {"plan: needs more memory", [](Plan& p) { p.arena_size_bytes = ~uint64_t{0}; }},
    {"plan: has an arena smaller than its lower bound",
     [](Plan& p) { p.arena_lower_bound_bytes = p.arena_size_bytes + 1; }},
    // Steps out of order, one missing, an output nobody wrote.
    {"step node2 (ConvInt8): reads buffer", [](Plan& p) { std::swap(p.steps[1], p.steps[2]); }},
    {"does not hold what a step wrote", [](Plan& p) { p.steps.erase(p.steps.begin() + 3); }},
    {"output bytes: reads buffer", [](Plan& p) { p.steps.pop_back(); }},
    // A step in between takes the residual's memory, as one of other bytes of the same size.
    {"step node4 (ConvInt8): reads buffer 'b",
     [](Plan& p) {
       const BufferId kept = conv_of(p, 2).y, now = conv_of(p, 3).y;
       conv_of(p, kResidual).residual = kept;
       p.buffers.push_back(p.buffers[kept.index()]);
       p.buffers.back().dtype = DType::kInt8;
       const BufferId sum(p.buffers.size() - 1);
       Step step = p.steps[3];
       step.body = BinaryInt8{ByteOp::kAdd, now, now, sum, 0, 0, 1.0f, 1.0f, 1.0f, {}};
       p.steps.insert(p.steps.begin() + 4, step);
     }},
};

TEST(CheckPlan, SaysWhichStepIsWrongAndHow) {
  for (const Lie& lie : kLies) {
    Plan plan = chain(DType::kUInt8);
    lie.tell(plan);
    const Result<void> checked = check_plan(plan);
    ASSERT_FALSE(checked.ok()) << lie.message;
    EXPECT_EQ(checked.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(checked.error().message().find(lie.message), std::string::npos)
        << checked.error().message() << "\nexpected: " << lie.message;
  }
}

// Many steps that each pack the same constant, or count the rows of a tall image: a small file that
// would take more memory than any machine has.
TEST(CheckPlan, WeightsPackedOverAndOverAreRefused) {
  PlanBuilder b;
  const BufferId x = b.input({1, 1, 1 << 20});
  BufferId from = b.buffer(DType::kInt8, {1, 1, 1 << 20});
  b.step(Quantize{x, from, {}, {}, ByteOrder::kSame, 1, 1 << 20, 0.1f, {}});
  BufferId to = b.buffer(DType::kInt8, {1, 1, 1 << 20});
  ConvInt8 conv;
  conv.weights = b.constant(Tensor::of<int8_t>({1}, {1}));
  conv.bias = b.constant(Tensor::of<int32_t>({1}, {0}));
  conv.multiplier = b.constant(Tensor::of<float>({1}, {1.0f}));
  conv.window.in_h = conv.window.out_h = 1 << 20;
  for (int i = 0; i < 2000; ++i) {
    conv.x = from;
    conv.y = to;
    b.step(conv);
    std::swap(from, to);
  }
  b.output(from);
  const Result<void> checked = check_plan(b.plan);
  ASSERT_FALSE(checked.ok());
  EXPECT_NE(checked.error().message().find("has too many weights"), std::string::npos)
      << checked.error().message();
  b.plan.steps.resize(901);
  b.plan.outputs[0].buffer = conv.x;
  EXPECT_TRUE(check_plan(b.plan).ok()) << check_plan(b.plan).error().message();
}

}  // namespace
}  // namespace graupel::run
