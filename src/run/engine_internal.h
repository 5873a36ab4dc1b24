// How a loaded plan looks inside: packed weights and the functions that compute one step.
// Private to src/run.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "kernels/dispatch.h"
#include "run/engine.h"
#include "run/plan.h"
#include "run/plan_internal.h"

namespace graupel::run {

// A depthwise convolution on bytes, as depthwise_dot_row takes it. A kernel of one row has its
// columns as rows, in fours.
struct DepthwiseBytes {
  int32_t groups = 1;
  int32_t columns = 1;
  int64_t column_step = 1;
};

// One ConvInt8 as the kernels take it.
struct PackedConv {
  Window2d window;
  bool rows_joined = false;  // rows follow one another as positions of one long row
  bool depthwise = false;
  bool dot = false;                  // on bytes by dot_row or depthwise_dot_row, else on int16
  DepthwiseBytes depthwise_bytes;    // if depthwise and dot
  bool pair_pool = false;            // the fused pool is taken on neighbouring sums
  bool in_place = false;             // the input is read where it lies
  uint8_t flip = 0;                  // what turns an input byte into the dot product's type
  int32_t zero_point = 0;            // of the flipped bytes
  int32_t block_channels = 1;        // output channels per pass over the image
  int64_t row_w = 1;                 // columns of the laid-out input
  int32_t runs_per_row = 1;          // runs of one kernel row (taps, for depthwise)
  int32_t units = 1;                 // pairs or quads of values in a run
  std::vector<int32_t> offsets;      // of the runs or taps, from the first kernel row
  std::vector<int16_t> weights;      // blocks of [runs][pairs][16][2], or [taps][channels]
  std::vector<int8_t> bytes;         // blocks of [runs][quads][16][4], or DepthwiseBytes
  std::vector<int32_t> bias;         // [variants] blocks of 16, or channels rounded up to 16
  std::vector<int32_t> bias_of_row;  // per output row: where its variant starts
  std::vector<float> multiplier;     // blocks of 16, or channels rounded up to 16
  bool held = false;                 // its rows are held in scratch for what follows them
  int32_t strip_rows = 1;            // result rows computed at a time
  int32_t held_rows = 0;             // rows of the convolution that are held; row r at r % this
  size_t input_bytes = 0;            // scratch for a strip of laid-out input
  size_t held_bytes = 0;             // scratch for held rows
};

using Prepared = std::variant<std::monostate, PackedConv>;

struct Program {
  Plan plan;
  std::vector<Prepared> prepared;  // one per step
  kernels::Isa isa = kernels::Isa::kScalar;
  const kernels::KernelTable* kernels = nullptr;
  size_t scratch_bytes = 0;
  size_t packed_bytes = 0;
  size_t arena_stride = 0;  // bytes from one window of a batch to the next
  size_t scratch_stride = 0;
  bool has_shared_steps = false;  // of which a crew takes parts
};

// What a step sees while it runs.
struct Frame {
  const Program& program;
  std::byte* arena;
  std::byte* scratch;

  const Buffer& buffer(BufferId id) const { return program.plan.buffers[id.index()]; }
  int64_t elements(BufferId id) const { return buffer_elements(buffer(id)); }
  template <class T>
  const T* read(BufferId id) const {
    const Buffer& b = buffer(id);
    const std::byte* base = b.place == Place::kArena
                                ? arena
                                : reinterpret_cast<const std::byte*>(program.plan.constants.data());
    return reinterpret_cast<const T*>(base + b.offset);
  }
  template <class T>
  T* write(BufferId id) const {
    return reinterpret_cast<T*>(arena + buffer(id).offset);
  }
};

// The windows of a batch.
struct Frames {
  const Program& program;
  std::byte* arena;
  std::byte* scratch;
  size_t count = 1;

  Frame operator[](size_t window) const {
    return {program, arena + window * program.arena_stride,
            scratch + window * program.scratch_stride};
  }
};

// One of `of` equal parts of a step.
struct StepPart {
  int32_t index = 0;
  int32_t of = 1;
};

// conv_pack.cc
PackedConv pack_conv(const Plan& plan, const ConvInt8& step, const kernels::KernelTable& kernels);
size_t packed_bytes_of(const PackedConv& packed);
size_t conv_scratch_bytes(const PackedConv& packed, const ConvInt8& step);
size_t pool_scratch_bytes(const Window2d& window);

// conv_int8.cc
void execute(const Frames& frames, const ConvInt8& step, const PackedConv& packed,
             const StepPart& part);
// int8_steps.cc
void execute(const Frame& frame, const MaxPoolInt8& step);
void execute(const Frame& frame, const AveragePoolInt8& step);
void execute(const Frame& frame, const Lookup& step);
void execute(const Frame& frame, const BinaryInt8& step);
void execute(const Frame& frame, const Quantize& step);
void execute(const Frame& frame, const Dequantize& step);
// float_elementwise.cc
void execute(const Frame& frame, const Unary& step);
void execute(const Frame& frame, const Binary& step);
void execute(const Frame& frame, const Where& step);
void execute(const Frame& frame, const Cast& step);
// float_steps.cc
void execute(const Frame& frame, const Move& step);
void execute(const Frame& frame, const MatMul& step);
void execute(const Frame& frame, const ConvF32& step);
void execute(const Frame& frame, const PoolF32& step);
void execute(const Frame& frame, const Reduce& step);
void execute(const Frame& frame, const Softmax& step);
void execute(const Frame& frame, const ArgReduce& step);
void execute(const Frame& frame, const Interpolate& step);
void execute(const Frame& frame, const Normalize& step);
void execute(const Frame& frame, const RemoveMean& step);

// A loop nest of up to kMaxRank dimensions without allocation: calls row(count, at...) for every
// innermost row, with the first element of each of N operands; operand i steps by strides[i].
template <size_t N>
struct Nest {
  const Shape* dims;
  std::array<const Strides*, N> strides;
};
template <size_t N, class F>
void for_each_row(const Nest<N>& nest, F row) {
  const Shape& dims = *nest.dims;
  const size_t outer = dims.empty() ? 0 : dims.size() - 1;
  const int64_t length = dims.empty() ? 1 : dims.back();
  std::array<int64_t, kMaxRank> index{};
  std::array<int64_t, N> at{};
  while (true) {
    row(length, at);
    size_t d = outer;
    while (d > 0) {
      --d;
      for (size_t i = 0; i < N; ++i) at[i] += (*nest.strides[i])[d];
      if (++index[d] < dims[d]) break;
      for (size_t i = 0; i < N; ++i) at[i] -= (*nest.strides[i])[d] * dims[d];
      index[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

}  // namespace graupel::run
