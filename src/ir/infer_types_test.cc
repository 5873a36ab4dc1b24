// Output types of every operator, as tables: operator, inputs, types. The values are those of the
// ONNX operator documentation's examples or follow from its formulas by hand.
#include <gtest/gtest.h>

#include <limits>

#include "ir/graph.h"
#include "ir/op_fields.h"

namespace graupel::ir {
namespace {

struct Row {
  const char* op;
  std::vector<const char*> inputs;  // "type", "type = contents" or "_"
  const char* outputs;              // types, or a part of the error
  int output_count = 1;
};

// The types of the outputs, or the error.
std::string types_of(const Row& row) {
  std::string definitions;
  std::string references;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    const std::string_view input = row.inputs[i];
    references += i > 0 ? ", " : "";
    if (input == "_") {
      references += "_";
      continue;
    }
    const std::string name = "i" + std::to_string(i);
    const bool constant = input.find('=') != std::string_view::npos;
    definitions += (constant ? " const " : " input ") + name + ": " + std::string(input);
    references += name;
  }
  std::string outputs;
  for (int i = 0; i < row.output_count; ++i) {
    outputs += (i > 0 ? ", o" : "o") + std::to_string(i);
  }
  const std::string text = "graph g opset 17 ir 8 {" + definitions + " n: " + row.op + "(" +
                           references + ") -> " + outputs + "\n}";
  const Result<Graph> graph = parse(text);
  if (!graph.ok()) return graph.error().what;
  std::string types;
  for (const ValueId id : graph->nodes.back().outputs) {
    const Value& value = graph->value(id);
    types += (types.empty() ? "" : " ") + std::string(to_string(value.dtype)) + "[" +
             (value.shape ? to_string(*value.shape) : "?") + "]";
  }
  return types;
}

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    std::string inputs;
    for (const char* input : row.inputs) inputs += std::string(" ") + input;
    SCOPED_TRACE(std::string(row.op) + inputs);
    const std::string types = types_of(row);
    const bool is_type = std::string_view(row.outputs).find('[') != std::string_view::npos;
    if (is_type) {
      EXPECT_EQ(types, row.outputs);
    } else {
      EXPECT_NE(types.find(row.outputs), std::string::npos) << types;
    }
  }
}

TEST(InferTypes, Elementwise) {
  check({
      {"Relu", {"float32[2x3]"}, "float32[2x3]"},
      {"Relu", {"float32[?]"}, "float32[?]"},
      {"Relu", {"bool[2]"}, "expected a number type"},
      {"Tanh", {"int32[2]"}, "expected a float type"},
      {"Not", {"bool[2]"}, "bool[2]"},
      {"IsNaN", {"float32[2]"}, "bool[2]"},
      {"Identity", {"bool[]"}, "bool[scalar]"},
      {"Add", {"float32[2x3x4x5]", "float32[5]"}, "float32[2x3x4x5]"},
      {"Add", {"float32[4x5]", "float32[2x3x4x5]"}, "float32[2x3x4x5]"},
      {"Add", {"float32[1x4x5]", "float32[2x3x1x1]"}, "float32[2x3x4x5]"},
      {"Add", {"float32[2x0]", "float32[2x1]"}, "float32[2x0]"},
      {"Add", {"float32[2]", "float32[?]"}, "float32[?]"},
      {"Add", {"float32[2]", "float32[3]"}, "do not broadcast: 2 against 3"},
      {"Add", {"float32[2]", "int32[2]"}, "expected the same type"},
      {"Add", {"float32[2]"}, "has 1 inputs, expected 2"},
      {"Add", {"float32[2]", "_"}, "input 1 is omitted"},
      {"Add", {"float32[2]", "float32[2]"}, "has 2 outputs, expected 1", 2},
      {"Pow", {"float32[2]", "int64[]"}, "float32[2]"},
      {"Mod{fmod=1}", {"float32[2]", "float32[2]"}, "float32[2]"},
      {"Equal", {"int64[2x1]", "int64[3]"}, "bool[2x3]"},
      {"Equal", {"bool[2]", "bool[2]"}, "bool[2]"},
      {"Less", {"bool[2]", "bool[2]"}, "expected a number type"},
      {"And", {"bool[2]", "int32[2]"}, "expected bool"},
      {"Max", {"float32[2x1]", "float32[3]", "float32[1]"}, "float32[2x3]"},
      {"Sum", {}, "has 0 inputs"},
      {"LeakyRelu{alpha=0.2}", {"float16[3]"}, "float16[3]"},
      {"PRelu", {"float32[3x4x5]", "float32[5]"}, "float32[3x4x5]"},
      {"PRelu", {"float32[3]", "float32[2x3]"}, "does not broadcast"},
      {"Clip", {"float32[3]", "_", "float32[]"}, "float32[3]"},
      {"Clip", {"float32[3]", "float32[2]"}, "expected a scalar"},
      {"Cast{to=int8}", {"float32[3]"}, "int8[3]"},
      {"Where", {"bool[2x2]", "float32[2]", "float32[]"}, "float32[2x2]"},
      {"Where", {"int32[2]", "float32[2]", "float32[2]"}, "expected bool"},
      {"Dropout", {"float32[3]"}, "float32[3] bool[3]", 2},
      {"Dropout", {"float32[3]", "_", "bool[] = [1]"}, "training_mode is true"},
  });
}

