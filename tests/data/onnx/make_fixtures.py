#!/usr/bin/env python3
"""Makes the fixtures of src/onnx/versions_test.cc: one-operator models of old and new opsets.

Each NAME.onnx has a NAME.pb beside it, a GraphProto without nodes whose initializers are the
model's inputs and the outputs ONNX Runtime computes for them, under the names the model uses.
NAME.refused.onnx has no NAME.pb: graupel has to refuse it by name.

    python3 make_fixtures.py FOLDER      (needs the packages onnx >= 1.17 and onnxruntime)
"""
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper, numpy_helper

RNG = np.random.default_rng(7)
CASES = []


def f(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def case(name, opset, op, inputs, constants=(), outputs=1, ir=None, refused=False, **attributes):
    """inputs: arrays fed at run time; constants: (position, array) pairs; None omits an input."""
    CASES.append((name, opset, op, inputs, dict(constants), outputs, ir, refused, attributes))


# ---- opsets 18 to 22 ----
X = f(2, 3, 4)
for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceLogSumExp"):
    case(f"{kind}_18_axes", 18, kind, [X], [(1, ints(-1, 0))], keepdims=0)
case("ReduceSum_13_axes", 13, "ReduceSum", [X], [(1, ints(1))], keepdims=1)
case("ReduceMean_18_noop", 18, "ReduceMean", [X], noop_with_empty_axes=1)
case("ReduceMean_18_all", 18, "ReduceMean", [X], keepdims=0)
case("ReduceSum_18_empty_axes", 18, "ReduceSum", [X], [(1, ints())], keepdims=0)
case("ReduceMax_20", 20, "ReduceMax", [X], [(1, ints(2))])
case("Split_18_uneven", 18, "Split", [f(7, 2)], outputs=3, axis=0, num_outputs=3)
case("Split_18_sizes", 18, "Split", [f(2, 7)], [(1, ints(2, 4, 1))], outputs=3, axis=-1)
case("Pad_18_axes", 18, "Pad", [f(1, 2, 3, 4)],
     [(1, ints(1, 2, 0, 3)), (2, np.float32(1.5)), (3, ints(-1, 2))])
case("Pad_19_edge", 19, "Pad", [f(1, 2, 3, 4)], [(1, ints(0, 0, 1, 2, 0, 0, 2, 1))], mode="edge")
case("Pad_19_negative", 19, "Pad", [f(1, 2, 5, 4)], [(1, ints(0, 0, -1, 2, 0, 0, -2, 1))])
case("Pad_19_wrap", 19, "Pad", [f(1, 2, 5, 4)], [(1, ints(0, 0, 1, 1, 0, 0, 1, 1))], mode="wrap",
     refused=True)
case("Resize_18_axes_scales", 18, "Resize", [f(1, 2, 3, 4)],
     [(2, np.array([2, 1.5], np.float32)), (1, None)], mode="linear", axes=[2, 3])
case("Resize_19_axes_sizes", 19, "Resize", [f(1, 2, 3, 4)], [(1, None), (2, None), (3, ints(7, 5))],
     mode="nearest", axes=[-1, 2], coordinate_transformation_mode="asymmetric",
     nearest_mode="floor")
case("Resize_19_antialias", 19, "Resize", [f(1, 1, 6, 6)],
     [(1, None), (2, np.array([1, 1, 0.5, 0.5], np.float32))], mode="linear", antialias=1,
     refused=True)
case("Resize_19_not_larger", 19, "Resize", [f(1, 1, 4, 6)], [(1, None), (2, None), (3, ints(7, 8))],
     mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger", refused=True)
case("Resize_18_cubic", 18, "Resize", [f(1, 1, 4, 5)],
     [(1, None), (2, np.array([1, 1, 1.7, 0.8], np.float32))], mode="cubic")
case("Resize_19_half_pixel_symmetric", 19, "Resize", [f(1, 1, 4, 5)],
     [(1, None), (2, np.array([1, 1, 1.7, 0.8], np.float32))], mode="linear",
     coordinate_transformation_mode="half_pixel_symmetric", refused=True)
case("AveragePool_19_dilations", 19, "AveragePool", [f(1, 2, 7, 8)], kernel_shape=[2, 3],
     dilations=[2, 2], strides=[1, 2])
case("AveragePool_19_dilations_pads", 19, "AveragePool", [f(1, 2, 7, 8)], kernel_shape=[2, 2],
     dilations=[2, 3], pads=[1, 1, 1, 1], count_include_pad=1)
case("AveragePool_19_ceil", 19, "AveragePool", [f(1, 2, 7, 8)], kernel_shape=[3, 3],
     strides=[2, 2], ceil_mode=1)
case("AveragePool_22_ceil_pads", 22, "AveragePool", [f(1, 2, 7, 8)], kernel_shape=[3, 3],
     strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=0)
case("MaxPool_22_ceil", 22, "MaxPool", [f(1, 2, 7, 8)], kernel_shape=[3, 2], strides=[2, 3],
     pads=[1, 0, 1, 1], ceil_mode=1, ir=10)
case("Conv_22", 22, "Conv", [f(1, 4, 5, 6)], [(1, f(6, 2, 3, 2)), (2, f(6))], group=2,
     pads=[1, 0, 1, 1], ir=10)
case("ConvTranspose_22", 22, "ConvTranspose", [f(1, 3, 4, 5)], [(1, f(3, 2, 3, 3)), (2, f(2))],
     strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 0])
case("BatchNormalization_15", 22, "BatchNormalization", [f(2, 3, 4)],
     [(1, f(3)), (2, f(3)), (3, f(3)), (4, np.abs(f(3)))], epsilon=1e-3)
case("InstanceNormalization_22", 22, "InstanceNormalization", [f(2, 3, 4, 2)], [(1, f(3)), (2, f(3))])
case("LayerNormalization_17", 21, "LayerNormalization", [f(2, 3, 4)], [(1, f(3, 4)), (2, f(3, 4))],
     axis=1)
case("GroupNormalization_18", 18, "GroupNormalization", [f(2, 6, 3, 2)], [(1, f(3)), (2, f(3))],
     num_groups=3)
case("GroupNormalization_21", 21, "GroupNormalization", [f(2, 6, 3, 2)], [(1, f(6)), (2, f(6))],
     num_groups=3, epsilon=1e-3)
case("Mish_18", 18, "Mish", [f(3, 5) * 4])
case("Gelu_20", 20, "Gelu", [f(3, 5) * 2])
case("Gelu_20_tanh", 20, "Gelu", [f(3, 5) * 2], approximate="tanh")
case("HardSwish_22", 22, "HardSwish", [f(3, 5) * 4])
case("HardSigmoid_22", 22, "HardSigmoid", [f(3, 5) * 4], alpha=0.3, beta=0.4)
case("Cast_19", 19, "Cast", [f(3, 5) * 4], to=T.INT32)
case("Cast_21_half", 21, "Cast", [f(3, 5) * 4], to=T.FLOAT16, ir=10)
case("Cast_19_float8", 19, "Cast", [f(3, 5)], to=T.FLOAT8E4M3FN, refused=True)
case("CastLike_19", 19, "CastLike", [f(3, 5) * 4], [(1, np.zeros(1, np.int64))])
case("QuantizeLinear_19", 19, "QuantizeLinear", [f(3, 5) * 40],
     [(1, np.array(0.25, np.float32)), (2, np.array(3, np.int8))])
case("QuantizeLinear_21_axis", 21, "QuantizeLinear", [f(2, 3, 2) * 40],
     [(1, np.array([0.25, 0.5, 1], np.float32)), (2, np.array([0, 9, 200], np.uint8))], axis=1)
case("QuantizeLinear_21_dtype", 21, "QuantizeLinear", [f(3, 5) * 40],
     [(1, np.array(0.25, np.float32))], output_dtype=T.INT8)
case("DequantizeLinear_21_axis", 21, "DequantizeLinear",
     [RNG.integers(-127, 127, (2, 3, 2)).astype(np.int8)],
     [(1, np.array([0.25, 0.5, 1], np.float32)), (2, np.zeros(3, np.int8))], axis=-2)
case("DequantizeLinear_21_blocks", 21, "DequantizeLinear",
     [RNG.integers(-127, 127, (2, 4)).astype(np.int8)], [(1, np.abs(f(2, 2)) + 0.1)],
     axis=1, block_size=2, refused=True)
case("Reshape_21", 21, "Reshape", [X], [(1, ints(0, -1))], ir=10)
case("Reshape_19_allowzero", 19, "Reshape", [X], [(1, ints(4, 6))], allowzero=1)
case("Squeeze_21", 21, "Squeeze", [f(1, 3, 1)], [(1, ints(-1))], ir=10)
case("Unsqueeze_21", 21, "Unsqueeze", [f(2, 3)], [(1, ints(0, -1))], ir=10)
case("Identity_21", 21, "Identity", [X], ir=10)
case("Flatten_21", 21, "Flatten", [X], axis=-1)
case("Transpose_21", 21, "Transpose", [X], perm=[2, 0, 1])
case("Shape_19_start_end", 19, "Shape", [f(2, 3, 4, 5)], start=1, end=-1)
case("Size_21", 21, "Size", [X])
case("LRN_13", 20, "LRN", [f(1, 6, 3, 3)], size=3, alpha=0.01, beta=0.6, bias=1.5)
case("Clip_13_no_max", 18, "Clip", [X], [(1, np.float32(-0.2))])
case("Elu_22", 22, "Elu", [X], alpha=0.7)
case("Softplus_22", 22, "Softplus", [X])
case("Selu_22", 22, "Selu", [X])
case("GlobalAveragePool_22", 22, "GlobalAveragePool", [f(1, 2, 3, 4)])
case("Dropout_22", 22, "Dropout", [X])
case("Round_22", 22, "Round", [np.array([0.5, 1.5, -0.5, 2.4, -2.5], np.float32)])
case("Equal_19", 19, "Equal", [np.arange(4, dtype=np.int32), np.array([0, 2, 2, 5], np.int32)])
case("GridSample_20", 20, "GridSample", [f(1, 1, 4, 4), f(1, 3, 3, 2)], refused=True)
case("DFT_20", 20, "DFT", [f(1, 8, 1)], refused=True)

# ---- opsets 7 to 12 ----
case("Slice_1", 9, "Slice", [f(3, 5, 4)], starts=[1, -3], ends=[3, 99], axes=[0, 1])
case("Slice_1_no_axes", 7, "Slice", [f(3, 5)], starts=[1, 0], ends=[-1, 4])
case("Slice_10_steps", 10, "Slice", [f(3, 7)], [(1, ints(6)), (2, ints(0)), (3, ints(1)), (4, ints(-2))])
case("Squeeze_1", 11, "Squeeze", [f(1, 3, 1)], axes=[0])
case("Squeeze_1_all", 7, "Squeeze", [f(1, 3, 1)])
case("Unsqueeze_1", 9, "Unsqueeze", [f(2, 3)], axes=[0, 2])
case("Upsample_7", 7, "Upsample", [f(1, 2, 3, 2)], mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])
case("Upsample_9_linear", 9, "Upsample", [f(1, 2, 3, 2)],
     [(1, np.array([1, 1, 2, 3], np.float32))], mode="linear")
