#!/usr/bin/env python3
"""INT8 of graupel beside other quantisers, on the same network and windows.

usage: compare_int8.py BUNDLE CALIBRATION.npy TEST.npy TEST_LABELS.npy [BUNDLE...]

BUNDLE is what `graupel deploy` or `graupel optimize` wrote. Its float device part is quantised by
each peer that can be imported (onnxruntime's quantize_static, NNCF, Intel Neural Compressor), all
with int8 weights per channel, calibrated on all calibration windows. Every INT8 graph, graupel's
included, runs in ONNX Runtime with optimisations off (the graph as written), the float host part
behind it. Further bundles are compared as further rows. Each figure of the first bundle is judged
beside that of the best peer, by drawing blocks of neighbouring test windows again and again.
"""
import json
import os
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime as ort

BLOCK, DRAWS = 20, 1000

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


def preprocessed(windows, chain):
    """What graupel does to raw windows: src/data/preprocess.cc."""
    x = windows.astype(np.float64)
    for step in chain.get("steps", [dict(chain, step="scale")]):
        if step["step"] == "remove_window_mean":
            c = step["channels"]
            x[:, c] -= x[:, c].mean(axis=tuple(range(3, x.ndim)), keepdims=True)
        elif step["step"] == "scale":
            mean, std = (np.array(step[k]).reshape(1, -1, *[1] * (x.ndim - 2))
                         for k in ("mean", "std"))
            x = (x - mean) / (std + step.get("epsilon", 1e-8))
        else:
            raise SystemExit(f"step {step['step']} is not known to this comparison")
    return x.astype(np.float32)


def stored(model, tensors):
    """For each tensor of the float graph the one that its readers read in a QDQ graph."""
    made = {o for node in model.graph.node for o in node.output}
    reader = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            reader.setdefault((node.op_type, node.input[0]), node.output[0])
    result = {}
    for t in tensors:
        name = next((n for n in (t, t + "_QuantizeInput") if n in made), None)  # or Neural Compressor's
        if name is not None:
            code = reader.get(("QuantizeLinear", name))
            result[t] = reader.get(("DequantizeLinear", code), name)
    return result


def with_outputs(model, names):
    model = onnx.load_from_string(model.SerializeToString())
    known = {o.name for o in model.graph.output}
    for name in dict.fromkeys(names):
        if name not in known:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return session(model)


def worst_layer(device, model, windows):
    """Everything quantised, seen at each layer: the lowest signal to noise ratio in dB.

    A factor per channel is taken out, for every tool alike: equalisation moves such factors from one
    layer's weights to the next, which makes no noise. A tensor that only a Relu or a max pool reads is left
    to their output: rounding may come before or behind them, and a range may stand for the Relu.
    """
    kinds = ("Conv", "Gemm", "MatMul", "Relu", "Add", "AveragePool", "GlobalAveragePool", "Tanh",
             "MaxPool")
    readers = {}
    for node in device.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    tensors = [n.output[0] for n in device.graph.node
               if n.op_type in kinds and not readers.get(n.output[0], {""}) <= {"Relu", "MaxPool"}]
    names = stored(model, tensors)
    tensors = list(names)
    exact, close = with_outputs(device, tensors), with_outputs(model, names.values())
    feeds = [s.get_inputs()[0].name for s in (exact, close)]
    sums = {t: 0.0 for t in tensors}
    for w in windows:
        xs = exact.run(tensors, {feeds[0]: w[None]})
        ys = close.run(list(names.values()), {feeds[1]: w[None]})
        for t, x, y in zip(tensors, xs, ys):
            x, y = (v.astype(np.float64).reshape(v.shape[1], -1) for v in (x, y))
            sums[t] = sums[t] + np.stack([(x * x).sum(1), (x * y).sum(1), (y * y).sum(1)])
    worst = {}
    for t, (xx, xy, yy) in sums.items():
        factor = np.where(xx > 0, xy / np.maximum(xx, 1e-30), 1)
        factor = np.where(factor > 0, factor, 1)
        noise = np.maximum(xx - 2 * xy / factor + yy / factor**2, 0).sum()
        worst[t] = np.inf if noise == 0 else 10 * np.log10(xx.sum() / noise)
    at = min(worst, key=worst.get)
    return worst[at], at


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


