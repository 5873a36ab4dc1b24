#!/usr/bin/env python3
"""Runs the quantised networks of write_cases in ONNX Runtime and counts bytes that differ.

Exit status 77 (ctest: skipped) if onnxruntime or numpy cannot be imported; `make setup-tests` installs
them. With all optimisations on, ONNX Runtime computes in integers and has to give the same bytes
(session.x64quantprecision=1: without it processors that lack VNNI saturate sums of u8 x s8). As written, with optimisations off, it computes the same graph in float32; there a sum
that lies within float rounding of the middle between two codes may go the other way.
"""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
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
    base = path[: -len(".onnx")]
    windows = np.load(base + ".input.npy")
    run = session(path, level)
    name = run.get_inputs()[0].name
    answers = [run.run(None, {name: windows[i : i + 1]}) for i in range(len(windows))]
    different = total = 0
    for i in range(len(answers[0])):
        expected = np.load(f"{base}.output{i}.npy")
        found = np.concatenate([answer[i] for answer in answers])
        different += int((found.reshape(-1) != expected.reshape(-1)).sum())
        total += expected.size
    return different, total


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        paths = sorted(glob.glob(os.path.join(folder, "*.onnx")))
        assert len(paths) > 100, f"only {len(paths)} cases"
        failed = False
        levels = {
            "as written": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
            "integer kernels": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        }
        for title, level in levels.items():
            counts = {path: differing(path, level) for path in paths}
            bad = {path: count for path, count in counts.items() if count[0]}
            total = sum(count[1] for count in counts.values())
            print(f"{title}: {sum(c[0] for c in bad.values())} of {total} values in {len(bad)} of "
                  f"{len(paths)} networks differ (onnxruntime {ort.__version__})")
            for path, count in list(bad.items())[:10]:
                print(f"  {os.path.basename(path)}: {count[0]} of {count[1]}")
            allowed = FLOAT_SHARE * total if title == "as written" else 0
            failed = failed or sum(count[0] for count in bad.values()) > allowed
        return 1 if failed else 0


sys.exit(main())