case("Resize_10_nearest", 10, "Resize", [f(1, 2, 4, 3)],
     [(1, np.array([1, 1, 2, 1.5], np.float32))], mode="nearest")
case("Resize_10_linear", 10, "Resize", [f(1, 2, 4, 3)],
     [(1, np.array([1, 1, 2, 3], np.float32))], mode="linear")
case("Resize_11_align", 11, "Resize", [f(1, 2, 4, 3)],
     [(1, np.zeros(0, np.float32)), (2, np.array([1, 1, 2, 3], np.float32))], mode="linear",
     coordinate_transformation_mode="align_corners")
case("Clip_6", 7, "Clip", [X], min=-0.5, max=0.25)
case("Clip_6_max", 9, "Clip", [X], max=0.25)
case("Pad_2", 9, "Pad", [f(2, 3)], pads=[1, 0, 0, 2], value=2.5)
case("Pad_2_reflect", 7, "Pad", [f(4, 5)], pads=[1, 2, 3, 1], mode="reflect")
case("Softmax_1", 9, "Softmax", [f(2, 3, 4)], axis=1)
case("Softmax_11_default", 11, "Softmax", [f(2, 3, 4, 2)])
case("LogSoftmax_11_axis0", 11, "LogSoftmax", [f(2, 3)], axis=0)
case("Dropout_7", 7, "Dropout", [X], ratio=0.4)
case("Dropout_12", 12, "Dropout", [X], [(1, np.float32(0.3))])
case("BatchNormalization_7", 7, "BatchNormalization", [f(2, 3, 4, 2)],
     [(1, f(3)), (2, f(3)), (3, f(3)), (4, np.abs(f(3)))])
