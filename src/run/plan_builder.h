// Plans by hand, for tests and the fuzz corpus: every buffer gets fresh memory.
#pragma once

#include <string>
#include <utility>

#include "base/rng.h"
#include "run/plan.h"

namespace graupel::run {

struct PlanBuilder {
  Plan plan;

  BufferId buffer(DType dtype, Shape shape, Layout layout = Layout::kRowMajor) {
    Buffer b;
    b.name = "b" + std::to_string(plan.buffers.size());
    b.dtype = dtype;
    b.shape = std::move(shape);
    b.layout = layout;
    b.offset = plan.arena_size_bytes;
    const auto size = static_cast<uint64_t>(buffer_bytes(b));
    plan.arena_size_bytes += (size + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
    plan.buffers.push_back(std::move(b));
    return BufferId(plan.buffers.size() - 1);
  }
  BufferId constant(const Tensor& tensor) {
    return add_constant(plan, "c" + std::to_string(plan.buffers.size()), tensor);
  }
  BufferId input(Shape shape) {
    const BufferId id = buffer(DType::kFloat32, std::move(shape));
    plan.inputs.push_back({"input", id, Role::kOther});
    return id;
  }
  void output(BufferId id, std::string name = "output", Role role = Role::kOther) {
    plan.outputs.push_back({std::move(name), id, role});
  }
  void step(StepBody body, Part part = Part::kDevice) {
    const std::string name = "node" + std::to_string(plan.steps.size());
    plan.steps.push_back({name, part, 0, 0, std::move(body)});
  }
};

inline Tensor random_int8(Rng& rng, Shape shape, int low = -127, int high = 127) {
  Tensor tensor(DType::kInt8, std::move(shape));
  for (int8_t& value : tensor.mutable_data<int8_t>()) {
    value = static_cast<int8_t>(low + static_cast<int>(rng.below(uint64_t(high - low + 1))));
  }
  return tensor;
}
inline Tensor random_int32(Rng& rng, Shape shape, int magnitude) {
  Tensor tensor(DType::kInt32, std::move(shape));
  for (int32_t& value : tensor.mutable_data<int32_t>()) {
    value = static_cast<int32_t>(rng.below(uint64_t(2 * magnitude + 1))) - magnitude;
  }
  return tensor;
}
inline Tensor random_float(Rng& rng, Shape shape, double low, double high) {
  Tensor tensor(DType::kFloat32, std::move(shape));
  for (float& value : tensor.mutable_data<float>()) {
    value = static_cast<float>(rng.uniform(low, high));
  }
  return tensor;
}

// A small network with most step kinds: 3x6x8 image -> conv + pool -> depthwise -> average pool ->
// fully connected -> softmax, arg max, and integer arithmetic on the index.
inline Plan sample_plan() {
  Rng rng(7);
  PlanBuilder b;
  const BufferId x = b.input({1, 3, 6, 8});
  const BufferId q = b.buffer(DType::kUInt8, {1, 3, 6, 8}, Layout::kChannelsLast);
  const BufferId mean = b.constant(Tensor::of<double>({3}, {0.1, 0.2, 0.3}));
  const BufferId deviation = b.constant(Tensor::of<double>({3}, {1.0, 2.0, 0.5}));
  b.step(Quantize{x, q, mean, deviation, ByteOrder::kChannelsLast, 3, 48, 0.02f, {100, 0, 255}});
  ConvInt8 conv;
  conv.x = q;
  conv.weights = b.constant(random_int8(rng, {20, 3, 3, 3}));
  conv.bias = b.constant(random_int32(rng, {20}, 1000));
  conv.multiplier = b.constant(random_float(rng, {20}, 0.0005, 0.002));
  conv.y = b.buffer(DType::kInt8, {1, 20, 3, 4}, Layout::kChannelsLast);
  conv.window = {3, 6, 8, 6, 8, 3, 3, 1, 1, 1, 1, 1, 1};
  conv.out_channels = 20;
  conv.x_zero_point = 100;
  conv.requantize = {0, 0, 127};
  conv.pool = Window2d{20, 6, 8, 3, 4, 2, 2, 2, 2, 1, 1, 0, 0};
  b.step(conv);
  ConvInt8 depthwise = conv;
  depthwise.x = conv.y;
  depthwise.weights = b.constant(random_int8(rng, {20, 3, 3, 1}));
  depthwise.y = b.buffer(DType::kInt8, {1, 20, 3, 4}, Layout::kChannelsLast);
  depthwise.window = {20, 3, 4, 3, 4, 3, 3, 1, 1, 1, 1, 1, 1};
  depthwise.groups = 20;
  depthwise.x_zero_point = 0;
  depthwise.pool.reset();
  b.step(depthwise);
  const BufferId sum = b.buffer(DType::kInt8, {1, 20, 3, 4}, Layout::kChannelsLast);
  b.step(BinaryInt8{ByteOp::kAdd, conv.y, depthwise.y, sum, 0, 0, 0.1f, 0.2f, 0.25f, {}});
  const BufferId mean_pool = b.buffer(DType::kInt8, {1, 20, 1, 1});
  b.step(AveragePoolInt8{sum,
                         mean_pool,
                         b.constant(Tensor::of<float>({1}, {1.0f / 12.0f})),
                         {20, 3, 4, 1, 1, 3, 4, 3, 4, 1, 1, 0, 0},
                         0,
                         {}});
  const BufferId y = b.buffer(DType::kFloat32, {1, 20});
  b.step(Dequantize{mean_pool, y, ByteOrder::kSame, 20, 1, 0.25f, 0});
  const BufferId logits = b.buffer(DType::kFloat32, {1, 5});
  MatMul gemm;
  gemm.a = y;
  gemm.b = b.constant(random_float(rng, {20, 5}, -1.0, 1.0));
  gemm.c = b.constant(random_float(rng, {5}, -1.0, 1.0));
  gemm.y = logits;
  gemm.n = 5;
  gemm.k = 20;
  gemm.a_row = 20;
  gemm.b_row = 5;
  gemm.c_column = 1;
  b.step(gemm, Part::kHost);
  const BufferId probability = b.buffer(DType::kFloat32, {1, 5});
  b.step(Softmax{SoftmaxOp::kSoftmax, logits, probability, 1, 5, 1}, Part::kHost);
  const BufferId best = b.buffer(DType::kInt64, {1, 1});
  b.step(ArgReduce{ArgOp::kMax, Tie::kFirst, logits, best, 1, 5, 1}, Part::kHost);
  const BufferId code = b.buffer(DType::kInt64, {1, 1});
  const BufferId basis = b.constant(Tensor::of<int64_t>({1}, {8}));
  b.step(Binary{BinaryOp::kMul, best, basis, code, {1, 1}, {1, 1}, {0, 0}}, Part::kHost);
  b.output(logits, "logits", Role::kLogits);
  b.output(probability, "probability");
  b.output(code, "code", Role::kFsqCode);
  b.plan.model_name = "sample";
  return b.plan;
}

}  // namespace graupel::run
