#!/usr/bin/env python3
"""INT8 of graupel beside other quantisers, on the same network and windows.

usage: compare_int8.py BUNDLE CALIBRATION.npy TEST.npy TEST_LABELS.npy [BUNDLE...]

BUNDLE is what `graupel deploy` or `graupel optimize` wrote. Its float device part is quantised by
each peer that can be imported (onnxruntime's quantize_static, NNCF, Intel Neural Compressor), all
with int8 weights per channel, calibrated on all calibration windows. Every INT8 graph, graupel's
included, runs in ONNX Runtime with optimisations off (the graph as written), the float host part
behind it. Further bundles are compared as further rows.
"""
import json
import os
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime as ort


def session(model):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    source = model if isinstance(model, (str, bytes)) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def device_outputs(model, windows):
    run = session(model)
    name = run.get_inputs()[0].name
    return np.concatenate([run.run(None, {name: w[None]})[0] for w in windows])


def host_outputs(model, values):
    run = session(model)
    name = run.get_inputs()[0].name
    names = [output.name for output in run.get_outputs()]
    rows = [run.run(None, {name: v[None]}) for v in values]
    return {n: np.concatenate([row[i] for row in rows]) for i, n in enumerate(names)}


def snr(exact, close):
    noise = ((exact.astype(np.float64) - close) ** 2).sum()
    return np.inf if noise == 0 else 10 * np.log10((exact.astype(np.float64) ** 2).sum() / noise)


def macro_f1(predicted, labels):
    scores = []
    for c in np.union1d(predicted, labels):
        hit = ((predicted == c) & (labels == c)).sum()
        scores.append(2 * hit / ((predicted == c).sum() + (labels == c).sum()))
    return 100 * np.mean(scores)


def ort_static(device, windows, folder, method, activation="QInt8"):
    from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat,
                                          QuantType, quantize_static)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rest = iter(windows)
            self.name = session(device).get_inputs()[0].name

        def get_next(self):
            window = next(self.rest, None)
            return None if window is None else {self.name: window[None]}

    source, target = os.path.join(folder, "float.onnx"), os.path.join(folder, "int8.onnx")
    open(source, "wb").write(device)
    quantize_static(source, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    weight_type=QuantType.QInt8, activation_type=getattr(QuantType, activation),
                    calibrate_method=getattr(CalibrationMethod, method))
    return open(target, "rb").read()


def nncf_quantize(device, windows, preset):
    import nncf

    model = onnx.load_from_string(device)
    name = model.graph.input[0].name
    data = nncf.Dataset(list(windows), lambda window: {name: window[None]})
    quantized = nncf.quantize(model, data, preset=getattr(nncf.QuantizationPreset, preset),
                              subset_size=len(windows))
    return quantized.SerializeToString()


def neural_compressor(device, windows, folder):
    from neural_compressor import PostTrainingQuantConfig, quantization

    class Loader:
        batch_size = 1

        def __iter__(self):
            for window in windows:
                yield window[None], 0

    source = os.path.join(folder, "inc.onnx")
    open(source, "wb").write(device)
    config = PostTrainingQuantConfig(quant_format="QDQ",
                                     calibration_sampling_size=[len(windows)])
    model = quantization.fit(source, conf=config, calib_dataloader=Loader())
    return model.model.SerializeToString()


def peers(device, windows, folder):
    for method in ("MinMax", "Percentile", "Entropy"):
        for activation in ("QInt8", "QUInt8"):
            yield (f"ONNX Runtime {ort.__version__} {method} {activation}",
                   lambda m=method, a=activation: ort_static(device, windows, folder, m, a))
    for preset in ("MIXED", "PERFORMANCE"):
        yield f"NNCF {preset}", lambda p=preset: nncf_quantize(device, windows, p)
    yield "Neural Compressor", lambda: neural_compressor(device, windows, folder)


def main():
    bundle, calibration, test, labels = sys.argv[1:5]
    members = zipfile.ZipFile(bundle)
    device, host = members.read("device.onnx"), members.read("host.onnx")
    normalization = json.loads(members.read("normalization"))
    mean, std = (np.array(normalization[k])[:, None, None] for k in ("mean", "std"))
    scale = lambda x: ((x.astype(np.float64) - mean) /
                       (std + normalization.get("epsilon", 1e-8))).astype(np.float32)
    calibration, test, labels = scale(np.load(calibration)), scale(np.load(test)), np.load(labels)
    exact = device_outputs(device, test)
    answers = host_outputs(host, exact)
    logits = next(iter(answers.values()))
    classes = logits.argmax(1)
    print(f"{len(calibration)} calibration, {len(test)} test windows; float macro F1 "
          f"{macro_f1(classes, labels):.2f}")
    print("| quantiser | device SNR dB | logits SNR dB | same class % | macro F1 drop pp "
          "| FSQ digits changed % |\n|---|---|---|---|---|---|")

    def row(name, model):
        close = device_outputs(model, test)
        found = host_outputs(host, close)
        mine = next(iter(found.values()))
        digits = 100 * (found["fsq_digits"] != answers["fsq_digits"]).mean()
        print(f"| {name} | {snr(exact, close):.2f} | {snr(logits, mine):.2f} "
              f"| {100 * (mine.argmax(1) == classes).mean():.2f} "
              f"| {macro_f1(classes, labels) - macro_f1(mine.argmax(1), labels):.3f} "
              f"| {digits:.3f} |", flush=True)

    for path in [bundle] + sys.argv[5:]:
        level = json.loads(zipfile.ZipFile(path).read("manifest.json"))["provenance"]["optimize"]
        row(f"graupel, level {level['level']}, {level['calibrator']}",
            zipfile.ZipFile(path).read("device_int8.onnx"))
    with tempfile.TemporaryDirectory() as folder:
        for name, make in peers(device, calibration, folder):
            try:
                row(name, make())
            except ImportError as error:
                print(f"| {name} | not installed: {error} |||||")
            except Exception as error:  # a peer's failure is a row, not the end
                print(f"| {name} | failed: {type(error).__name__}: {str(error)[:120]} |||||")


main()