TEST(InferTypes, Windows) {
  check({
      // The examples of ONNX's Conv: 5x5 and 7x5 images under a 3x3 kernel.
      {"Conv{pads=[1,1,1,1]}", {"float32[1x1x5x5]", "float32[1x1x3x3]"}, "float32[1x1x5x5]"},
      {"Conv", {"float32[1x1x5x5]", "float32[1x1x3x3]"}, "float32[1x1x3x3]"},
      {"Conv{strides=[2,2], pads=[1,1,1,1]}",
       {"float32[1x1x7x5]", "float32[1x1x3x3]"},
       "float32[1x1x4x3]"},
      {"Conv{strides=[2,2], pads=[1,0,1,0]}",
       {"float32[1x1x7x5]", "float32[1x1x3x3]"},
       "float32[1x1x4x2]"},
      {"Conv{auto_pad=SAME_LOWER, strides=[2,2]}",
       {"float32[1x1x5x5]", "float32[1x1x3x3]"},
       "float32[1x1x3x3]"},
      {"Conv{auto_pad=VALID, dilations=[2]}",
       {"float32[1x1x9]", "float32[1x1x3]"},
       "float32[1x1x5]"},
      {"Conv{group=2}", {"float32[1x4x5]", "float32[6x2x3]", "float32[6]"}, "float32[1x6x3]"},
      {"Conv{group=2}", {"float32[1x4x5]", "float32[6x4x3]"}, "takes 4 channels per group"},
      {"Conv{group=2}", {"float32[1x4x5]", "float32[5x2x3]"}, "do not divide into 2 groups"},
      {"Conv{group=0}", {"float32[1x4x5]", "float32[5x2x3]"}, "group is 0"},
      {"Conv", {"float32[1x4x5]", "float32[6x4x3]", "float32[5]"}, "bias has shape 5, expected 6"},
      {"Conv", {"float32[1x4x2]", "float32[6x4x3]"}, "larger than the padded input of 2"},
      {"Conv{kernel_shape=[2]}", {"float32[1x4x5]", "float32[6x4x3]"}, "kernel_shape is 2"},
      {"Conv{strides=[0]}", {"float32[1x4x5]", "float32[6x4x3]"}, "strides has the entry 0"},
      {"Conv{pads=[1]}", {"float32[1x4x5]", "float32[6x4x3]"}, "pads has 1 entries, expected 2"},
      {"Conv{dilations=[9223372036854775807]}", {"float32[1x4x5]", "float32[6x4x3]"}, "2^30"},
      {"Conv", {"float32[4x5]", "float32[6x4]"}, "at least 3 dimensions"},
      {"Conv", {"float32[?]", "float32[6x4x3]"}, "float32[?]"},
      {"ConvTranspose", {"float32[1x1x3x3]", "float32[1x2x3x3]"}, "float32[1x2x5x5]"},
      {"ConvTranspose{strides=[3,2], output_padding=[1,1]}",
       {"float32[1x1x3x3]", "float32[1x2x3x3]"},
       "float32[1x2x10x8]"},
      {"ConvTranspose{strides=[3,2], output_shape=[10,8]}",
       {"float32[1x1x3x3]", "float32[1x2x3x3]"},
       "float32[1x2x10x8]"},
      {"ConvTranspose{strides=[3,2], pads=[1,2,1,2]}",
       {"float32[1x1x3x3]", "float32[1x2x3x3]"},
       "float32[1x2x7x3]"},
      {"ConvTranspose{dilations=[2,2]}",
       {"float32[1x1x3x3]", "float32[1x1x2x2]"},
       "float32[1x1x5x5]"},
      {"ConvTranspose{strides=[2,2], auto_pad=SAME_UPPER}",
       {"float32[1x1x3x3]", "float32[1x2x3x3]"},
       "float32[1x2x6x6]"},
      {"ConvTranspose{group=2}", {"float32[1x4x3]", "float32[4x3x3]"}, "float32[1x6x5]"},
      {"ConvTranspose{pads=[9,9]}", {"float32[1x1x3]", "float32[1x1x3]"}, "pads of 18"},
      {"MaxPool{kernel_shape=[2]}", {"float32[1x3x32]"}, "float32[1x3x31] int64[1x3x31]", 2},
      {"MaxPool{kernel_shape=[3,3], strides=[2,2], ceil_mode=1}",
       {"float32[1x1x4x4]"},
       "float32[1x1x2x2]"},
      {"MaxPool{kernel_shape=[2,2], strides=[2,2], auto_pad=SAME_UPPER}",
       {"float32[1x1x5x5]"},
       "float32[1x1x3x3]"},
      // The third window would start in the padding behind the input.
      {"MaxPool{kernel_shape=[1], strides=[2], pads=[0,2], ceil_mode=1}",
       {"float32[1x1x2]"},
       "float32[1x1x2]"},
      {"MaxPool{kernel_shape=[2], strides=[2], pads=[1,1], ceil_mode=1}",
       {"float32[1x1x3]"},
       "float32[1x1x2]"},
      {"MaxPool", {"float32[1x1x3]"}, "kernel_shape is missing"},
      {"AveragePool{kernel_shape=[3,3], pads=[2,2,2,2], count_include_pad=1}",
       {"float32[1x3x28x28]"},
       "float32[1x3x30x30]"},
      {"GlobalAveragePool", {"float32[1x3x5x5]"}, "float32[1x3x1x1]"},
      {"GlobalMaxPool", {"float32[3x5]"}, "at least 3 dimensions"},
  });
}

