// Answers to compare with. See reference.h. Test: analysis_test.cc.
#include "quantize/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/eval.h"

namespace graupel::quantize {

Tensor spread_windows(const Tensor& windows, size_t count) {
  const auto available = static_cast<size_t>(windows.shape()[0]);
  if (count >= available) return windows;
  Shape shape = windows.shape();
  shape[0] = static_cast<int64_t>(count);
  Tensor some(windows.dtype(), shape);
  const size_t size_bytes = windows.size_bytes() / available;
  for (size_t i = 0; i < count; ++i) {
    std::copy_n(windows.bytes() + i * available / count * size_bytes, size_bytes,
                some.mutable_bytes() + i * size_bytes);
  }
  return some;
}

std::vector<int64_t> spread_numbers(const std::vector<int64_t>& numbers, size_t count) {
  if (count >= numbers.size()) return numbers;
  std::vector<int64_t> some(count);
  for (size_t i = 0; i < count; ++i) some[i] = numbers[i * numbers.size() / count];
  return some;
}

size_t affordable_windows(const ir::Graph& device, double work, size_t fewest, size_t most) {
  const double each = std::max(1.0, static_cast<double>(ir::multiply_adds(device)));
  return std::clamp(static_cast<size_t>(work / each), fewest, most);
}

Result<Reference> make_reference(const ir::Graph& device, const Tensor& windows, size_t count) {
  Reference reference;
  reference.windows = spread_windows(windows, count);
  TRY_ASSIGN(reference.outputs, ir::evaluate_windows(device, reference.windows));
  return reference;
}

double relative_noise(const std::vector<Tensor>& exact, const std::vector<Tensor>& close) {
  double sum = 0.0;
  for (size_t output = 0; output < exact.size(); ++output) {
    const std::vector<double> x = exact[output].to_doubles();
    const std::vector<double> y = close[output].to_doubles();
    double signal = 0.0, noise = 0.0;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      const double error = x[i] - y[i];
      signal += x[i] * x[i];
      noise += error * error;
    }
    sum += signal > 0.0 ? noise / signal : noise;
  }
  return sum / static_cast<double>(std::max<size_t>(exact.size(), 1));
}

Result<double> output_noise(const ir::Graph& qdq, const Reference& reference) {
  ir::EvalOptions options;
  options.qdq = ir::QdqMode::kInteger;
  TRY_ASSIGN(const std::vector<Tensor> found,
             ir::evaluate_windows(qdq, reference.windows, options));
  return relative_noise(reference.outputs, found);
}

double noise_db(double noise_over_signal) {
  if (noise_over_signal <= 0.0) return std::numeric_limits<double>::infinity();
  return -10.0 * std::log10(noise_over_signal);
}

Result<ir::Graph> prefix_of(const ir::Graph& graph, ir::ValueId output) {
  ir::Graph part = graph;
  part.outputs = {output};
  return ir::compact(std::move(part));
}

}  // namespace graupel::quantize
