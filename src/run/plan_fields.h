// The fields of every plan struct in the order they are stored, so that reading, writing and
// checking share one list. fields(s) is a tuple of references. Private to src/run.
// Test: plan_test.cc (round trip of every step kind).
#pragma once

#include <tuple>

#include "run/plan.h"

namespace graupel::run {

inline auto fields(Buffer& b) {
  return std::tie(b.name, b.dtype, b.shape, b.layout, b.place, b.offset);
}
inline auto fields(Window2d& w) {
  return std::tie(w.channels, w.in_h, w.in_w, w.out_h, w.out_w, w.kernel_h, w.kernel_w, w.stride_h,
                  w.stride_w, w.dilation_h, w.dilation_w, w.pad_top, w.pad_left);
}
inline auto fields(Requantize& r) { return std::tie(r.zero_point, r.low, r.high); }
inline auto fields(ConvInt8& s) {
  return std::tie(s.x, s.weights, s.bias, s.multiplier, s.y, s.window, s.out_channels, s.groups,
                  s.x_zero_point, s.requantize, s.pool, s.average, s.residual,
                  s.residual_zero_point, s.q_scale, s.residual_scale, s.sum_scale, s.last);
}
inline auto fields(MaxPoolInt8& s) { return std::tie(s.x, s.y, s.window); }
inline auto fields(AveragePoolInt8& s) {
  return std::tie(s.x, s.y, s.multiplier, s.window, s.x_zero_point, s.requantize);
}
inline auto fields(Lookup& s) { return std::tie(s.x, s.y, s.table, s.tables, s.inner); }
inline auto fields(BinaryInt8& s) {
  return std::tie(s.op, s.a, s.b, s.y, s.a_zero_point, s.b_zero_point, s.a_scale, s.b_scale,
                  s.scale, s.requantize);
}
inline auto fields(Quantize& s) {
  return std::tie(s.x, s.y, s.mean, s.deviation, s.order, s.channels, s.inner, s.scale,
                  s.requantize);
}
inline auto fields(Dequantize& s) {
  return std::tie(s.x, s.y, s.order, s.channels, s.inner, s.scale, s.zero_point);
}
inline auto fields(Move& s) { return std::tie(s.x, s.y, s.table, s.kind, s.y_first, s.fill); }
inline auto fields(Unary& s) { return std::tie(s.op, s.x, s.y, s.a, s.b); }
inline auto fields(Binary& s) {
  return std::tie(s.op, s.a, s.b, s.y, s.dims, s.a_strides, s.b_strides);
}
inline auto fields(Where& s) {
  return std::tie(s.condition, s.a, s.b, s.y, s.dims, s.condition_strides, s.a_strides,
                  s.b_strides);
}
inline auto fields(MatMul& s) {
  return std::tie(s.a, s.b, s.c, s.y, s.m, s.n, s.k, s.a_row, s.a_column, s.b_row, s.b_column,
                  s.c_row, s.c_column, s.batch, s.a_batch, s.b_batch, s.alpha, s.beta);
}
inline auto fields(ConvF32& s) {
  return std::tie(s.kind, s.x, s.weights, s.bias, s.y, s.window, s.batch, s.out_channels, s.groups);
}
inline auto fields(PoolF32& s) { return std::tie(s.op, s.x, s.y, s.divisor, s.window); }
inline auto fields(Reduce& s) {
  return std::tie(s.op, s.x, s.y, s.outer, s.outer_strides, s.inner, s.inner_strides);
}
inline auto fields(Softmax& s) { return std::tie(s.op, s.x, s.y, s.outer, s.axis, s.inner); }
inline auto fields(ArgReduce& s) {
  return std::tie(s.op, s.tie, s.x, s.y, s.outer, s.axis, s.inner);
}
inline auto fields(Cast& s) { return std::tie(s.x, s.y); }
inline auto fields(Interpolate& s) {
  return std::tie(s.x, s.y, s.index, s.weight, s.taps, s.dims, s.strides);
}
inline auto fields(Normalize& s) {
  return std::tie(s.x, s.y, s.mean, s.deviation, s.channels, s.inner);
}
inline auto fields(RemoveMean& s) {
  return std::tie(s.x, s.y, s.centred, s.channels, s.rows, s.samples);
}
inline auto fields(Port& p) { return std::tie(p.name, p.buffer, p.role); }
inline auto fields(Step& s) { return std::tie(s.node, s.part, s.macs, s.bytes, s.body); }
inline auto fields(Plan& p) {
  return std::tie(p.model_name, p.inputs, p.outputs, p.buffers, p.steps, p.arena_size_bytes,
                  p.arena_lower_bound_bytes, p.constants);
}

// The number of enumerators, for refusing other values when reading.
template <class E>
constexpr uint8_t enum_count();
template <>
constexpr uint8_t enum_count<DType>() {
  return static_cast<uint8_t>(DType::kBool) + 1;
}
template <>
constexpr uint8_t enum_count<Layout>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<Place>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<ByteOp>() {
  return 3;
}
template <>
constexpr uint8_t enum_count<ByteOrder>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<MoveTable>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<UnaryOp>() {
  return kUnaryOpCount;
}
template <>
constexpr uint8_t enum_count<BinaryOp>() {
  return kBinaryOpCount;
}
template <>
constexpr uint8_t enum_count<ConvKind>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<PoolOp>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<ReduceOp>() {
  return static_cast<uint8_t>(ReduceOp::kSumSquare) + 1;
}
template <>
constexpr uint8_t enum_count<SoftmaxOp>() {
  return 3;
}
template <>
constexpr uint8_t enum_count<ArgOp>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<Tie>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<Part>() {
  return 2;
}
template <>
constexpr uint8_t enum_count<Role>() {
  return 4;
}

}  // namespace graupel::run