TEST(InferTypes, Matrices) {
  check({
      {"Gemm{transA=1, transB=1}",
       {"float32[4x3]", "float32[5x4]", "float32[1x5]"},
       "float32[3x5]"},
      {"Gemm", {"float32[4x3]", "float32[4x3]"}, "inner sizes differ: 3 of 4x3 against 4"},
      {"Gemm", {"float32[2x3]", "float32[3x4]", "float32[3]"}, "does not broadcast to 2x4"},
      {"Gemm", {"float32[2x3x1]", "float32[3x4]"}, "expected a matrix"},
      {"MatMul", {"float32[1x2x3x4]", "float32[1x2x4x3]"}, "float32[1x2x3x3]"},
      {"MatMul", {"float32[4]", "float32[5x4x3]"}, "float32[5x3]"},
      {"MatMul", {"float32[2x3x4]", "float32[4]"}, "float32[2x3]"},
      {"MatMul", {"float32[4]", "float32[4]"}, "float32[scalar]"},
      {"MatMul", {"float32[]", "float32[4]"}, "is a scalar"},
      {"MatMul", {"float32[5x1x2x3]", "float32[4x3x2]"}, "float32[5x4x2x2]"},
      {"MatMulInteger", {"uint8[4x3]", "int8[3x2]", "uint8[]"}, "int32[4x2]"},
      {"QLinearMatMul",
       {"uint8[2x4]", "float32[]", "uint8[]", "int8[4x3]", "float32[]", "int8[]", "float32[]",
        "int8[]"},
       "int8[2x3]"},
      {"QLinearConv",
       {"uint8[1x1x7x7]", "float32[]", "uint8[]", "uint8[1x1x1x1]", "float32[1]", "uint8[1]",
        "float32[]", "uint8[]"},
       "uint8[1x1x7x7]"},
      {"ConvInteger{pads=[1,1,1,1]}",
       {"uint8[1x1x3x3]", "uint8[1x1x2x2]", "uint8[]"},
       "int32[1x1x4x4]"},
  });
}

