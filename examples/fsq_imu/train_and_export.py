#!/usr/bin/env python3
"""Train the example network and export it as PyTorch users do.

The network classifies ten behaviours from windows of two inertial units (1x9x2x100) and carries a
finite scalar quantizer (FSQ) in its middle: three Conv+BatchNorm+ReLU blocks, global average pool,
projection to one value per FSQ dimension, tanh bound, round, and a classifier on the codes.

Runs with Debian's python3-torch (1.13) and python3-numpy:

    make build
    python3 examples/fsq_imu/train_and_export.py --graupel build/release/graupel

The windows come from `graupel synth`; training and test people differ. Everything is seeded; the
weights still depend on the PyTorch build and the CPU in the last digits.
FSQ: arXiv 2309.15505; bound as in vector-quantize-pytorch since 2024-01 (atanh shift, eps 1e-3).
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch import nn

BEHAVIOURS = 10
EPSILON = 1e-8
BATCH_NAME = b"pinned_batch"


class FSQ(nn.Module):
    """One rounded value per dimension, on levels[i] steps, scaled to about [-1, 1]."""

    def __init__(self, levels, keep_straight_through=False, eps=1e-3):
        super().__init__()
        self.keep_straight_through = keep_straight_through
        levels = torch.tensor(levels, dtype=torch.float32)
        half_l = (levels - 1) * (1 + eps) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        self.register_buffer("half_l", half_l)
        self.register_buffer("offset", offset)
        self.register_buffer("shift", torch.atanh(offset / half_l))
        self.register_buffer("half_width", torch.floor(levels / 2))

    def bound(self, z):
        return torch.tanh(z + self.shift) * self.half_l - self.offset

    def forward(self, z):
        bounded = self.bound(z)
        if self.training or self.keep_straight_through:
            # Round forward, identity backward; exported it reads bounded + (Round - bounded).
            rounded = bounded + (bounded.round() - bounded).detach()
        else:
            rounded = bounded.round()
        return rounded / self.half_width


def block(inputs, outputs, kernel):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, (1, kernel), padding=(0, kernel // 2)),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class BehaviourNet(nn.Module):
    def __init__(self, levels, linear_head=False, keep_straight_through=False):
        super().__init__()
        self.block1 = block(9, 32, 7)
        self.pool1 = nn.MaxPool2d((1, 2))
        self.block2 = block(32, 64, 5)
        self.pool2 = nn.MaxPool2d((1, 2))
        self.block3 = block(64, 128, 5)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        if linear_head:
            self.project = nn.Sequential(
                nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, len(levels)))
        else:
            self.project = nn.Linear(128, len(levels))
        self.fsq = FSQ(levels, keep_straight_through)
        self.classifier = nn.Sequential(
            nn.Linear(len(levels), 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, BEHAVIOURS))

    def forward(self, imu):
        x = self.pool1(self.block1(imu))
        x = self.pool2(self.block2(x))
        x = self.pool(self.block3(x))
        x = x.view(x.size(0), -1)
        return self.classifier(self.fsq(self.project(x)))


def synth(command, folder, windows, subjects, first_subject, seed):
    subprocess.run(
        [command, "synth", "-o", folder, "--windows", str(windows), "--subjects", str(subjects),
         "--first-subject", str(first_subject), "--seed", str(seed)],
        check=True, stdout=subprocess.DEVNULL)
    return (np.load(os.path.join(folder, "windows.npy")),
            np.load(os.path.join(folder, "labels.npy")))


def statistics(windows):
    values = windows.astype(np.float64)
    return {"mean": values.mean(axis=(0, 2, 3)).tolist(),
            "std": values.std(axis=(0, 2, 3)).tolist(), "epsilon": EPSILON}


def z_score(windows, normalization):
    mean = np.array(normalization["mean"]).reshape(1, -1, 1, 1)
    std = np.array(normalization["std"]).reshape(1, -1, 1, 1)
    return torch.from_numpy(
        ((windows - mean) / (std + normalization["epsilon"])).astype(np.float32))


def small_rotations(count, sigma, generator):
    """count x 3 x 3 rotations by normal angles of `sigma` rad about each axis."""
    vector = torch.randn(count, 3, generator=generator) * sigma
    skew = torch.zeros(count, 3, 3)
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -vector[:, 2], vector[:, 1], -vector[:, 0]
    return torch.matrix_exp(skew - skew.transpose(1, 2))


def augment(raw, generator):
    """A unit worn a little askew, of slightly different gain, noisier."""
    count = raw.shape[0]
    triplets = raw.view(count, 3, 3, 2, -1)  # kind, axis, unit, time
    turn = small_rotations(count * 2, math.radians(12), generator).view(count, 2, 3, 3)
    triplets = torch.einsum("nsij,nkjst->nkist", turn, triplets)
    gain = 1 + 0.05 * torch.randn(count, 3, 1, 2, 1, generator=generator)
    return (triplets * gain).reshape(raw.shape)


def accuracy_and_f1(model, windows, labels):
    model.eval()
    with torch.no_grad():
        guess = torch.cat([model(part) for part in windows.split(500)]).argmax(1)
    confusion = torch.zeros(BEHAVIOURS, BEHAVIOURS)
    for truth, predicted in zip(labels.tolist(), guess.tolist()):
        confusion[truth, predicted] += 1
    hits = confusion.diag()
    f1 = (2 * hits / (confusion.sum(0) + confusion.sum(1)).clamp(min=1)).mean()
    return (hits.sum() / confusion.sum()).item(), f1.item(), confusion


def train(model, raw, labels, normalization, options):
    generator = torch.Generator().manual_seed(options.seed)
    mean = torch.tensor(normalization["mean"]).view(1, -1, 1, 1).float()
    scale = torch.tensor(normalization["std"]).view(1, -1, 1, 1).float() + EPSILON
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    steps_per_epoch = len(raw) // options.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=steps_per_epoch * options.epochs)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(options.epochs):
        model.train()
        order = torch.randperm(len(raw), generator=generator)
        total = 0.0
        for step in range(steps_per_epoch):
            pick = order[step * options.batch:(step + 1) * options.batch]
            batch = augment(raw[pick], generator)
            batch = (batch - mean) / scale
            batch += 0.05 * torch.randn(batch.shape, generator=generator)
            loss = criterion(model(batch), labels[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{options.epochs}: loss {total / steps_per_epoch:.4f}",
              flush=True)


def keep_dropout(graph, x, ratio, is_training):
    """PyTorch drops Dropout in evaluation mode, other exporters leave it in; so does this one."""
    ratio = torch.onnx.symbolic_helper._maybe_get_const(ratio, "f")
    return graph.op("Dropout", x, graph.op("Constant", value_t=torch.tensor(ratio)))


def pin_batch(path):
    """Turns the batch dimension that was exported by name into 1.

    In the file a dimension is a protobuf message: field 1 its value, field 2 its name, field 3 its
    denotation. The name is as long as value and denotation together, so no length changes."""
    with open(path, "rb") as file:
        model = file.read()
    named = b"\x12\x0c" + BATCH_NAME
    if model.count(named) != 2:
        sys.exit(f"{path}: expected the batch in one input and one output")
    with open(path, "wb") as file:
        file.write(model.replace(named, b"\x08\x01" + b"\x1a\x0aDATA_BATCH"))


def export(model, path):
    """As users export: evaluation mode and nothing folded, so BatchNormalization and Dropout stay;
    batch dynamic and pinned afterwards, so the Shape and Gather of view() stay too."""
    model.eval()
    torch.onnx.register_custom_op_symbolic("aten::dropout", keep_dropout, 12)
    batch = {0: BATCH_NAME.decode()}
    torch.onnx.export(
        model, torch.zeros(1, 9, 2, 100), path, opset_version=17,
        input_names=["imu"], output_names=["behavior_logits"],
        dynamic_axes={"imu": batch, "behavior_logits": batch},
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    pin_batch(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graupel", default="build/release/graupel")
    parser.add_argument("--levels", default="8,6,5,5,4")
    parser.add_argument("--linear-head", action="store_true",
                        help="Linear-ReLU-Linear in front of the FSQ instead of one Linear")
    parser.add_argument("--keep-straight-through", action="store_true",
                        help="export z + (round(z) - z) instead of round(z)")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--windows", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--probe", help="also write a few windows and PyTorch's logits as .npz")
    parser.add_argument("--output", default="models/fsq_imu_synthetic.onnx")
    parser.add_argument("--normalization", default="models/fsq_imu_synthetic.normalization.json")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)
    torch.set_num_threads(2)

    with tempfile.TemporaryDirectory() as folder:
        raw, labels = synth(options.graupel, folder, options.windows, 40, 0, options.seed)
        test_raw, test_labels = synth(options.graupel, folder, 4000, 20, 1000, options.seed + 1)
    normalization = statistics(raw)
    with open(options.normalization, "w") as file:
        json.dump(normalization, file)
        file.write("\n")

    model = BehaviourNet([int(level) for level in options.levels.split(",")],
                         options.linear_head, options.keep_straight_through)
    print("parameters:", sum(p.numel() for p in model.parameters()))
    train(model, torch.from_numpy(raw), torch.from_numpy(labels), normalization, options)
    accuracy, f1, confusion = accuracy_and_f1(
        model, z_score(test_raw, normalization), torch.from_numpy(test_labels))
    print(f"unseen people: accuracy {accuracy:.4f}, macro-F1 {f1:.4f}")
    print(confusion.int().numpy())
    export(model, options.output)
    if options.probe:
        windows = z_score(test_raw[:10], normalization)
        with torch.no_grad():
            np.savez(options.probe, windows=windows.numpy(), logits=model(windows).numpy())
    print("wrote", options.output, os.path.getsize(options.output), "bytes")


if __name__ == "__main__":
    sys.exit(main())
