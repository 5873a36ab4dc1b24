// Joining neighbouring steps: the z-score into the quantisation behind it, a max pool into the
// convolution in front of it.
//
// Idea: both pairs communicate through one buffer that nothing else touches; the joined step
// computes the same bits, and the buffer between them disappears. Test: compile_test.cc.
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

bool join(const run::ConvInt8& first, const run::MaxPoolInt8& second, run::ConvInt8& joined) {
  const run::Window2d& pool = second.window;
  if (first.pool || pool.dilation_h != 1 || pool.channels != first.out_channels ||
      pool.in_h != first.window.out_h || pool.in_w != first.window.out_w) {
    return false;
  }
  joined = first;
  joined.pool = pool;
  joined.y = second.y;
  return true;
}

}  // namespace

void fuse_steps(run::Plan& plan, const std::vector<BufferId>& roots) {
  const Touches touches = count_touches(plan, roots);
  std::vector<int64_t> writer(plan.buffers.size(), -1);  // step that wrote a root last
  std::vector<bool> gone(plan.steps.size(), false);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    run::Step& step = plan.steps[i];
    const run::StepBuffers used = run::step_buffers(step.body);
    const size_t from = used.reads.empty() ? 0 : roots[used.reads[0].index()].index();
    if (!used.reads.empty() && writer[from] >= 0 && touches.writes[from] == 1 &&
        touches.reads[from] == 1) {
      const auto before = static_cast<size_t>(writer[from]);
      const run::StepBody& first = plan.steps[before].body;
      run::Quantize* quantize = std::get_if<run::Quantize>(&step.body);
      const run::Normalize* normalize = std::get_if<run::Normalize>(&first);
      const run::ConvInt8* conv = std::get_if<run::ConvInt8>(&first);
      const run::MaxPoolInt8* pool = std::get_if<run::MaxPoolInt8>(&step.body);
      run::ConvInt8 joined;
      if (quantize != nullptr && normalize != nullptr && join(*normalize, *quantize)) {
        gone[before] = true;
      } else if (conv != nullptr && pool != nullptr && join(*conv, *pool, joined)) {
        const int64_t between = run::buffer_bytes(plan.buffers[from]);
        step.macs += plan.steps[before].macs;
        step.bytes += plan.steps[before].bytes - 2 * between;
        step.node = plan.steps[before].node + " + " + step.node;
        step.body = joined;
        gone[before] = true;
      }
    }
    writer[roots[used.write.index()].index()] = static_cast<int64_t>(i);
  }
  std::vector<run::Step> kept;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (!gone[i]) kept.push_back(std::move(plan.steps[i]));
  }
  plan.steps = std::move(kept);
}

}  // namespace graupel::compile