case("BatchNormalization_9", 9, "BatchNormalization", [f(2, 3, 4, 2)],
     [(1, f(3)), (2, f(3)), (3, f(3)), (4, np.abs(f(3)))], epsilon=1e-2, momentum=0.5)
case("Cast_6", 7, "Cast", [f(3, 5) * 4], to=T.INT64)
case("Cast_9_bool", 9, "Cast", [np.array([0, 1, -2, 0.5], np.float32)], to=T.BOOL)
case("TopK_1", 9, "TopK", [f(2, 6)], outputs=2, k=3, axis=-1)
case("TopK_10", 10, "TopK", [f(2, 6)], [(1, ints(2))], outputs=2)
case("TopK_11_smallest", 11, "TopK", [f(6, 2)], [(1, ints(2))], outputs=2, axis=0, largest=0)
case("Gemm_7", 7, "Gemm", [f(3, 4)], [(1, f(5, 4)), (2, f(5))], transB=1, alpha=0.5, beta=2.0)
case("Gemm_9", 9, "Gemm", [f(4, 3)], [(1, f(4, 5)), (2, f(3, 1))], transA=1)
case("Gemm_11_no_bias", 11, "Gemm", [f(3, 4)], [(1, f(4, 5))])
case("AveragePool_7", 7, "AveragePool", [f(1, 2, 6, 7)], kernel_shape=[3, 2], strides=[2, 2],
     pads=[1, 0, 1, 1], count_include_pad=1)
