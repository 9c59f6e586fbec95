"""Known values of the metrics, by scikit-learn and numpy: `python tests/metrics/known.py > tests/metrics/known.json`.

The calibration error, which scikit-learn does not have, is written out here.
"""

import json

import numpy as np
from sklearn import metrics as m

rng = np.random.default_rng(7)


def half(values):
    """Multiples of 1/4: exact in every notation, and with ties."""
    return np.round(values * 4) / 4


def ece(confidence, right, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def classes(scores, y):
    answers = scores.argmax(axis=1)
    names = list(range(scores.shape[1]))
    precision, recall, f1, support = m.precision_recall_fscore_support(y, answers, labels=names, zero_division=0)
    return {
        "scores": scores.tolist(),
        "targets": y.tolist(),
        "confusion": m.confusion_matrix(y, answers, labels=names).tolist(),
        "accuracy": m.accuracy_score(y, answers),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "macro_f1": m.f1_score(y, answers, average="macro", zero_division=0),
        "balanced_accuracy": m.balanced_accuracy_score(y, answers),
        "mcc": m.matthews_corrcoef(y, answers),
        "roc_auc": m.roc_auc_score(y, scores[:, 1] - scores[:, 0]) if len(names) == 2 else None,
        "ece": ece(softmax(scores).max(axis=1), answers == y),
    }


def binary(logits, y, threshold):
    answers = logits > threshold
    middles = np.unique(logits)
    candidates = np.concatenate([[middles[0] - 1], (middles[:-1] + middles[1:]) / 2])
    f1 = np.array([m.f1_score(y, logits > t) for t in candidates])
    recall = np.array([m.recall_score(y, logits > t) for t in candidates])
    return {
        "logits": logits.tolist(),
        "targets": y.tolist(),
        "threshold": threshold,
        "accuracy": m.accuracy_score(y, answers),
        "precision": m.precision_score(y, answers),
        "recall": m.recall_score(y, answers),
        "f1": m.f1_score(y, answers),
        "balanced_accuracy": m.balanced_accuracy_score(y, answers),
        "mcc": m.matthews_corrcoef(y, answers),
        "roc_auc": m.roc_auc_score(y, logits),
        "ece": ece(sigmoid(logits), y),
        "brier": m.brier_score_loss(y, sigmoid(logits)),
        "best_f1": f1.max(),
        "threshold_of_f1": candidates[f1 == f1.max()].max(),
        "threshold_of_recall": candidates[recall >= 0.9].max(),
    }


def multilabel(logits, y, thresholds):
    answers = logits > thresholds
    return {
        "logits": logits.tolist(),
        "targets": y.tolist(),
        "thresholds": thresholds.tolist(),
        "exact_match": m.accuracy_score(y, answers),
        "hamming_loss": m.hamming_loss(y, answers),
        "macro_f1": m.f1_score(y, answers, average="macro", zero_division=0),
        "micro_f1": m.f1_score(y, answers, average="micro"),
        "roc_auc": [m.roc_auc_score(y[:, i], logits[:, i]) for i in range(y.shape[1])],
    }


def numbers(values, y):
    return {
        "values": values.tolist(),
        "targets": y.tolist(),
        "mae": m.mean_absolute_error(y, values),
        "rmse": np.sqrt(m.mean_squared_error(y, values)),
        "output_mae": m.mean_absolute_error(y, values, multioutput="raw_values").tolist(),
        "output_rmse": np.sqrt(m.mean_squared_error(y, values, multioutput="raw_values")).tolist(),
        "output_r2": m.r2_score(y, values, multioutput="raw_values").tolist(),
    }


def drawn(n, k, signal=1.5):
    y = rng.integers(0, k, n)
    scores = half(rng.normal(0, 1, (n, k)) + signal * np.eye(k)[y])
    return scores, y


five = drawn(60, 5)
two = drawn(50, 2)
# A class that is never a target, and one that is never an answer.
absent = half(rng.normal(0, 1, (30, 4))) + np.array([0, 0, 1, -9]), rng.choice([0, 1, 3], 30)
rare = (rng.random(80) < 0.15).astype(int)
several = (rng.random((40, 3)) < 0.4).astype(int)
truth = rng.normal(20, 5, (25, 2)).round(2)
print(json.dumps({
    "classes": [classes(*five), classes(*two), classes(*absent)],
    "binary": [binary(half(rng.normal(-1, 1, 80) + 2 * rare), rare, t) for t in (0.0, -0.5, 1.25)],
    "multilabel": multilabel(half(rng.normal(-0.5, 1, (40, 3)) + several), several, np.array([0.0, 0.25, -0.25])),
    "numbers": numbers((truth + rng.normal(0, 1, (25, 2))).round(2), truth),
}))
