// Speed of the reference evaluator: convolutions of the shapes people have, and one window of the
// example model. The counter "MAC/s" is multiply-adds per second on one core.
#include <benchmark/benchmark.h>

#include "base/rng.h"
#include "ir/eval.h"
#include "onnx/onnx.h"

namespace {

using namespace graupel;

Tensor random_floats(uint64_t seed, const Shape& shape) {
  Rng rng(seed);
  Tensor tensor(DType::kFloat32, shape);
  for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(rng.normal());
  return tensor;
}

void count(benchmark::State& state, int64_t multiply_adds) {
  state.counters["MAC/s"] = benchmark::Counter(
      static_cast<double>(multiply_adds) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate);
}

struct ConvShape {
  int64_t in, out, kernel_rows, kernel_columns, rows, columns;
};

// "Same" padding, stride 1.
void eval_conv(benchmark::State& state, ConvShape s) {
  const Tensor x = random_floats(1, {1, s.in, s.rows, s.columns});
  const Tensor w = random_floats(2, {s.out, s.in, s.kernel_rows, s.kernel_columns});
  ir::Conv op;
  const int64_t pad_rows = s.kernel_rows / 2, pad_columns = s.kernel_columns / 2;
  op.window.pads = {pad_rows, pad_columns, pad_rows, pad_columns};
  const Tensor* const inputs[] = {&x, &w};
  for (auto _ : state) {
    const Result<std::vector<Tensor>> y = ir::evaluate_op(op, inputs, 1);
    if (!y.ok()) return state.SkipWithError(y.error().message().c_str());
    benchmark::DoNotOptimize((*y)[0].bytes());
  }
  count(state, s.in * s.out * s.kernel_rows * s.kernel_columns * s.rows * s.columns);
}
BENCHMARK_CAPTURE(eval_conv, 32_to_64_1x5_on_2x25, ConvShape{32, 64, 1, 5, 2, 25});
BENCHMARK_CAPTURE(eval_conv, 32_to_64_1x5_on_2x50, ConvShape{32, 64, 1, 5, 2, 50});
BENCHMARK_CAPTURE(eval_conv, 9_to_32_1x7_on_2x100, ConvShape{9, 32, 1, 7, 2, 100});
BENCHMARK_CAPTURE(eval_conv, 64_to_64_3x3_on_56x56, ConvShape{64, 64, 3, 3, 56, 56});

void eval_example_window(benchmark::State& state) {
  const Result<ir::Graph> graph =
      onnx::read_model(GRAUPEL_SOURCE_DIR "/models/fsq_imu_synthetic.onnx");
  if (!graph.ok()) return state.SkipWithError(graph.error().message().c_str());
  const std::vector<Tensor> inputs = ir::probe_inputs(*graph, 1);
  for (auto _ : state) {
    const Result<std::vector<Tensor>> y = ir::evaluate(*graph, inputs);
    if (!y.ok()) return state.SkipWithError(y.error().message().c_str());
    benchmark::DoNotOptimize((*y)[0].bytes());
  }
  count(state, ir::multiply_adds(*graph));
}
BENCHMARK(eval_example_window)->Unit(benchmark::kMicrosecond);

}  // namespace