case("AveragePool_7_same_lower", 7, "AveragePool", [f(1, 2, 6, 7)], kernel_shape=[2, 3],
     strides=[2, 2], auto_pad="SAME_LOWER")
case("AveragePool_10_ceil", 10, "AveragePool", [f(1, 2, 6, 7)], kernel_shape=[3, 2],
     strides=[2, 2], ceil_mode=1)
case("MaxPool_8_indices", 8, "MaxPool", [f(1, 2, 6, 7)], outputs=2, kernel_shape=[3, 2],
     strides=[2, 2])
case("MaxPool_7_same_upper", 7, "MaxPool", [f(1, 2, 6, 7)], kernel_shape=[2, 3], strides=[2, 2],
     auto_pad="SAME_UPPER")
case("MaxPool_10_dilated", 10, "MaxPool", [f(1, 2, 6, 7)], kernel_shape=[2, 2], dilations=[2, 3],
     ceil_mode=1, strides=[2, 2])
case("ReduceMean_11_axes", 11, "ReduceMean", [X], axes=[0, -1], keepdims=0)
case("ReduceSum_11_axes", 11, "ReduceSum", [X], axes=[1])
case("ArgMax_11", 11, "ArgMax", [X], axis=-1, keepdims=0)
case("Split_2", 11, "Split", [f(2, 6)], outputs=2, axis=1, split=[4, 2])
case("Split_2_even", 7, "Split", [f(2, 6)], outputs=3, axis=1)
case("DepthToSpace_1", 9, "DepthToSpace", [f(1, 8, 2, 3)], blocksize=2)
case("DepthToSpace_11_crd", 11, "DepthToSpace", [f(1, 8, 2, 3)], blocksize=2, mode="CRD")
case("PRelu_7", 7, "PRelu", [f(2, 3, 4)], [(1, f(3, 1))])
case("Concat_4", 7, "Concat", [f(2, 3), f(2, 2)], axis=1)
case("Flatten_1", 8, "Flatten", [X], axis=2)
case("Expand_8", 8, "Expand", [f(3, 1)], [(1, ints(2, 1, 4))])
case("Tile_6", 7, "Tile", [f(2, 3)], [(1, ints(2, 2))])
case("QuantizeLinear_10", 10, "QuantizeLinear", [f(3, 5) * 40],
     [(1, np.array(0.25, np.float32)), (2, np.array(130, np.uint8))])
