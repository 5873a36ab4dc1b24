// Layers of networks: convolutions, pools, normalisations, softmax, resize.
// Reference: ONNX Changelog, each operator's versions. Test: reader_test.cc, versions_test.cc.
#include <fmt/format.h>
#include <algorithm>

#include "onnx/read_ops.h"

namespace graupel::onnx {
namespace {

using ir::Ints;
using ir::Op;
using ir::ValueId;

ir::AutoPad read_auto_pad(NodeReader& node) {
  const std::string text = node.attributes.text("auto_pad", "NOTSET");
  for (const ir::AutoPad pad : {ir::AutoPad::kNotSet, ir::AutoPad::kSameUpper,
                                ir::AutoPad::kSameLower, ir::AutoPad::kValid}) {
    if (to_string(pad) == text) return pad;
  }
  node.attributes.refuse("auto_pad is '" + text + "'");
  return ir::AutoPad::kNotSet;
}

bool is_same(ir::AutoPad pad) {
  return pad == ir::AutoPad::kSameUpper || pad == ir::AutoPad::kSameLower;
}

// Explicit pads instead of SAME, if the input's size is known and the sizes make sense.
void resolve_same_pads(ir::Window& window, const std::optional<Shape>& x) {
  const size_t rank = window.kernel.size();
  if (!x || x->size() != rank + 2 || rank == 0) return;
  const auto positive = [](int64_t value) { return value > 0 && value < (int64_t{1} << 31); };
  if (!std::all_of(window.kernel.begin(), window.kernel.end(), positive) ||
      !std::all_of(window.strides.begin(), window.strides.end(), positive) ||
      !std::all_of(window.dilations.begin(), window.dilations.end(), positive)) {
    return;
  }
  window.pads = ir::resolve_pads(window, window.kernel, std::span(*x).subspan(2));
  window.auto_pad = ir::AutoPad::kNotSet;
}

// The window's attributes with defaults filled in as far as the rank is known. `weight` is the
// index of the weight input, whose shape gives a missing kernel_shape; 0 if there is none.
ir::Window read_window(NodeReader& node, size_t weight) {
  ir::Window window;
  window.auto_pad = read_auto_pad(node);
  window.kernel = node.attributes.ints("kernel_shape").value_or(Ints{});
  window.strides = node.attributes.ints("strides").value_or(Ints{});
  window.pads = node.attributes.ints("pads").value_or(Ints{});
  const std::optional<Shape> weights = weight == 0 ? std::nullopt : node.shape(weight);
  if (window.kernel.empty() && weights && weights->size() > 2) {
    window.kernel.assign(weights->begin() + 2, weights->end());
  }
  const size_t rank = window.kernel.size();
  if (window.strides.empty()) window.strides.assign(rank, 1);
  if (window.auto_pad != ir::AutoPad::kNotSet) window.pads.clear();
  if (window.auto_pad == ir::AutoPad::kValid) window.auto_pad = ir::AutoPad::kNotSet;
  if (window.pads.empty() && window.auto_pad == ir::AutoPad::kNotSet)
    window.pads.assign(2 * rank, 0);
  return window;
}

void read_dilations(NodeReader& node, ir::Window& window) {
  window.dilations = node.attributes.ints("dilations").value_or(Ints{});
  if (window.dilations.empty()) window.dilations.assign(window.kernel.size(), 1);
}

void check_lengths(NodeReader& node, const ir::Window& window) {
  const size_t rank = window.kernel.size();
  if (rank == 0) return;
  if (window.strides.size() != rank || window.dilations.size() != rank ||
      (window.pads.size() != 2 * rank && !window.pads.empty())) {
    node.attributes.refuse(
        fmt::format("strides, dilations or pads have another length than the "
                    "kernel's {} dimensions ask for",
                    rank));
  }
}

ir::Window read_conv_window(NodeReader& node, size_t weight) {
  ir::Window window = read_window(node, weight);
  read_dilations(node, window);
  check_lengths(node, window);
  if (is_same(window.auto_pad)) resolve_same_pads(window, node.shape(0));
  return window;
}

Op read_conv(NodeReader& node) {
  ir::Conv op;
  op.window = read_conv_window(node, 1);
  op.group = node.attributes.integer("group", 1);
  return op;
}

Op read_conv_integer(NodeReader& node) {
  ir::ConvInteger op;
  op.window = read_conv_window(node, 1);
  op.group = node.attributes.integer("group", 1);
  return op;
}

Op read_q_linear_conv(NodeReader& node) {
  ir::QLinearConv op;
  op.window = read_conv_window(node, 3);
  op.group = node.attributes.integer("group", 1);
  return op;
}

Op read_conv_transpose(NodeReader& node) {
  ir::ConvTranspose op;
  op.window = read_window(node, 1);
  read_dilations(node, op.window);
  op.group = node.attributes.integer("group", 1);
  op.output_padding = node.attributes.ints("output_padding").value_or(Ints{});
  op.output_shape = node.attributes.ints("output_shape").value_or(Ints{});
  if (op.output_padding.empty()) op.output_padding.assign(op.window.kernel.size(), 0);
  check_lengths(node, op.window);
  return op;
}

Op read_max_pool(NodeReader& node) {
  ir::MaxPool op;
  op.window = read_window(node, 0);
  if (node.opset >= 8) {
    op.column_major_indices = node.attributes.integer("storage_order", 0) == 1;
  }
  if (node.opset >= 10) {
    op.ceil_mode = node.attributes.flag("ceil_mode", false);
    read_dilations(node, op.window);
  }
  if (op.window.dilations.empty()) op.window.dilations.assign(op.window.kernel.size(), 1);
  check_lengths(node, op.window);
  if (is_same(op.window.auto_pad)) resolve_same_pads(op.window, node.shape(0));
  return op;
}

Op read_average_pool(NodeReader& node) {
  ir::AveragePool op;
  op.window = read_window(node, 0);
  if (node.opset >= 7) op.count_include_pad = node.attributes.flag("count_include_pad", false);
  if (node.opset >= 10) op.ceil_mode = node.attributes.flag("ceil_mode", false);
  if (node.opset >= 19) read_dilations(node, op.window);
  if (op.window.dilations.empty()) op.window.dilations.assign(op.window.kernel.size(), 1);
  check_lengths(node, op.window);
  if (is_same(op.window.auto_pad)) resolve_same_pads(op.window, node.shape(0));
  return op;
}

Op read_global_pool(NodeReader& node) {
  return ir::GlobalPool{node.node.op_type() == "GlobalMaxPool" ? ir::PoolKind::kMax
                                                               : ir::PoolKind::kAverage};
}

Op read_gemm(NodeReader& node) {
  ir::Gemm op;
  op.alpha = node.attributes.real("alpha", 1.0);
  op.beta = node.attributes.real("beta", 1.0);
  op.transpose_a = node.attributes.flag("transA", false);
  op.transpose_b = node.attributes.flag("transB", false);
  // Before opset 7 this only allowed what is always allowed since.
  if (node.opset < 7) node.attributes.ignore("broadcast");
  return op;
}

Op read_batch_normalization(NodeReader& node) {
  ir::BatchNormalization op;
  op.epsilon = node.attributes.real("epsilon", 1e-5);
  op.momentum = node.attributes.real("momentum", 0.9);
  node.attributes.ignore("consumed_inputs");
  if (node.opset < 9 && !node.attributes.flag("spatial", true)) {
    node.attributes.refuse("has spatial=0 (statistics per element)");
  }
  if (node.opset < 7 && !node.attributes.flag("is_test", false)) {
    node.attributes.refuse("is in training form (is_test=0); export the model for inference");
  }
  if (node.opset >= 14) {
    op.training = node.attributes.flag("training_mode", false);
  } else if (node.output_count > 1) {
    node.attributes.refuse("is in training form (several outputs); export the model for inference");
  }
  if (!op.training && node.output_count > 1) node.output_count = 1;
  return op;
}

Op read_instance_normalization(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  return ir::InstanceNormalization{node.attributes.real("epsilon", 1e-5)};
}

Op read_layer_normalization(NodeReader& node) {
  if (node.attributes.integer("stash_type", 1) != 1) {
    node.attributes.refuse("has a stash_type other than float32");
  }
  const int64_t axis = node.attributes.integer("axis", -1);
  return ir::LayerNormalization{axis, node.attributes.real("epsilon", 1e-5)};
}

Op read_lrn(NodeReader& node) {
  ir::LRN op;
  op.alpha = node.attributes.real("alpha", 1e-4);
  op.beta = node.attributes.real("beta", 0.75);
  op.bias = node.attributes.real("bias", 1.0);
  op.size = node.attributes.integer("size", 1);
  return op;
}

// Old softmax over a matrix of the dimensions before and from `axis`: Flatten, softmax per row,
// Reshape back. Not needed when only one dimension from `axis` on is larger than 1.
Op read_flattening_softmax(NodeReader& node, ir::SoftmaxKind kind) {
  const int64_t axis = node.attributes.integer("axis", 1);
  if (const std::optional<Shape> x = node.shape(0)) {
    const int64_t rank = static_cast<int64_t>(x->size());
    const int64_t first = axis < 0 ? axis + rank : axis;
    if (first >= 0 && first < rank &&
        std::all_of(x->begin() + first + 1, x->end(), [](int64_t dim) { return dim == 1; })) {
      return ir::Softmax{kind, first};
    }
  }
  const ValueId x = node.input(0);
  const ValueId flat = node.emit("flat", ir::Flatten{axis}, {x});
  const ValueId rows = node.emit("rows", ir::Softmax{kind, 1}, {flat});
  const ValueId shape = node.emit("shape", ir::ShapeOf{}, {x});
  node.inputs = {rows, shape};
  return ir::Reshape{};
}

Op read_softmax(NodeReader& node) {
  const std::string& type = node.node.op_type();
  const ir::SoftmaxKind kind = type == "Softmax"      ? ir::SoftmaxKind::kSoftmax
                               : type == "LogSoftmax" ? ir::SoftmaxKind::kLogSoftmax
                                                      : ir::SoftmaxKind::kHardmax;
  if (node.opset < 13) return read_flattening_softmax(node, kind);
  return ir::Softmax{kind, node.attributes.integer("axis", -1)};
}

Op read_dropout(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  if (node.opset >= 12) {
    node.attributes.ignore("seed");
    return ir::Dropout{};
  }
  if (node.opset < 7 && !node.attributes.flag("is_test", false)) {
    node.attributes.refuse("is in training form (is_test=0); export the model for inference");
  }
  const double ratio = node.attributes.real("ratio", 0.5);
  // The mask had the data's type before opset 10; exporters named it without reading it.
  if (node.opset < 10) node.output_count = 1;
  node.set_input(1, node.add_scalar("ratio", DType::kFloat32, ratio));
  return ir::Dropout{};
}

constexpr OpReader kReaders[] = {
    {"Conv", 1, read_conv},
    {"ConvInteger", 10, read_conv_integer},
    {"QLinearConv", 10, read_q_linear_conv},
    {"ConvTranspose", 1, read_conv_transpose},
    {"MaxPool", 1, read_max_pool},
    {"AveragePool", 1, read_average_pool},
    {"GlobalAveragePool", 1, read_global_pool},
    {"GlobalMaxPool", 1, read_global_pool},
    {"Gemm", 1, read_gemm},
    {"BatchNormalization", 1, read_batch_normalization},
    {"InstanceNormalization", 1, read_instance_normalization},
    {"LayerNormalization", 17, read_layer_normalization},
    {"LRN", 1, read_lrn},
    {"Softmax", 1, read_softmax},
    {"LogSoftmax", 1, read_softmax},
    {"Hardmax", 1, read_softmax},
    {"Dropout", 1, read_dropout},
};

}  // namespace

std::span<const OpReader> layer_readers() { return kReaders; }

}  // namespace graupel::onnx
