#!/usr/bin/env python3
"""Answers of other people's implementations, for src/calibrate/fixtures_test.cc.

Made once with: numpy 2.4, scipy, scikit-learn 1.9, netcal 1.4, uncertainty-calibration 0.1.4,
torchcp 1.2, crepes 0.9.1, mapie 1.6 (pip install in a virtual environment; torchcp --no-deps).
Run: python make_fixtures.py  -> fixtures.npz beside this file.
"""
import sys
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import calibration  # uncertainty-calibration, by the authors of Kumar et al. 2019
import numpy as np
import torch

# What torchcp's losses need, and its parts that are not used here.
for absent in ("torchsort", "torchcp.graph", "torchcp.llm", "torchcp.regression"):
    sys.modules.setdefault(absent, MagicMock())

from crepes import ConformalClassifier
from mapie.classification import SplitConformalClassifier
from netcal.metrics import ECE, MCE
from scipy import optimize, special, stats
from sklearn.metrics import brier_score_loss, log_loss
from torchcp.classification.score import APS, LAC, RAPS, SAPS
from torchcp.utils.common import calculate_conformal_value

warnings.filterwarnings("ignore")
torch.set_default_dtype(torch.float64)
ROWS, CLASSES, FIT, ALPHA, BINS = 600, 6, 300, 0.1, 15
rng = np.random.default_rng(20261126)
out = {}


def softmax(logits):
    return special.softmax(logits.astype(np.float64), axis=1)


# An overconfident classifier: labels drawn from softmax(logits / 1.8), class by class a bit off.
truth = rng.normal(size=(ROWS, CLASSES)) * 1.6
labels = np.array([rng.choice(CLASSES, p=p) for p in softmax(truth)])
logits = (1.8 * truth + np.linspace(-0.6, 0.6, CLASSES)).astype(np.float32)
groups = rng.integers(0, 7, size=ROWS)
out.update(logits=logits, labels=labels.astype(np.int64), groups=groups.astype(np.int64))

# ---- temperature and vector scaling, on all rows ----
z = logits.astype(np.float64)
own = z[np.arange(ROWS), labels]


def slope(beta):
    return np.sum(np.sum(special.softmax(beta * z, axis=1) * z, axis=1) - own)


beta = optimize.brentq(slope, 1e-3, 10.0, xtol=1e-15, rtol=1e-15)
out["temperature"] = np.array([1.0 / beta])
out["nll"] = np.array([log_loss(labels, softmax(z)), log_loss(labels, softmax(beta * z))])


def vector_objective(x):
    scaled = x[:CLASSES] * z + x[CLASSES:]
    center = np.concatenate([np.full(CLASSES, beta), np.zeros(CLASSES)])
    loss = np.sum(special.logsumexp(scaled, axis=1) - scaled[np.arange(ROWS), labels])
    residual = special.softmax(scaled, axis=1) - np.eye(CLASSES)[labels]
    gradient = np.concatenate([np.sum(residual * z, axis=0), np.sum(residual, axis=0)])
    return loss + 0.5 * np.sum((x - center) ** 2), gradient + x - center


start = np.concatenate([np.full(CLASSES, beta), np.zeros(CLASSES)])
solution = optimize.root(lambda x: vector_objective(x)[1], start, tol=1e-14)
x = solution.x
for _ in range(5):  # Newton with the exact Hessian, to the last digits
    q = special.softmax(x[:CLASSES] * z + x[CLASSES:], axis=1)
    features = np.concatenate([z, np.ones_like(z)], axis=1)
    hessian = np.eye(2 * CLASSES)
    for i in range(ROWS):
        weight = np.diag(q[i]) - np.outer(q[i], q[i])
        hessian += np.tile(weight, (2, 2)) * np.outer(features[i], features[i])
    x = x - np.linalg.solve(hessian, vector_objective(x)[1])
out["vector"] = x

# ---- metrics of the unscaled probabilities, all rows ----
p = softmax(z)
top, right = p.max(axis=1), (p.argmax(axis=1) == labels)
out["ece_width"] = np.array([ECE(bins=BINS).measure(p, labels)])
out["mce_width"] = np.array([MCE(bins=BINS).measure(p, labels)])
out["ece_classwise"] = np.array(
    [np.mean([ECE(bins=BINS).measure(p[:, c], (labels == c).astype(int)) for c in range(CLASSES)])])
