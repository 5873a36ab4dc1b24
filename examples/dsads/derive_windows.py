#!/usr/bin/env python3
"""A few minutes of DSADS small enough to lie in this repository: models/fsq_imu.*.npz.

    graupel prepare dsads_T_RL_i16.npy -o windows --split leave-one-out --test-subjects 8 \
        --scale sensor --remove-mean 6,7,8 --hop 100
    python3 examples/dsads/derive_windows.py windows models/fsq_imu

Takes windows that do not overlap, as many of each class: for the test of the person left out, for the
calibration of all others in turn. Readings are rounded to 2^-8 m/s2, 2^-10 rad/s and 2^-12 of the
earth's field, less than the sensors' noise, so that they pack into a third. Needs numpy.
The recordings are CC BY 4.0: Barshan, B. & Altun, K. (2010). Daily and Sports Activities. UCI Machine
Learning Repository. https://doi.org/10.24432/C5C59F
"""
import pathlib
import sys

import numpy as np

TEST_PER_CLASS = 12
CALIBRATION_PER_CLASS = 11
STEPS = np.repeat([2.0**-8, 2.0**-10, 2.0**-12], 3).reshape(1, 9, 1, 1)


def read(folder, split):
    return [np.load(folder / split / f"{name}.npy") for name in ("windows", "labels", "groups")]


def evenly(indices, count):
    return [indices[(2 * i + 1) * len(indices) // (2 * count)] for i in range(count)]


def chosen(windows, labels, people, per_class):
    """Indices: of each class `per_class`, the people in turn, spread over each one's recording."""
    result = []
    for label in np.unique(labels):
        persons = np.unique(people[labels == label])
        for turn, person in enumerate(persons):
            share = per_class // len(persons) + (turn < per_class % len(persons))
            result += evenly(np.flatnonzero((labels == label) & (people == person)), share)
    return np.array(result)


def write(path, windows, labels, people, indices):
    rounded = (np.round(windows[indices] / STEPS) * STEPS).astype(np.float32)
    np.savez_compressed(path, x=rounded, y=labels[indices], subjects=people[indices])
    print(path, rounded.shape, pathlib.Path(path).stat().st_size, "bytes")


def main(folder, output):
    folder = pathlib.Path(folder)
    test = read(folder, "test")
    write(f"{output}.test.npz", *test, chosen(*test, TEST_PER_CLASS))
    others = [np.concatenate(parts) for parts in
              zip(*(read(folder, split) for split in ("train", "validation", "calibration")))]
    write(f"{output}.calibration.npz", *others, chosen(*others, CALIBRATION_PER_CLASS))


main(*sys.argv[1:])
