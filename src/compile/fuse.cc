// Joining neighbouring steps: the z-score into the quantisation behind it; a max pool, a global
// average or the sum with another tensor into the convolution in front of it.
//
// Idea: a pair communicates through one buffer that nothing else touches; the joined step takes the
// place of the second, computes the same bits, and the buffer between them disappears. Of a sum's
// two operands the one computed last is joined, so that nothing waits longer than before.
// Test: compile_test.cc.
#include <algorithm>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

struct Touches {
  std::vector<int> writes, reads;  // by root buffer; a port counts as one of either
};

Touches count_touches(const run::Plan& plan, const std::vector<BufferId>& roots) {
  Touches touches{std::vector<int>(plan.buffers.size(), 0),
                  std::vector<int>(plan.buffers.size(), 0)};
  for (const run::Step& step : plan.steps) {
    const run::StepBuffers used = run::step_buffers(step.body);
    ++touches.writes[roots[used.write.index()].index()];
    for (const BufferId id : used.reads) ++touches.reads[roots[id.index()].index()];
  }
  for (const run::Port& port : plan.inputs) ++touches.writes[roots[port.buffer.index()].index()];
  for (const run::Port& port : plan.outputs) ++touches.reads[roots[port.buffer.index()].index()];
  return touches;
}

bool join(const run::Normalize& first, run::Quantize& second) {
  if (second.mean.valid() || first.channels != second.channels || first.inner != second.inner) {
    return false;
  }
  second.x = first.x;
  second.mean = first.mean;
  second.deviation = first.deviation;
  return true;
}

// What a convolution of its own still has to be to take in one more step.
bool is_plain(const run::ConvInt8& conv) {
  return !conv.pool && !conv.average.valid() && !conv.residual.valid();
}

// Whether the convolution's bytes are of the type that ConvInt8 gives them between the two.
bool between_is_clear(const run::Requantize& r) {
  return r.low < 0 || (r.zero_point >= 0 && r.low >= 0);
}

bool join(const run::ConvInt8& first, const run::MaxPoolInt8& second, run::ConvInt8& joined) {
  const run::Window2d& pool = second.window;
  if (pool.dilation_h != 1 || pool.channels != first.out_channels ||
      pool.in_h != first.window.out_h || pool.in_w != first.window.out_w) {
    return false;
  }
  joined.pool = pool;
  joined.y = second.y;
  return true;
}

bool join(const run::ConvInt8& first, const run::AveragePoolInt8& second, run::ConvInt8& joined) {
  const run::Window2d& pool = second.window;
  const int64_t image = int64_t{pool.in_h} * pool.in_w * pool.channels;
  const bool whole = pool.out_h == 1 && pool.out_w == 1 && pool.kernel_h == pool.in_h &&
                     pool.kernel_w == pool.in_w && pool.dilation_h == 1 && pool.dilation_w == 1 &&
                     pool.pad_top == 0 && pool.pad_left == 0;
  if (!whole || pool.channels != first.out_channels || pool.in_h != first.window.out_h ||
      pool.in_w != first.window.out_w || image > run::kMaxAveraged ||
      second.x_zero_point != first.requantize.zero_point || !between_is_clear(first.requantize)) {
    return false;
  }
  joined.average = second.multiplier;
  joined.last = second.requantize;
  joined.y = second.y;
  return true;
}

// `side`: 0 if the convolution makes the sum's first operand, 1 the second.
bool join(const run::ConvInt8& first, const run::BinaryInt8& second, size_t side,
          run::ConvInt8& joined) {
  const int32_t zero_point = side == 0 ? second.a_zero_point : second.b_zero_point;
  if (second.op != run::ByteOp::kAdd || zero_point != first.requantize.zero_point ||
      !between_is_clear(first.requantize)) {
    return false;
  }
  joined.residual = side == 0 ? second.b : second.a;
  joined.residual_zero_point = side == 0 ? second.b_zero_point : second.a_zero_point;
  joined.q_scale = side == 0 ? second.a_scale : second.b_scale;
  joined.residual_scale = side == 0 ? second.b_scale : second.a_scale;
  joined.sum_scale = second.scale;
  joined.last = second.requantize;
  joined.y = second.y;
  return true;
}

// The step that wrote operand `side` of a step, if nothing else touches what lies between them.
struct Pairs {
  const std::vector<BufferId>& roots;
  Touches touches;
  std::vector<int64_t> writer;  // step that wrote a root last

  int64_t in_front(const run::StepBuffers& used, size_t side) const {
    if (side >= used.reads.size()) return -1;
    const size_t root = roots[used.reads[side].index()].index();
    return touches.writes[root] == 1 && touches.reads[root] == 1 ? writer[root] : -1;
  }
};

// Joins the convolution `before` to a step behind it.
bool join_conv(run::Plan& plan, size_t before, run::Step& step, size_t side) {
  const run::ConvInt8* conv = std::get_if<run::ConvInt8>(&plan.steps[before].body);
  if (conv == nullptr || !is_plain(*conv)) return false;
  run::ConvInt8 joined = *conv;
  const auto* pool = std::get_if<run::MaxPoolInt8>(&step.body);
  const auto* average = std::get_if<run::AveragePoolInt8>(&step.body);
  const auto* sum = std::get_if<run::BinaryInt8>(&step.body);
  if (!(pool != nullptr && join(*conv, *pool, joined)) &&
      !(average != nullptr && join(*conv, *average, joined)) &&
      !(sum != nullptr && join(*conv, *sum, side, joined))) {
    return false;
  }
  const int64_t between = run::buffer_bytes(plan.buffers[conv->y.index()]);
  step.macs += plan.steps[before].macs;
  step.bytes += plan.steps[before].bytes - 2 * between;
  step.node = plan.steps[before].node + " + " + step.node;
  step.body = joined;
  return true;
}

bool join_normalize(const run::Plan& plan, size_t before, run::Step& step) {
  run::Quantize* quantize = std::get_if<run::Quantize>(&step.body);
  const run::Normalize* normalize = std::get_if<run::Normalize>(&plan.steps[before].body);
  return quantize != nullptr && normalize != nullptr && join(*normalize, *quantize);
}

}  // namespace

void fuse_steps(run::Plan& plan, const std::vector<BufferId>& roots) {
  Pairs pairs{roots, count_touches(plan, roots), std::vector<int64_t>(plan.buffers.size(), -1)};
  std::vector<bool> gone(plan.steps.size(), false);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    run::Step& step = plan.steps[i];
    const run::StepBuffers used = run::step_buffers(step.body);
    const bool binary = std::holds_alternative<run::BinaryInt8>(step.body);
    size_t side = 0;
    if (binary && pairs.in_front(used, 1) > pairs.in_front(used, 0)) side = 1;
    for (int turn = 0; turn < (binary ? 2 : 1); ++turn, side = 1 - side) {
      const int64_t before = pairs.in_front(used, side);
      if (before < 0) continue;
      if (join_conv(plan, static_cast<size_t>(before), step, side) ||
          join_normalize(plan, static_cast<size_t>(before), step)) {
        gone[static_cast<size_t>(before)] = true;
        break;
      }
    }
    pairs.writer[roots[used.write.index()].index()] = static_cast<int64_t>(i);
  }
  std::vector<run::Step> kept;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (!gone[i]) kept.push_back(std::move(plan.steps[i]));
  }
  plan.steps = std::move(kept);
}

}  // namespace graupel::compile