data = list(zip(top, right.astype(float)))
binned = calibration.utils.equal_bin(data, BINS)
out["ece_mass"] = np.array([calibration.utils.plugin_ce(binned, power=1)])
sizes = np.array([len(b) for b in binned])
share = np.array([np.mean([y for _, y in b]) for b in binned])
mean = np.array([np.mean([x for x, _ in b]) for b in binned])
deviation = np.sqrt(share * (1 - share) / sizes)
expected = [stats.foldnorm.mean(abs(d) / s, scale=s) if s > 0 else abs(d)
            for d, s in zip(share - mean, deviation)]
out["ece_debiased"] = np.array([2 * out["ece_mass"][0] - np.dot(sizes / ROWS, expected)])
np.random.seed(1)
out["ece_debiased_drawn"] = np.array(
    [calibration.utils.normal_debiased_ce(binned, power=1, resamples=100000)])
out["brier"] = np.array([brier_score_loss(labels, p, scale_by_half=False)])
out["aurc"] = np.array([1.0 - calibration.utils.get_selective_stats(top, right)[0]])

# ---- conformal: fitted on the first half, sets of the second ----
cal, test = slice(0, FIT), slice(FIT, ROWS)
uniform = rng.random(ROWS)
out["uniform"] = uniform
pt, lt = torch.tensor(p), torch.tensor(labels)
real_rand = torch.rand


def rand_of(rows):
    def fake(*shape, **_):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        u = torch.tensor(uniform[rows])
        return u if len(shape) == 1 else u.view(-1, 1).expand(*shape).clone()
    return fake


def torchcp_case(name, score):
    # Not _calculate_single_label: its SAPS scores the first class otherwise than its sets do.
    torch.rand = rand_of(cal)
    scores = score._calculate_all_label(pt[cal]).gather(1, lt[cal].view(-1, 1)).flatten()
    threshold = calculate_conformal_value(scores, ALPHA)
    torch.rand = rand_of(test)
    sets = score._calculate_all_label(pt[test]) <= threshold
    torch.rand = real_rand
    out[f"{name}_scores"] = scores.numpy()
    out[f"{name}_threshold"] = np.array([float(threshold)])
    out[f"{name}_sets"] = sets.numpy().astype(np.uint8)


torchcp_case("lac", LAC(score_type="softmax"))
for randomized, suffix in ((False, ""), (True, "_random")):
    torchcp_case("aps" + suffix, APS(randomized=randomized))
    torchcp_case("raps" + suffix, RAPS(randomized=randomized, penalty=0.01, kreg=2))
    torchcp_case("saps" + suffix, SAPS(randomized=randomized, weight=0.2))

# crepes: sets by p-value, marginal, class-conditional and group-conditional (Mondrian).
scores_all = 1.0 - p
scores_true = scores_all[np.arange(ROWS), labels]


def crepes_sets(bins_fit, bins_test):
    model = ConformalClassifier()
    model.fit(scores_true[cal], bins=bins_fit)
    if isinstance(bins_test, str):  # one bin per class
        values = np.column_stack([
            model.predict_p(scores_all[test][:, [c]], bins=np.full(ROWS - FIT, c), smoothing=False)
            for c in range(CLASSES)])
    else:
        values = model.predict_p(scores_all[test], bins=bins_test, smoothing=False)
    return (values > ALPHA + 1e-12).astype(np.uint8)


out["crepes_marginal"] = crepes_sets(None, None)
out["crepes_class"] = crepes_sets(labels[cal], "class")
out["crepes_group"] = crepes_sets(groups[cal], groups[test])


class Prefit:  # an estimator whose "features" are already probabilities
    classes_ = np.arange(CLASSES)

    def fit(self, x, y=None):
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


# n = 299 + 1: a number at which MAPIE's quantile rule has the exact rank.
mapie = SplitConformalClassifier(Prefit(), confidence_level=1 - ALPHA, conformity_score="lac",
                                 prefit=True)
mapie.conformalize(p[: FIT - 1], labels[: FIT - 1])
out["mapie_lac"] = mapie.predict_set(p[test])[1][:, :, 0].astype(np.uint8)

# ---- laws ----
cases = [(100, 0.1, 200), (299, 0.1, 300), (1000, 0.05, 500), (50, 0.2, 40)]
rows = []
for n, alpha, m in cases:
    k = int(np.ceil(round((n + 1) * (1 - alpha), 9)))
    law = stats.betabinom(m, k, n + 1 - k)
    rows.append([n, alpha, m, stats.beta(k, n + 1 - k).ppf(0.05), law.ppf(0.005000001) / m,
                 law.ppf(0.995) / m])
out["laws"] = np.array(rows)

np.savez_compressed(Path(__file__).with_name("fixtures.npz"), **out)
for key, value in out.items():
    print(key, value.shape, value.ravel()[:2])
