// Slice against a walk with Python's rules, and Pad against its definition, over all small cases.
#include "ir/eval_testing.h"

namespace graupel::ir {
namespace {

constexpr int64_t kSize = 5;

Tensor counting() { return Tensor::of<int64_t>({kSize}, {0, 1, 2, 3, 4}); }

// Python's x[start:end:step]: bounds count from the end if negative, then are cut to the list.
std::vector<int64_t> python_slice(int64_t start, int64_t end, int64_t step) {
  const auto bound = [&](int64_t value) {
    if (value < 0) value += kSize;
    if (step > 0) return std::clamp<int64_t>(value, 0, kSize);
    return std::clamp<int64_t>(value, -1, kSize - 1);
  };
  std::vector<int64_t> taken;
  for (int64_t i = bound(start); step > 0 ? i < bound(end) : i > bound(end); i += step) {
    taken.push_back(i);
  }
  return taken;
}

TEST(EvalMove, SliceFollowsPython) {
  const Tensor x = counting(), axes = Tensor::of<int64_t>({1}, {-1});
  for (int64_t start = -7; start <= 7; ++start)
    for (int64_t end = -7; end <= 7; ++end)
      for (const int64_t step : {-3, -2, -1, 1, 2, 3, 9}) {
        const Tensor from = Tensor::of<int64_t>({1}, {start});
        const Tensor to = Tensor::of<int64_t>({1}, {end});
        const Tensor by = Tensor::of<int64_t>({1}, {step});
        ASSERT_EQ(result_of(Slice{}, {&x, &from, &to, &axes, &by}).to_int64s(),
                  python_slice(start, end, step))
            << start << ":" << end << ":" << step;
      }
}

TEST(EvalMove, SliceWithExtremeBounds) {
  const Tensor x = counting();
  struct Row {
    int64_t start, end, step;
    std::vector<int64_t> want;
  };
  const Row rows[] = {{0, INT64_MAX, 1, {0, 1, 2, 3, 4}},
                      {INT64_MAX, INT64_MIN, -1, {4, 3, 2, 1, 0}},
                      {INT64_MIN, INT64_MAX, INT64_MAX, {0}},
                      {-1, INT64_MIN, INT64_MIN, {4}},
                      {INT64_MIN, INT64_MIN, 1, {}}};
  for (const Row& row : rows) {
    const Tensor from = Tensor::of<int64_t>({1}, {row.start});
    const Tensor to = Tensor::of<int64_t>({1}, {row.end});
    const Tensor by = Tensor::of<int64_t>({1}, {row.step});
    EXPECT_EQ(result_of(Slice{}, {&x, &from, &to, nullptr, &by}).to_int64s(), row.want);
  }
  const Tensor zero = Tensor::of<int64_t>({1}, {0});
  EXPECT_TRUE(fails(Slice{}, {&x, &zero, &zero, nullptr, &zero}));
}

// Which element of the input lies at `i` of the padded axis; -1 for the constant.
int64_t padded_source(PadMode mode, int64_t i) {
  if (i >= 0 && i < kSize) return i;
  if (mode == PadMode::kConstant) return -1;
  if (mode == PadMode::kEdge) return i < 0 ? 0 : kSize - 1;
  const int64_t period = 2 * (kSize - 1);  // reflect: 0 1 2 3 4 3 2 1 | 0 1 ...
  const int64_t phase = ((i % period) + period) % period;
  return phase < kSize ? phase : period - phase;
}

TEST(EvalMove, PadFollowsItsDefinition) {
  const Tensor x = counting(), fill = Tensor::scalar<int64_t>(-1);
  for (const PadMode mode : {PadMode::kConstant, PadMode::kEdge, PadMode::kReflect})
    for (int64_t begin = -3; begin <= 4; ++begin)
      for (int64_t end = -2; end <= 4; ++end) {
        // Cutting and mirroring at once means different things to different runtimes.
        if (mode == PadMode::kReflect && (begin < 0 || end < 0)) continue;
        std::vector<int64_t> want;
        for (int64_t i = -begin; i < kSize + end; ++i) want.push_back(padded_source(mode, i));
        const Tensor pads = Tensor::of<int64_t>({2}, {begin, end});
        ASSERT_EQ(result_of(Pad{mode}, {&x, &pads, &fill}).to_int64s(), want)
            << to_string(mode) << " " << begin << " " << end;
      }
}

TEST(EvalMove, TransposeMovesEveryElement) {
  Rng rng(31);
  const Tensor x = random_floats(rng, {2, 3, 4});
  const Tensor y = result_of(Transpose{{2, 0, 1}}, {&x});
  ASSERT_EQ(y.shape(), (Shape{4, 2, 3}));
  for (int64_t a = 0; a < 2; ++a)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t c = 0; c < 4; ++c) {
        ASSERT_EQ(y.data<float>()[static_cast<size_t>((c * 2 + a) * 3 + b)],
                  x.data<float>()[static_cast<size_t>((a * 3 + b) * 4 + c)]);
      }
  EXPECT_TRUE(fails(Transpose{{0, 0, 1}}, {&x}));
}

}  // namespace
}  // namespace graupel::ir