class Judge:
    """Figures of one INT8 graph, per window, and what blocks of windows drawn again give."""

    TITLES = ("device SNR dB", "logits SNR dB", "worst layer dB", "same class %",
              "macro F1 drop pp", "FSQ digits changed %")
    BETTER = (1, 1, 1, 1, -1, -1)

    def __init__(self, device, host, test, labels):
        self.device, self.host, self.test, self.labels = device, host, test, labels
        self.exact = device_outputs(device, test)
        self.answers = host_outputs(host, self.exact)
        self.logits = next(iter(self.answers.values()))
        self.classes = self.logits.argmax(1)
        blocks = np.arange(len(test)) // BLOCK
        self.members = [np.flatnonzero(blocks == b) for b in range(blocks[-1] + 1)]

    def measure(self, model):
        close = device_outputs(model, self.test)
        found = host_outputs(self.host, close)
        parsed = onnx.load_from_string(model)
        worst, at = worst_layer(onnx.load_from_string(self.device), parsed,
                                self.test[:: max(1, len(self.test) // 256)])
        return {"close": close, "logits": next(iter(found.values())),
                "digits": found["fsq_digits"], "worst": worst, "worst_at": at}

    def figures(self, m, pick=slice(None)):
        mine = m["logits"][pick].argmax(1)
        f1 = (macro_f1(self.classes[pick], self.labels[pick]) - macro_f1(mine, self.labels[pick]))
        return np.array([snr(self.exact[pick], m["close"][pick]),
                         snr(self.logits[pick], m["logits"][pick]), m["worst"],
                         100 * (mine == self.classes[pick]).mean(), f1,
                         100 * (m["digits"] != self.answers["fsq_digits"])[pick].mean()])

    def against(self, mine, others):
        """Per figure: the best other, and 95 % of the difference to it (positive: better)."""
        rng = np.random.default_rng(1)
        draws = [np.concatenate([self.members[i] for i in
                                 rng.integers(0, len(self.members), len(self.members))])
                 for _ in range(DRAWS)]
        drawn = {n: np.array([self.figures(m, d) for d in draws])
                 for n, m in [("mine", mine), *others.items()]}
        whole = {n: self.figures(m) for n, m in others.items()}
        for i, (title, sign) in enumerate(zip(self.TITLES, self.BETTER)):
            best = max(whole, key=lambda n: sign * whole[n][i])
            low, high = np.percentile(sign * (drawn["mine"][:, i] - drawn[best][:, i]), (2.5, 97.5))
            gain = sign * (self.figures(mine)[i] - whole[best][i])
            verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
            yield title, best, gain, low, high, verdict


def main():
    bundle, calibration, test, labels = sys.argv[1:5]
    members = zipfile.ZipFile(bundle)
    device, host = members.read("device.onnx"), members.read("host.onnx")
    chain = json.loads(members.read("normalization"))
    calibration, test = (preprocessed(np.load(path), chain) for path in (calibration, test))
    labels = np.load(labels)
    judge = Judge(device, host, test, labels)
    print(f"{len(calibration)} calibration, {len(test)} test windows; float macro F1 "
          f"{macro_f1(judge.classes, labels):.2f}")
    print("| quantiser | " + " | ".join(Judge.TITLES) + " |\n|" + "---|" * 7)
    rows = {}

    def row(name, model):
        rows[name] = judge.measure(model)
        f = judge.figures(rows[name])
        print(f"| {name} | {f[0]:.2f} | {f[1]:.2f} | {f[2]:.2f} ({rows[name]['worst_at']}) "
              f"| {f[3]:.2f} | {f[4]:.3f} | {f[5]:.3f} |", flush=True)

    mine = []
    for path in [bundle] + sys.argv[5:]:
        level = json.loads(zipfile.ZipFile(path).read("manifest.json"))["provenance"]["optimize"]
        name = f"graupel, level {level['level']}, {level['calibrator']}"
        mine.append(f"{name} ({os.path.basename(path)})" if name in mine else name)
        row(mine[-1], zipfile.ZipFile(path).read("device_int8.onnx"))
    with tempfile.TemporaryDirectory() as folder:
        for name, make in peers(device, calibration, folder):
            try:
                row(name, make())
            except ImportError as error:
                print(f"| {name} | not installed: {error} ||||||")
            except Exception as error:  # a peer's failure is a row, not the end
                print(f"| {name} | failed: {type(error).__name__}: {str(error)[:120]} ||||||")
    others = {n: m for n, m in rows.items() if n not in mine}
    if others:
        print(f"\n{mine[0]} beside the best peer; {DRAWS} draws of blocks of {BLOCK} windows:\n"
              "| figure | best peer | gain | 95 % of it | |\n|---|---|---|---|---|")
        for title, best, gain, low, high, verdict in judge.against(rows[mine[0]], others):
            print(f"| {title} | {best} | {gain:+.3f} | {low:+.3f} to {high:+.3f} | {verdict} |")


main()