TEST(InferTypes, NormalisationsAndReductions) {
  check({
      {"BatchNormalization",
       {"float32[2x3x4]", "float32[3]", "float32[3]", "float32[3]", "float32[3]"},
       "float32[2x3x4]"},
      {"BatchNormalization{training_mode=1}",
       {"float32[2x3x4]", "float32[3]", "float32[3]", "float32[3]", "float32[3]"},
       "float32[2x3x4] float32[3] float32[3]",
       3},
      {"BatchNormalization",
       {"float32[2x3x4]", "float32[3]", "float32[4]", "float32[3]", "float32[3]"},
       "input 2 has shape 4, expected 3"},
      {"InstanceNormalization", {"float32[2x3x4]", "float32[3]", "float32[3]"}, "float32[2x3x4]"},
      {"LayerNormalization{axis=1}",
       {"float32[2x3x4]", "float32[3x4]"},
       "float32[2x3x4] float32[2x1x1] float32[2x1x1]",
       3},
      {"LayerNormalization{axis=3}", {"float32[2x3x4]", "float32[4]"}, "axis 3 is outside"},
      {"LRN{size=3}", {"float32[5x5x5x5]"}, "float32[5x5x5x5]"},
      {"Softmax{axis=-4}", {"float32[3x4x5]"}, "axis -4"},
      {"ArgMax{axis=1, keepdims=0}", {"float32[2x3x4]"}, "int64[2x4]"},
      {"ArgMin", {"float32[2x3x4]"}, "int64[1x3x4]"},
      {"ReduceMean", {"float32[3x2x2]", "int64[1] = [1]"}, "float32[3x1x2]"},
      {"ReduceSum{keepdims=0}", {"float32[3x2x2]", "int64[2] = [-1, 0]"}, "float32[2]"},
      {"ReduceSum", {"float32[3x2x2]"}, "float32[1x1x1]"},
      {"ReduceSum{noop_with_empty_axes=1}", {"float32[3x2]", "int64[0] = []"}, "float32[3x2]"},
      {"ReduceSum", {"float32[3x2]", "int64[1]"}, "float32[?]"},
      {"ReduceMax", {"float32[3x2]", "int64[2] = [1, -1]"}, "given twice"},
      {"CumSum", {"float32[2x3]", "int32[] = [1]"}, "float32[2x3]"},
      {"CumSum", {"float32[2x3]", "int32[] = [2]"}, "axis 2"},
      {"TopK{axis=1}", {"float32[3x4]", "int64[1] = [3]"}, "float32[3x3] int64[3x3]", 2},
      {"TopK", {"float32[3x4]", "int64[1] = [5]"}, "k is 5, expected 0 to 4"},
      {"QuantizeLinear", {"float32[2x3]", "float32[3]", "int8[3]"}, "int8[2x3]"},
      {"QuantizeLinear", {"float32[2x3]", "float32[]"}, "uint8[2x3]"},
      {"QuantizeLinear{axis=0}", {"float32[2x3]", "float32[3]"}, "scale has shape 3, expected 2"},
      {"DequantizeLinear", {"int32[2x3]", "float32[]"}, "float32[2x3]"},
      {"DynamicQuantizeLinear", {"float32[6]"}, "uint8[6] float32[scalar] uint8[scalar]", 3},
  });
}

