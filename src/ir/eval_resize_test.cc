// Resize of one axis against the standard's formulas, in every coordinate and rounding mode, for
// all small sizes.
#include <cmath>

#include "ir/eval_testing.h"

namespace graupel::ir {
namespace {

double source(ResizeCoordinates mode, int64_t at, int64_t in, int64_t out) {
  const double x = static_cast<double>(at),
               scale = static_cast<double>(out) / static_cast<double>(in);
  switch (mode) {
    case ResizeCoordinates::kHalfPixel: return (x + 0.5) / scale - 0.5;
    case ResizeCoordinates::kPytorchHalfPixel: return out > 1 ? (x + 0.5) / scale - 0.5 : 0.0;
    case ResizeCoordinates::kAlignCorners:
      return out > 1 ? x * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
    default: return x / scale;
  }
}

int64_t rounded(ResizeNearest mode, double x) {
  const double below = std::floor(x);
  const bool half = x - below == 0.5;
  switch (mode) {
    case ResizeNearest::kFloor: return static_cast<int64_t>(below);
    case ResizeNearest::kCeil: return static_cast<int64_t>(std::ceil(x));
    case ResizeNearest::kRoundPreferFloor:
      return static_cast<int64_t>(half ? below : std::floor(x + 0.5));
    case ResizeNearest::kRoundPreferCeil:
      return static_cast<int64_t>(half ? below + 1 : std::floor(x + 0.5));
  }
  return 0;
}

constexpr ResizeCoordinates kCoordinates[] = {
    ResizeCoordinates::kHalfPixel, ResizeCoordinates::kPytorchHalfPixel,
    ResizeCoordinates::kAlignCorners, ResizeCoordinates::kAsymmetric};

TEST(EvalResize, LinearEqualsTheFormula) {
  Rng rng(41);
  for (int64_t in = 1; in <= 5; ++in)
    for (int64_t out = 1; out <= 9; ++out)
      for (const ResizeCoordinates coordinates : kCoordinates) {
        if (in == out) continue;  // left alone whatever the mode
        const Tensor x = random_floats(rng, {1, 1, in});
        const std::vector<double> values = x.to_doubles();
        const auto clamped = [&](double index) {
          return values[static_cast<size_t>(std::clamp(index, 0.0, static_cast<double>(in - 1)))];
        };
        std::vector<double> want;
        for (int64_t i = 0; i < out; ++i) {
          const double at = source(coordinates, i, in, out), below = std::floor(at);
          want.push_back(clamped(below) * (1 - (at - below)) + clamped(below + 1) * (at - below));
        }
        Resize op;
        op.mode = ResizeMode::kLinear;
        op.coordinates = coordinates;
        const Tensor sizes = Tensor::of<int64_t>({3}, {1, 1, out});
        expect_near(result_of(op, {&x, nullptr, nullptr, &sizes}), want, 1e-6,
                    std::string(to_string(coordinates)) + " " + std::to_string(in) + " to " +
                        std::to_string(out));
      }
}

TEST(EvalResize, NearestEqualsTheFormula) {
  Rng rng(42);
  for (int64_t in = 1; in <= 5; ++in)
    for (const double ratio : {0.5, 1.5, 2.0, 3.0})
      for (const ResizeCoordinates coordinates : kCoordinates)
        for (const ResizeNearest nearest :
             {ResizeNearest::kFloor, ResizeNearest::kCeil, ResizeNearest::kRoundPreferFloor,
              ResizeNearest::kRoundPreferCeil}) {
          // Sizes with an exact ratio: whether 2.4999999 rounds up is nobody's definition.
          const double exact = static_cast<double>(in) * ratio;
          if (exact != std::floor(exact)) continue;
          const int64_t out = static_cast<int64_t>(exact);
          if (coordinates == ResizeCoordinates::kAlignCorners && out > 1 &&
              (4 * (in - 1)) % (out - 1) != 0) {
            continue;
          }
          const Tensor x = random_floats(rng, {1, 1, in});
          std::vector<double> want;
          for (int64_t i = 0; i < out; ++i) {
            const int64_t index = rounded(nearest, source(coordinates, i, in, out));
            want.push_back(
                x.to_doubles()[static_cast<size_t>(std::clamp<int64_t>(index, 0, in - 1))]);
          }
          Resize op;
          op.coordinates = coordinates;
          op.nearest = nearest;
          const Tensor scales = Tensor::of<float>({3}, {1, 1, static_cast<float>(ratio)});
          expect_near(result_of(op, {&x, nullptr, &scales}), want, 0.0,
                      std::string(to_string(coordinates)) + " " + std::string(to_string(nearest)) +
                          " " + std::to_string(in) + " to " + std::to_string(out));
        }
}

TEST(EvalResize, TwoAxesAreTheProductOfOne) {
  Rng rng(43);
  const Tensor x = random_floats(rng, {1, 2, 3, 4});
  Resize op;
  op.mode = ResizeMode::kLinear;
  const Tensor tall = Tensor::of<int64_t>({4}, {1, 2, 7, 4});
  const Tensor full = Tensor::of<int64_t>({4}, {1, 2, 7, 5});
  const Tensor columns = result_of(op, {&x, nullptr, nullptr, &tall});
  const Tensor steps = result_of(op, {&columns, nullptr, nullptr, &full});
  expect_near(result_of(op, {&x, nullptr, nullptr, &full}), steps.to_doubles(), 1e-6, "2 axes");
}

TEST(EvalResize, ImpossibleSizesAreErrors) {
  const Tensor x(DType::kFloat32, {1, 1, 4});
  for (const float scale : {0.0f, -1.0f, NAN, INFINITY, 1e30f}) {
    const Tensor scales = Tensor::of<float>({3}, {1, 1, scale});
    EXPECT_TRUE(fails(Resize{}, {&x, nullptr, &scales})) << scale;
  }
  const Tensor sizes = Tensor::of<int64_t>({3}, {1, 1, -4});
  EXPECT_TRUE(fails(Resize{}, {&x, nullptr, nullptr, &sizes}));
  EXPECT_TRUE(fails(Resize{}, {&x}));
}

}  // namespace
}  // namespace graupel::ir
