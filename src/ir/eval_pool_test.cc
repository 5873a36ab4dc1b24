// Pools against a literal loop in double, over all small kernels, strides, dilations, pads and
// both ways of rounding the output's size.
#include <cmath>
#include <cstring>

#include "ir/eval_testing.h"

namespace graupel::ir {
namespace {

struct Axis {
  int64_t in, kernel, stride, dilation, pad_begin, pad_end;
};

// The standard's formula; a last window that starts behind input and begin pad is dropped.
int64_t window_count(const Axis& axis, bool ceil_mode) {
  const double room = static_cast<double>(axis.in + axis.pad_begin + axis.pad_end -
                                          axis.dilation * (axis.kernel - 1) - 1);
  const double steps = room / static_cast<double>(axis.stride);
  int64_t count = static_cast<int64_t>(ceil_mode ? std::ceil(steps) : std::floor(steps)) + 1;
  if (ceil_mode && (count - 1) * axis.stride >= axis.in + axis.pad_begin) --count;
  return count;
}

struct Pooled {
  std::vector<double> maxima, means, padded_means;
};

// One plane [in, in] with the same axis twice.
void pool_plane(const Axis& a, bool ceil_mode, const float* x, Pooled& out) {
  const int64_t count = window_count(a, ceil_mode);
  for (int64_t oy = 0; oy < count; ++oy) {
    for (int64_t ox = 0; ox < count; ++ox) {
      double sum = 0, most = -INFINITY, inside = 0, padded = 0;
      for (int64_t ky = 0; ky < a.kernel; ++ky) {
        for (int64_t kx = 0; kx < a.kernel; ++kx) {
          const int64_t y = oy * a.stride + ky * a.dilation - a.pad_begin;
          const int64_t z = ox * a.stride + kx * a.dilation - a.pad_begin;
          if (y < a.in + a.pad_end && z < a.in + a.pad_end) padded += 1;
          if (y < 0 || z < 0 || y >= a.in || z >= a.in) continue;
          const double value = x[y * a.in + z];
          sum += value;
          most = std::max(most, value);
          inside += 1;
        }
      }
      out.maxima.push_back(most);
      out.means.push_back(inside == 0 ? 0 : sum / inside);
      out.padded_means.push_back(padded == 0 ? 0 : sum / padded);
    }
  }
}

TEST(EvalPool, EqualsTheLiteralLoop) {
  Rng rng(11);
  const Tensor x = random_floats(rng, {2, 2, 6, 6});
  int cases = 0;
  for (int64_t kernel = 1; kernel <= 3; ++kernel)
    for (int64_t stride = 1; stride <= 3; ++stride)
      for (int64_t dilation = 1; dilation <= 2; ++dilation)
        for (int64_t begin = 0; begin < kernel; ++begin)
          for (int64_t end = 0; end < kernel; ++end)
            for (const bool ceil_mode : {false, true}) {
              const Axis axis{6, kernel, stride, dilation, begin, end};
              Pooled want;
              for (int64_t plane = 0; plane < 4; ++plane) {
                pool_plane(axis, ceil_mode, x.data<float>().data() + plane * 36, want);
              }
              const Window window{{kernel, kernel},
                                  {stride, stride},
                                  {dilation, dilation},
                                  {begin, begin, end, end},
                                  AutoPad::kNotSet};
              const std::string what = "kernel " + std::to_string(kernel) + " stride " +
                                       std::to_string(stride) + " dilation " +
                                       std::to_string(dilation) + " pads " + std::to_string(begin) +
                                       "," + std::to_string(end) + (ceil_mode ? " ceil" : " floor");
              const Tensor* input = &x;
              expect_near(result_of(MaxPool{window, ceil_mode, false}, {input}), want.maxima, 0.0,
                          what);
              expect_near(result_of(AveragePool{window, ceil_mode, false}, {input}), want.means,
                          1e-6, what);
              expect_near(result_of(AveragePool{window, ceil_mode, true}, {input}),
                          want.padded_means, 1e-6, what);
              ++cases;
            }
  EXPECT_EQ(cases, 3 * 2 * (1 + 4 + 9) * 2);
}

TEST(EvalPool, IndicesPointAtTheMaximum) {
  Rng rng(12);
  const Tensor x = random_floats(rng, {2, 3, 5, 7});
  const Tensor* inputs[] = {&x};
  for (const bool column_major : {false, true}) {
    MaxPool op;
    op.window = {{2, 3}, {2, 1}, {1, 2}, {1, 0, 0, 1}, AutoPad::kNotSet};
    op.column_major_indices = column_major;
    const Result<std::vector<Tensor>> both = evaluate_op(op, inputs, 2);
    ASSERT_TRUE(both.ok()) << both.error().message();
    const std::vector<int64_t> indices = (*both)[1].to_int64s();
    const std::span<const float> values = (*both)[0].data<float>();
    ASSERT_EQ(indices.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      int64_t at = indices[i];
      if (column_major) {  // inside its plane: column * rows + row
        const int64_t local = at % 35;
        at = at - local + local % 5 * 7 + local / 5;
      }
      EXPECT_EQ(x.data<float>()[static_cast<size_t>(at)], values[i]);
    }
  }
}

// Asked for the places or not: the same bytes, the first NaN's own among them.
TEST(EvalPool, TheFirstNotANumberOfAWindowWins) {
  Rng rng(13);
  Tensor x = random_floats(rng, {1, 40, 6, 9});
  const float special[] = {std::nanf("1"), std::nanf("2"), INFINITY, -INFINITY, -0.0f, 0.0f};
  for (float& value : x.mutable_data<float>()) {
    if (rng.below(6) == 0) value = special[rng.below(6)];
  }
  const Tensor* inputs[] = {&x};
  MaxPool op;
  op.window = {{2, 3}, {1, 2}, {1, 1}, {1, 0, 0, 1}, AutoPad::kNotSet};
  const Result<std::vector<Tensor>> both = evaluate_op(op, inputs, 2);
  ASSERT_TRUE(both.ok());
  const Tensor alone = result_of(op, {&x});
  EXPECT_EQ(alone, (*both)[0]) << "byte by byte";
  const std::vector<int64_t> indices = (*both)[1].to_int64s();
  for (size_t i = 0; i < indices.size(); ++i) {
    const float there = x.data<float>()[static_cast<size_t>(indices[i])];
    EXPECT_EQ(std::memcmp(&there, &alone.data<float>()[i], sizeof there), 0) << i;
  }
}

TEST(EvalPool, GlobalPoolsAndNotANumber) {
  const Tensor x = Tensor::of<float>({1, 2, 1, 3}, {1, 5, -3, NAN, 2, 7});
  const std::vector<double> mean = result_of(GlobalPool{PoolKind::kAverage}, {&x}).to_doubles();
  const std::vector<double> most = result_of(GlobalPool{PoolKind::kMax}, {&x}).to_doubles();
  EXPECT_DOUBLE_EQ(mean[0], 1.0);
  EXPECT_DOUBLE_EQ(most[0], 5.0);
  EXPECT_TRUE(std::isnan(mean[1]) && std::isnan(most[1]));
  const Tensor empty(DType::kFloat32, {1, 2, 0, 3});
  EXPECT_TRUE(fails(GlobalPool{}, {&empty}));
}

TEST(EvalPool, IntegersAreTakenToo) {
  const Tensor x = Tensor::of<uint8_t>({1, 1, 1, 4}, {3, 250, 7, 9});
  MaxPool op;
  op.window.kernel = {1, 2};
  const Tensor y = result_of(op, {&x});
  EXPECT_EQ(y.dtype(), DType::kUInt8);
  EXPECT_EQ(y.to_int64s(), (std::vector<int64_t>{250, 250, 9}));
}

}  // namespace
}  // namespace graupel::ir