TEST(InferTypes, Reshaping) {
  check({
      {"Flatten{axis=2}", {"float32[2x3x4x5]"}, "float32[6x20]"},
      {"Flatten{axis=0}", {"float32[2x3]"}, "float32[1x6]"},
      {"Flatten{axis=-1}", {"float32[2x3x4]"}, "float32[6x4]"},
      {"Flatten{axis=4}", {"float32[2x3x4]"}, "axis 4"},
      {"Reshape", {"float32[2x3x4]", "int64[3] = [2, 0, -1]"}, "float32[2x3x4]"},
      {"Reshape", {"float32[2x3x4]", "int64[4] = [2, -1, 2, 1]"}, "float32[2x6x2x1]"},
      {"Reshape{allowzero=1}", {"float32[0x3x4]", "int64[3] = [3, 4, 0]"}, "float32[3x4x0]"},
      {"Reshape{allowzero=1}", {"float32[0x3]", "int64[2] = [0, -1]"}, "numbers of elements"},
      {"Reshape", {"float32[1]", "int64[0] = []"}, "float32[scalar]"},
      {"Reshape", {"float32[2x3]", "int64[1] = [5]"}, "cannot view 2x3 as 5"},
      {"Reshape", {"float32[2x3]", "int64[2] = [-1, -1]"}, "at most one -1"},
      {"Reshape", {"float32[6]", "int64[2] = [6, 0]"}, "copies dimension 1"},
      {"Reshape", {"float32[?]", "int64[2] = [6, 2]"}, "float32[6x2]"},
      {"Reshape", {"float32[?]", "int64[2] = [6, -1]"}, "float32[?]"},
      {"Transpose", {"float32[2x3x4]"}, "float32[4x3x2]"},
      {"Transpose{perm=[1,0,2]}", {"float32[2x3x4]"}, "float32[3x2x4]"},
      {"Transpose{perm=[1,1,2]}", {"float32[2x3x4]"}, "given twice"},
      {"Concat{axis=-1}", {"float32[2x3]", "float32[2x1]"}, "float32[2x4]"},
      {"Concat{axis=0}", {"float32[2x3]", "float32[2x1]"}, "does not fit"},
      {"Split{axis=1}", {"float32[2x6]", "int64[2] = [2, 4]"}, "float32[2x2] float32[2x4]", 2},
      {"Split", {"float32[7]"}, "float32[3] float32[3] float32[1]", 3},
      {"Split", {"float32[6]", "int64[2] = [2, 3]"}, "do not add up to 6", 2},
      {"Split", {"float32[6]", "int64[2] = [2, 4]"}, "2 entries for 3 outputs", 3},
      {"Squeeze", {"float32[1x3x1]"}, "float32[3]"},
      {"Squeeze", {"float32[1x3x1]", "int64[1] = [-1]"}, "float32[1x3]"},
      {"Squeeze", {"float32[1x3x1]", "int64[1] = [1]"}, "is not 1"},
      {"Unsqueeze", {"float32[3x4]", "int64[2] = [0, -1]"}, "float32[1x3x4x1]"},
      {"Unsqueeze", {"float32[3x4]", "int64[2] = [1, 1]"}, "given twice"},
      {"Expand", {"float32[3x1]", "int64[3] = [2, 1, 6]"}, "float32[2x3x6]"},
      {"Tile", {"float32[2x3]", "int64[2] = [2, 0]"}, "float32[4x0]"},
      {"Tile", {"float32[2]", "int64[1] = [9223372036854775807]"}, "cannot repeat"},
      {"ConstantOfShape", {"int64[2] = [4, 3]"}, "float32[4x3]"},
      {"ConstantOfShape{value=int32[1] [0]}", {"int64[0] = []"}, "int32[scalar]"},
      {"ConstantOfShape", {"int64[2] = [1099511627776, 2]"}, "product not above 2^40"},
      {"Shape{start=-2}", {"float32[2x3x4]"}, "int64[2]"},
      {"Shape{start=2, end=1}", {"float32[2x3x4]"}, "int64[0]"},
      {"Size", {"float32[2x3x4]"}, "int64[scalar]"},
      {"DepthToSpace{blocksize=2}", {"float32[1x8x2x3]"}, "float32[1x2x4x6]"},
      {"DepthToSpace{blocksize=3}", {"float32[1x8x2x3]"}, "a multiple of 9"},
      {"SpaceToDepth{blocksize=2}", {"float32[1x1x4x6]"}, "float32[1x4x2x3]"},
  });
}

