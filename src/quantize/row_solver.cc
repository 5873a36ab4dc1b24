// Solvers for one row of weights. See row_solver.h. Test: layers_test.cc.
#include "quantize/row_solver.h"

#include <algorithm>
#include <cmath>

namespace graupel::quantize {
namespace {

// AdaRound's constants: the stretched sigmoid, the share of iterations without regularisation, and
// the bounds between which its exponent falls.
constexpr float kZeta = 1.1f, kGamma = -0.1f;
constexpr float kWarmStart = 0.2f;
constexpr float kBetaFirst = 20.0f, kBetaLast = 2.0f;
constexpr float kRegularization = 1.0f;
constexpr float kRoundingRate = 0.02f;  // of Adam, for the soft rounding
constexpr float kWeightRate = 0.03f;    // of Adam, in steps of the scale

struct Adam {
  std::vector<float> first, second;
  float first_power = 1.0f, second_power = 1.0f;

  explicit Adam(size_t size) : first(size, 0.0f), second(size, 0.0f) {}
  void begin_step() {
    first_power *= 0.9f;
    second_power *= 0.999f;
  }
  float change(size_t i, float gradient, float rate) {
    first[i] = 0.9f * first[i] + 0.1f * gradient;
    second[i] = 0.999f * second[i] + 0.001f * gradient * gradient;
    const float mean = first[i] / (1.0f - first_power);
    const float power = second[i] / (1.0f - second_power);
    return rate * mean / (std::sqrt(power) + 1e-8f);
  }
};

// gradient = H v - c
void product(const RowProblem& problem, std::span<const float> v, std::vector<float>& gradient) {
  const size_t depth = v.size();
  for (size_t k = 0; k < depth; ++k) gradient[k] = -problem.wanted[k];
  float* const out = gradient.data();
  for (size_t j = 0; j < depth; ++j) {
    const float factor = v[j];
    if (factor == 0.0f) continue;
    const float* const row = problem.covariance.data() + j * depth;
    for (size_t k = 0; k < depth; ++k) out[k] += factor * row[k];
  }
}

float clamp_code(float code, double largest) {
  const auto limit = static_cast<float>(largest);
  return std::clamp(code, -limit, limit);
}

// What one step of a code costs at random: the scale that makes gradients of all rows alike.
float typical_cost(const RowProblem& problem) {
  double trace = 0.0;
  const size_t depth = problem.weights.size();
  for (size_t k = 0; k < depth; ++k) {
    trace += static_cast<double>(problem.covariance[k * depth + k]);
  }
  return static_cast<float>(trace / static_cast<double>(depth) * problem.scale * problem.scale /
                            12);
}

}  // namespace

double row_cost(const RowProblem& problem, std::span<const double> codes) {
  const size_t depth = codes.size();
  double cost = 0.0;
  for (size_t j = 0; j < depth; ++j) {
    const double v = codes[j] * problem.scale;
    if (v == 0.0) continue;
    double sum = -2.0 * static_cast<double>(problem.wanted[j]);
    const float* const row = problem.covariance.data() + j * depth;
    for (size_t k = 0; k < depth; ++k) {
      sum += static_cast<double>(row[k]) * codes[k] * problem.scale;
    }
    cost += v * sum;
  }
  return cost;
}

std::vector<double> solve_nearest(const RowProblem& problem) {
  std::vector<double> codes;
  for (const double weight : problem.weights) {
    codes.push_back(std::clamp(std::nearbyint(weight / problem.scale), -problem.largest_code,
                               problem.largest_code));
  }
  return codes;
}

std::vector<double> solve_adaround(const RowProblem& problem, size_t iterations) {
  const size_t depth = problem.weights.size();
  const float typical = typical_cost(problem);
  if (!(typical > 0.0f)) return solve_nearest(problem);
  const auto scale = static_cast<float>(problem.scale);
  std::vector<float> floors(depth), v(depth), soft(depth), slope(depth), weights(depth);
  for (size_t k = 0; k < depth; ++k) {
    const double ratio = problem.weights[k] / problem.scale;
    floors[k] = static_cast<float>(std::floor(ratio));
    const auto rest = static_cast<float>(ratio - std::floor(ratio));
    const float stretched = std::clamp((rest - kGamma) / (kZeta - kGamma), 0.01f, 0.99f);
    v[k] = std::log(stretched / (1.0f - stretched));
  }
  std::vector<float> gradient(depth);
  Adam adam(depth);
  const auto warm = static_cast<size_t>(kWarmStart * static_cast<float>(iterations));
  for (size_t step = 0; step < iterations; ++step) {
    for (size_t k = 0; k < depth; ++k) {
      const float sigmoid = 1.0f / (1.0f + std::exp(-v[k]));
      const float stretched = sigmoid * (kZeta - kGamma) + kGamma;
      soft[k] = std::clamp(stretched, 0.0f, 1.0f);
      slope[k] =
          stretched > 0.0f && stretched < 1.0f ? sigmoid * (1 - sigmoid) * (kZeta - kGamma) : 0.0f;
      weights[k] = scale * clamp_code(floors[k] + soft[k], problem.largest_code);
    }
    product(problem, weights, gradient);
    const float progress = step < warm
                               ? 0.0f
                               : static_cast<float>(step - warm) /
                                     static_cast<float>(std::max<size_t>(1, iterations - warm));
    const float beta =
        kBetaLast + (kBetaFirst - kBetaLast) * 0.5f * (1.0f + std::cos(3.14159265f * progress));
    adam.begin_step();
    for (size_t k = 0; k < depth; ++k) {
      float g = 2.0f * gradient[k] * scale / typical;
      if (step >= warm) {
        const float side = 2.0f * soft[k] - 1.0f;
        const float power = std::pow(std::abs(side), beta - 1.0f);
        g -= kRegularization * 2.0f * beta * std::copysign(power, side);
      }
      v[k] -= adam.change(k, g * slope[k], kRoundingRate);
    }
  }
  std::vector<double> codes;
  for (size_t k = 0; k < depth; ++k) {
    codes.push_back(clamp_code(floors[k] + (v[k] >= 0.0f ? 1.0f : 0.0f), problem.largest_code));
  }
  return codes;
}

std::vector<double> solve_finetune(const RowProblem& problem, size_t iterations) {
  const size_t depth = problem.weights.size();
  const float typical = typical_cost(problem);
  std::vector<double> best = solve_nearest(problem);
  if (!(typical > 0.0f)) return best;
  double least = row_cost(problem, best);
  const auto scale = static_cast<float>(problem.scale);
  std::vector<float> latent(depth), weights(depth), gradient(depth);
  for (size_t k = 0; k < depth; ++k) {
    latent[k] = static_cast<float>(problem.weights[k] / problem.scale);
  }
  Adam adam(depth);
  std::vector<double> codes(depth);
  constexpr size_t kJudgeEvery = 10;
  for (size_t step = 0; step < iterations; ++step) {
    for (size_t k = 0; k < depth; ++k) {
      const float code = clamp_code(std::nearbyint(latent[k]), problem.largest_code);
      codes[k] = code;
      weights[k] = scale * code;
    }
    if (step % kJudgeEvery == 0) {
      const double cost = row_cost(problem, codes);
      if (cost < least) {
        least = cost;
        best = codes;
      }
    }
    product(problem, weights, gradient);
    adam.begin_step();
    const float fall = 1.0f - static_cast<float>(step) / static_cast<float>(iterations);
    for (size_t k = 0; k < depth; ++k) {
      const float g = 2.0f * gradient[k] * scale / typical;
      latent[k] -= adam.change(k, g, kWeightRate * fall);
    }
  }
  return best;
}

std::vector<double> polish(const RowProblem& problem, std::vector<double> codes, size_t sweeps) {
  const size_t depth = codes.size();
  std::vector<double> gradient(depth);  // H v - c
  for (size_t k = 0; k < depth; ++k) gradient[k] = -static_cast<double>(problem.wanted[k]);
  const auto add = [&](size_t j, double change) {
    const float* const row = problem.covariance.data() + j * depth;
    for (size_t k = 0; k < depth; ++k) gradient[k] += change * static_cast<double>(row[k]);
  };
  for (size_t j = 0; j < depth; ++j) add(j, codes[j] * problem.scale);
  for (size_t sweep = 0; sweep < sweeps; ++sweep) {
    bool changed = false;
    for (size_t k = 0; k < depth; ++k) {
      const double curvature = static_cast<double>(problem.covariance[k * depth + k]);
      const double direction = gradient[k] > 0.0 ? -1.0 : 1.0;
      const double moved = codes[k] + direction;
      const double change = direction * problem.scale;
      const double gain = 2.0 * change * gradient[k] + change * change * curvature;
      if (gain >= 0.0 || std::abs(moved) > problem.largest_code) continue;
      codes[k] = moved;
      add(k, change);
      changed = true;
    }
    if (!changed) break;
  }
  return codes;
}

}  // namespace graupel::quantize