case("ConvTranspose_1_same", 9, "ConvTranspose", [f(1, 3, 4, 5)], [(1, f(3, 2, 3, 3))],
     strides=[2, 2], auto_pad="SAME_UPPER")
case("ConvTranspose_11_shape", 11, "ConvTranspose", [f(1, 3, 4, 5)], [(1, f(3, 2, 3, 3))],
     strides=[2, 2], output_shape=[8, 9])
case("Conv_1_same_lower", 8, "Conv", [f(1, 2, 5, 6)], [(1, f(3, 2, 2, 3))], auto_pad="SAME_LOWER",
     strides=[2, 2])


def build(name, opset, op, inputs, constants, outputs, ir, attributes):
    count = len(inputs) + len(constants)
    names, feeds, initializers, infos = [], {}, [], []
    rest = list(inputs)
    for position in range(max(count, max(constants, default=-1) + 1)):
        if position in constants:
            if constants[position] is None:
                names.append("")
            else:
                names.append(f"c{position}")
                initializers.append(
                    numpy_helper.from_array(np.asarray(constants[position]), names[-1]))
        elif rest:
            array = rest.pop(0)
            names.append(f"x{len(feeds)}")
            feeds[names[-1]] = array
            infos.append(helper.make_tensor_value_info(
                names[-1], helper.np_dtype_to_tensor_dtype(array.dtype), array.shape))
        else:
            names.append("")
    while names and names[-1] == "":
        names.pop()
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, name=name, **attributes)
    graph = helper.make_graph([node], name, infos, [onnx.ValueInfoProto(name=n) for n in results],
                              initializers)
    # IR 4 is the first whose initializers need not be inputs, too.
    version = ir or (8 if opset < 19 else 9)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                              ir_version=version, producer_name="make_fixtures")
    inferred = onnx.shape_inference.infer_shapes(model)
    known = {info.name: info for info in inferred.graph.output}
    for info in model.graph.output:
        if known[info.name].type.tensor_type.elem_type:
            info.type.tensor_type.elem_type = known[info.name].type.tensor_type.elem_type
    return model, feeds


def expected(model, feeds):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options,
                                   providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def main():
    folder = Path(sys.argv[1])
    for old in list(folder.glob("*.onnx")) + list(folder.glob("*.pb")):
        old.unlink()
    for name, opset, op, inputs, constants, outputs, ir, refused, attributes in CASES:
        model, feeds = build(name, opset, op, inputs, constants, outputs, ir, attributes)
        if refused:
            (folder / f"{name}.refused.onnx").write_bytes(model.SerializeToString())
            continue
        try:
            answers = expected(model, feeds)
        except Exception as error:  # the message says which fixture is wrong
            print(f"{name}: {str(error)[:300]}", file=sys.stderr)
            continue
        values = [numpy_helper.from_array(array, key) for key, array in feeds.items()]
        values += [numpy_helper.from_array(np.asarray(array), f"y{i}")
                   for i, array in enumerate(answers)]
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
        (folder / f"{name}.pb").write_bytes(
            helper.make_graph([], name, [], [], values).SerializeToString())
    print(len(CASES), "cases")


main()