TEST(InferTypes, SelectingAndMaking) {
  check({
      {"Slice",
       {"float32[20x10x5]", "int64[2] = [0, 0]", "int64[2] = [3, 10]", "int64[2] = [0, 1]",
        "int64[2] = [1, 1]"},
       "float32[3x10x5]"},
      {"Slice",
       {"float32[20x10x5]", "int64[3] = [20, 10, 4]", "int64[3] = [0, 0, 1]",
        "int64[3] = [0, 1, 2]", "int64[3] = [-1, -3, -2]"},
       "float32[19x3x2]"},
      {"Slice", {"float32[20x10]", "int64[1] = [-1000]", "int64[1] = [1000]"}, "float32[20x10]"},
      {"Slice",
       {"float32[4]", "int64[1] = [-1]", "int64[1] = [-9223372036854775808]", "int64[1] = [0]",
        "int64[1] = [-9223372036854775808]"},
       "float32[1]"},
      {"Slice", {"float32[4]", "int64[1] = [9]", "int64[1] = [12]"}, "float32[0]"},
      {"Slice",
       {"float32[4]", "int64[1] = [0]", "int64[1] = [1]", "_", "int64[1] = [0]"},
       "steps has a 0"},
      {"Slice", {"float32[4]", "int64[1] = [0]", "int64[2] = [1, 2]"}, "have 1, 2, 1 and 1"},
      {"Slice", {"float32[4]", "int64[1]", "int64[1] = [2]"}, "float32[?]"},
      {"Gather{axis=1}", {"float32[3x3]", "int64[1x2]"}, "float32[3x1x2]"},
      {"Gather", {"float32[5x4]", "int64[]"}, "float32[4]"},
      {"Gather", {"float32[5x4]", "float32[1]"}, "expected int32 or int64"},
      {"GatherElements{axis=1}", {"float32[3x3]", "int64[2x3]"}, "float32[2x3]"},
      {"Pad", {"float32[3x2]", "int64[4] = [0, 2, 0, -1]"}, "float32[3x3]"},
      {"Pad", {"float32[3]", "int64[2] = [-2, -2]"}, "sizes must not be negative"},
      {"Pad", {"float32[3]", "int64[1] = [0]"}, "expected 2"},
      {"Range", {"int64[] = [10]", "int64[] = [6]", "int64[] = [-3]"}, "int64[2]"},
      {"Range", {"float32[] = [1]", "float32[] = [5]", "float32[] = [2]"}, "float32[2]"},
      {"Range", {"int64[] = [0]", "int64[] = [4]", "int64[] = [0]"}, "delta is 0"},
      {"Range", {"int64[]", "int64[] = [4]", "int64[] = [1]"}, "int64[?]"},
      {"Range",
       {"int64[] = [-9223372036854775808]", "int64[] = [9223372036854775807]", "int64[] = [1]"},
       "too many elements"},
      {"Resize", {"float32[1x1x2x4]", "_", "float32[4] = [1, 1, 0.6, 0.6]"}, "float32[1x1x1x2]"},
      // 10 * 0.7 is 7 in float32, though the float32 nearest to 0.7 is below it.
      {"Resize", {"float32[10]", "_", "float32[1] = [0.7]"}, "float32[7]"},
      {"Resize", {"float32[1x1x2x4]", "_", "_", "int64[4] = [1, 1, 7, 8]"}, "float32[1x1x7x8]"},
      {"Resize",
       {"float32[2]", "float32[0] = []", "float32[0] = []", "int64[1] = [4]"},
       "float32[4]"},
      {"Resize", {"float32[2]"}, "neither scales nor sizes"},
      {"Resize", {"float32[2]", "_", "float32[1] = [2]", "int64[1] = [4]"}, "both scales and"},
      {"Resize", {"float32[2]", "_", "float32[1] = [-2]"}, "cannot scale 2 by -2"},
      {"opaque NonZero", {"float32[2]"}, "float32[?] float32[?]", 2},
  });
}

