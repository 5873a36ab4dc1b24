#!/usr/bin/env python3
"""Makes tests/data/qdq: small networks that ONNX Runtime quantised, and what it answers.

usage: make_qdq.py FOLDER     (needs numpy, onnx, onnxruntime: tools/python-tools)

A residual network of random weights, quantised by quantize_static in QDQ format: symmetric int8 and
asymmetric uint8 activations, int8 weights per channel. NAME.onnx, NAME.input.npy, NAME.output.npy.
"""
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType,
                                      quantize_static)

rng = np.random.default_rng(7)


def network():
    def weight(name, *shape):
        data = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        return numpy_helper.from_array(data, name)

    weights = [weight("w1", 8, 3, 3, 3), weight("b1", 8), weight("w2", 8, 8, 3, 3), weight("b2", 8),
               weight("w3", 5, 8), weight("b3", 5)]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "first_relu"),
        helper.make_node("MaxPool", ["b"], ["c"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2", "b2"], ["d"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "d"], ["e"], "add"),
        helper.make_node("Relu", ["e"], ["f"], "add_relu"),
        helper.make_node("GlobalAveragePool", ["f"], ["g"], "average"),
        helper.make_node("Flatten", ["g"], ["h"], "flatten"),
        helper.make_node("Gemm", ["h", "w3", "b3"], ["y"], "last", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "residual", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def main():
    folder = sys.argv[1]
    windows = rng.normal(0, 1, (96, 3, 8, 8)).astype(np.float32)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rest = iter(windows)

        def get_next(self):
            window = next(self.rest, None)
            return None if window is None else {"x": window[None]}

    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "float.onnx")
        onnx.save(network(), source)
        for name, activation, symmetric in (("ort_int8", QuantType.QInt8, True),
                                            ("ort_uint8", QuantType.QUInt8, False)):
            path = os.path.join(folder, name + ".onnx")
            quantize_static(source, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                            weight_type=QuantType.QInt8, activation_type=activation,
                            extra_options={"ActivationSymmetric": symmetric})
            options = ort.SessionOptions()
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            run = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            some = windows[:64]
            answers = np.concatenate([run.run(None, {"x": w[None]})[0] for w in some])
            np.save(os.path.join(folder, name + ".input.npy"), some)
            np.save(os.path.join(folder, name + ".output.npy"), answers)
            for node in onnx.load(path).graph.node:
                print(name, node.op_type, list(node.input), list(node.output))


main()
