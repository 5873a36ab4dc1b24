// Sliding windows of the graph as the plan has them. Test: compile_test.cc.
#include <algorithm>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

constexpr int64_t kMost = int64_t{1} << 20;

int64_t entry(const ir::Ints& values, size_t index, int64_t otherwise) {
  return index < values.size() ? values[index] : otherwise;
}

// A pool's window with everything explicit; a global pool covers the image.
ir::Window explicit_window(const ir::Node& node, const Shape& x) {
  if (const ir::MaxPool* pool = std::get_if<ir::MaxPool>(&node.op)) return pool->window;
  if (const ir::AveragePool* pool = std::get_if<ir::AveragePool>(&node.op)) return pool->window;
  ir::Window window;
  window.kernel.assign(x.begin() + 2, x.end());
  return window;
}

// Kernel steps from `start` that stay below `limit`.
int64_t steps_below(int64_t start, int64_t limit, int64_t kernel, int64_t dilation) {
  return start >= limit ? 0 : std::min(kernel, (limit - start - 1) / dilation + 1);
}

}  // namespace

Result<run::Window2d> window_of(const ir::Node& node, const ir::Window& window, const Shape& kernel,
                                const Shape& x, const Shape& y) {
  const size_t spatial = x.size() < 2 ? 0 : x.size() - 2;
  if (spatial < 1 || spatial > 2 || kernel.size() != spatial || y.size() != x.size()) {
    return cannot(node, "has an input of shape " + to_string(x) +
                            "; the engine takes one or two spatial dimensions");
  }
  const ir::Ints pads = ir::resolve_pads(window, kernel, std::span<const int64_t>(x).subspan(2));
  struct Axis {
    int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
  };
  Axis axes[2];
  for (size_t d = 0; d < spatial; ++d) {
    Axis& axis = axes[2 - spatial + d];
    axis = {x[2 + d],
            y[2 + d],
            kernel[d],
            entry(window.strides, d, 1),
            entry(window.dilations, d, 1),
            entry(pads, d, 0)};
    for (const int64_t size : {axis.in, axis.out, axis.kernel, axis.stride, axis.dilation}) {
      if (size < 1 || size > kMost) return cannot(node, "has a window size out of range");
    }
    if (axis.pad < 0 || axis.pad > kMost || entry(pads, spatial + d, 0) < 0) {
      return cannot(node, "has a negative pad; fold it into a Slice first");
    }
  }
  const auto as = [](int64_t value) { return static_cast<int32_t>(value); };
  if (x[1] < 1 || x[1] > kMost) return cannot(node, "has a channel count out of range");
  return run::Window2d{
      as(x[1]),           as(axes[0].in),       as(axes[1].in),       as(axes[0].out),
      as(axes[1].out),    as(axes[0].kernel),   as(axes[1].kernel),   as(axes[0].stride),
      as(axes[1].stride), as(axes[0].dilation), as(axes[1].dilation), as(axes[0].pad),
      as(axes[1].pad)};
}

Result<run::Window2d> pool_window(const Lowering& l, const ir::Node& node, const Shape& x) {
  const ir::Window window = explicit_window(node, x);
  TRY_ASSIGN(const run::Window2d made,
             window_of(node, window, window.kernel, x, l.graph->shape(node.outputs[0])));
  TRY_ASSIGN(const std::vector<float> counts, pool_counts(node, made, x));
  if (std::find(counts.begin(), counts.end(), 0.0f) != counts.end()) {
    return cannot(node, "has a window that lies wholly in the padding");
  }
  return made;
}

Result<std::vector<float>> pool_counts(const ir::Node& node, const run::Window2d& w,
                                       const Shape& x) {
  const ir::AveragePool* average = std::get_if<ir::AveragePool>(&node.op);
  const bool with_pads = average != nullptr && average->count_include_pad;
  const ir::Window window = explicit_window(node, x);
  const ir::Ints pads =
      ir::resolve_pads(window, window.kernel, std::span<const int64_t>(x).subspan(2));
  const size_t spatial = x.size() - 2;
  const int64_t pad_right = entry(pads, 2 * spatial - 1, 0);
  const int64_t pad_bottom = spatial == 2 ? entry(pads, 2, 0) : 0;
  const auto count = [&](int64_t start, int64_t in, int64_t pad_end, int64_t kernel,
                         int64_t dilation) {
    const int64_t before = with_pads ? 0 : steps_below(start, 0, kernel, dilation);
    return steps_below(start, with_pads ? in + pad_end : in, kernel, dilation) - before;
  };
  std::vector<float> counts;
  for (int64_t oy = 0; oy < w.out_h; ++oy) {
    const int64_t rows =
        count(oy * w.stride_h - w.pad_top, w.in_h, pad_bottom, w.kernel_h, w.dilation_h);
    for (int64_t ox = 0; ox < w.out_w; ++ox) {
      const int64_t columns =
          count(ox * w.stride_w - w.pad_left, w.in_w, pad_right, w.kernel_w, w.dilation_w);
      counts.push_back(static_cast<float>(rows * columns));
    }
  }
  return counts;
}

}  // namespace graupel::compile