// Whatever the shapes, no operator crashes, and an accepted output has a legal size.
TEST(InferTypes, EveryOperatorOnEveryRankIsSafe) {
  const std::vector<std::optional<Shape>> shapes = {std::nullopt,      Shape{},
                                                    Shape{0},          Shape{3},
                                                    Shape{2, 3},       Shape{1, 4, 4},
                                                    Shape{1, 4, 6, 6}, Shape{int64_t{1} << 40},
                                                    Shape{-1},         Shape{int64_t{1} << 62, 4}};
  const Tensor contents = Tensor::of<int64_t>({2}, {std::numeric_limits<int64_t>::min(), -1});
  for (const Op& op : default_ops()) {
    for (const DType dtype : {DType::kFloat32, DType::kInt64, DType::kBool, DType::kUInt8}) {
      for (const std::optional<Shape>& first : shapes) {
        for (const std::optional<Shape>& rest : shapes) {
          for (size_t count = 0; count < 10; ++count) {
            std::vector<OperandType> operands(count, {dtype, rest, nullptr, false});
            if (count > 0) operands[0] = {DType::kFloat32, first, nullptr, false};
            if (count > 1 && dtype == DType::kInt64) operands[1].constant = &contents;
            const Result<std::vector<ValueType>> types = infer_types(op, operands, 1);
            if (!types.ok()) continue;
            ASSERT_EQ(types->size(), 1u) << op_type(op);
            if (!(*types)[0].shape) continue;
            ASSERT_TRUE(element_count(*(*types)[0].shape, int64_t{1} << 40)) << op_type(op);
          }
        }
      }
    }
  }
}

TEST(ResolvePads, SplitsAnOddTotalByItsRule) {
  Window window;
  window.strides = {2};
  window.auto_pad = AutoPad::kSameUpper;
  const std::vector<int64_t> spatial = {4};
  EXPECT_EQ(resolve_pads(window, {3}, spatial), (Ints{0, 1}));
  window.auto_pad = AutoPad::kSameLower;
  EXPECT_EQ(resolve_pads(window, {3}, spatial), (Ints{1, 0}));
  window.pads = {5, 6};
  window.auto_pad = AutoPad::kValid;
  EXPECT_EQ(resolve_pads(window, {3}, spatial), (Ints{0, 0}));
  window.auto_pad = AutoPad::kNotSet;
  EXPECT_EQ(resolve_pads(window, {3}, spatial), (Ints{5, 6}));
}

}  // namespace
}  // namespace graupel::ir
