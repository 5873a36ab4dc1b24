#!/usr/bin/env python3
"""Runs the quantised networks of write_cases in ONNX Runtime and counts bytes that differ.

Exit status 77 (ctest: skipped) if onnxruntime or numpy cannot be imported; `make setup-tests` installs
them. With all optimisations on, ONNX Runtime computes in integers and has to give the same bytes
(session.x64quantprecision=1: without it processors that lack VNNI saturate sums of u8 x s8), but for
its sum of two tensors, QLinearAdd, which rounds otherwise than the DequantizeLinear, Add and
QuantizeLinear it stands for. As written, with optimisations off, it computes the same graph in
float32; there a convolution's sum that lies within float rounding of the middle between two codes may go
the other way. So few values may differ in one of the two, and none in both.
"""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
except ImportError as error:
    print(f"SKIPPED: {error}; `make setup-tests` installs it, to compare with ONNX Runtime")
    sys.exit(77)


FLOAT_SHARE = 0.01  # of the values, as written


def session(path, level):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def differing(path, level):
    """Which of the output values are not the CPU plan's."""
    base = path[: -len(".onnx")]
    windows = np.load(base + ".input.npy")
    run = session(path, level)
    name = run.get_inputs()[0].name
    answers = [run.run(None, {name: windows[i : i + 1]}) for i in range(len(windows))]
    different = []
    for i in range(len(answers[0])):
        expected = np.load(f"{base}.output{i}.npy")
        found = np.concatenate([answer[i] for answer in answers])
        different.append(found.reshape(-1) != expected.reshape(-1))
    return np.concatenate(different)


def sums_tensors(path):
    return any(node.op_type == "Add" for node in onnx.load(path).graph.node)


def report(title, different, allowed):
    """Prints how much differs; gives whether it is more than allowed."""
    bad = {path: d for path, d in different.items() if d.any()}
    count, total = sum(d.sum() for d in bad.values()), sum(d.size for d in different.values())
    print(f"{title}: {count} of {total} values in {len(bad)} of {len(different)} networks differ")
    for path, d in list(bad.items())[:10]:
        print(f"  {os.path.basename(path)}: {d.sum()} of {d.size}")
    return count > allowed * total


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        paths = sorted(glob.glob(os.path.join(folder, "*.onnx")))
        assert len(paths) > 100, f"only {len(paths)} cases"
        print(f"onnxruntime {ort.__version__}")
        written = {p: differing(p, ort.GraphOptimizationLevel.ORT_DISABLE_ALL) for p in paths}
        integer = {p: differing(p, ort.GraphOptimizationLevel.ORT_ENABLE_ALL) for p in paths}
        summing = {p: d for p, d in integer.items() if sums_tensors(p)}
        plain = {p: d for p, d in integer.items() if p not in summing}
        failed = [report("as written", written, FLOAT_SHARE),
                  report("integer kernels, networks without Add", plain, 0),
                  report("integer kernels, networks with Add", summing, FLOAT_SHARE),
                  report("both", {p: written[p] & integer[p] for p in paths}, 0)]
        return 1 if any(failed) else 0


sys.exit(main())
