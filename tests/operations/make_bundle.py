#!/usr/bin/env python3
"""Deploys and calibrates the example model for the operations tests: make_bundle.py COMMAND BUNDLE."""
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

command, bundle = sys.argv[1:3]
model = str(pathlib.Path(__file__).resolve().parents[2] / "models" / "fsq_imu")
newest = max(os.path.getmtime(path) for path in (command, model + ".onnx", __file__))
if os.path.exists(bundle) and os.path.getmtime(bundle) > newest:
    sys.exit(0)
os.makedirs(os.path.dirname(bundle), exist_ok=True)


def run(*words):
    # Status 1 is a bar that was missed: calibration on this few recordings of people may miss some.
    finished = subprocess.run([command, *words], capture_output=True, text=True)
    if finished.returncode not in (0, 1):
        sys.exit(f"{' '.join(words)}: status {finished.returncode}\n{finished.stdout}{finished.stderr}")


run("deploy", model + ".onnx", "--normalization", model + ".normalization.json", "--class-names",
    model + ".class_names.txt", "--calib", model + ".calibration.npz", "--validate",
    model + ".test.npz", "-o", bundle)
run("calibrate", bundle, "--data", model + ".calibration.npz", "-o", bundle)
# How long behaviours last, from the test windows as if they were one recording.
with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(model + ".test.npz") as archive:
    archive.extractall(folder)
    run("hsmm", bundle, folder + "/x.npy", "--labels", folder + "/y.npy", "--hop", "50", "--rate", "100",
        "-o", bundle)
