"""What scripts/parity-metrics runs: random predictions with their metrics, as golden values for the tests."""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_curve,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from sklearn.preprocessing import MultiLabelBinarizer

PATH = Path("tests/golden/metrics.json")
BINS = 15
# The bounds of the temperature, as in train-container/src/temperature.rs.
LOWEST, HIGHEST = 0.05, 20.0


def predictions(random, classes, rows, true_classes, predicted_classes, skill):
    """Rows with a true and a predicted class, of which only some classes occur."""
    truth = random.choice(true_classes, rows)
    guess = random.choice(predicted_classes, rows)
    predicted = np.where(random.random(rows) < skill, truth, guess)
    assert max(truth.max(), predicted.max()) < classes
    return {
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro", zero_division=0),
    }


def calibration_error(probabilities, truth):
    """Expected calibration error over equal-width bins that are open on the left (Guo et al. 2017)."""
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    edges, error = np.linspace(0.0, 1.0, BINS + 1), 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return error


def scores(random, classes, rows, true_classes, skill, sharpness):
    """Logits, float32, whose probabilities are right up to the temperature `sharpness`, and a little more for noise."""
    truth = random.choice(true_classes, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), truth] += skill
    # Rounded, so that the file is small; float32, because that is what a network gives.
    logits = np.float32(np.round(sharpness * logits, 3)).astype(np.float64)

    def probabilities(temperature):
        return np.exp(log_softmax(logits / temperature, axis=1))

    def loss(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(rows), truth].mean()

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    fitted = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    temperature = float(np.exp(fitted.x))

    def top(k):
        return top_k_accuracy_score(truth, logits, k=k, labels=range(classes))

    return {
        "logits": [[round(value, 3) for value in row] for row in logits.tolist()],
        "truth": truth.tolist(),
        "accuracy": accuracy_score(truth, logits.argmax(axis=1)),
        "top3_accuracy": top(3),
        "top5_accuracy": top(5),
        "ece": calibration_error(probabilities(1.0), truth),
        "temperature": temperature,
        "calibrated_ece": calibration_error(probabilities(temperature), truth),
    }


def coverage(random, rows, values, precision, skill):
    """Answers with one of `values` confidences, and the largest share of them with at least this precision."""
    confidence = np.round(random.integers(1, values + 1, rows) / values, 6)
    hits = random.random(rows) < skill * confidence
    # Sorted by threshold; each precision is that of all rows whose confidence is no less.
    precisions, _, thresholds = precision_recall_curve(hits, confidence)
    enough = thresholds[precisions[:-1] >= precision]
    return {
        "confidence": confidence.tolist(),
        "hits": hits.tolist(),
        "precision": precision,
        "coverage": (confidence >= enough.min()).mean() if enough.size else 0.0,
        "threshold": enough.min() if enough.size else None,
    }


def hierarchy(random, rows, digits, answered):
    """Codes and answers of any level; precision and recall over the sets of all codes on the paths."""

    def codes():
        # Few digits, so that paths have much in common.
        pairs = [random.integers(10, 10 + digits, rows)] + [random.integers(1, 1 + digits, rows) for _ in range(3)]
        depths = random.integers(1, 5, rows)
        return ["".join(f"{pair[row]:02}" for pair in pairs[:depth]) for row, depth in enumerate(depths)]

    truth, predicted = codes(), codes()
    predicted = [code if keep else None for code, keep in zip(predicted, random.random(rows) < answered, strict=True)]

    def paths(codes):
        return [[code[:end] for end in range(2, len(code) + 1, 2)] if code else [] for code in codes]

    sets = MultiLabelBinarizer().fit(paths(truth) + paths(predicted))
    figures = precision_recall_fscore_support(
        sets.transform(paths(truth)), sets.transform(paths(predicted)), average="micro", zero_division=0
    )
    return {
        "truth": [f"{code:0<8}" for code in truth],
        "predicted": [f"{code:0<8}" if code else None for code in predicted],
        "precision": figures[0],
        "recall": figures[1],
        "f1": figures[2],
    }


def main():
    # Classes that are predicted but never true, and the reverse, are what is tested here, and no news.
    warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
    warnings.filterwarnings("ignore", message="A single label was found")
    random = np.random.default_rng(17)
    golden = {
        "predictions": [
            predictions(random, 3, 50, range(3), range(3), 0.5),
            predictions(random, 9, 200, range(9), range(9), 0.7),
            # Some classes are never true.
            predictions(random, 9, 120, [0, 2, 3, 7], range(9), 0.4),
            # Some classes are never predicted by chance.
            predictions(random, 9, 120, range(9), [1, 4], 0.3),
            # No class is both.
            predictions(random, 6, 40, [0, 1, 2], [3, 4, 5], 0.0),
            # All is found.
            predictions(random, 5, 40, range(5), range(5), 1.0),
            # Many classes, few rows.
            predictions(random, 80, 100, range(80), range(80), 0.6),
            predictions(random, 2, 1, [1], [1], 1.0),
        ],
        "scores": [
            scores(random, 8, 60, range(8), 1.5, 3.0),
            scores(random, 8, 60, [0, 5], 1.0, 0.2),
            scores(random, 12, 50, range(12), 2.5, 1.0),
            # Worse than chance: the temperature ends at its upper bound.
            scores(random, 7, 50, range(7), -2.0, 2.0),
        ],
        "coverage": [
            coverage(random, 60, 1000, 0.9, 1.2),
            # Many rows of equal confidence.
            coverage(random, 60, 7, 0.8, 1.1),
            coverage(random, 40, 20, 0.5, 0.7),
            # No threshold is good enough; any is.
            coverage(random, 30, 10, 0.9, 0.3),
            coverage(random, 30, 10, 0.0, 0.3),
        ],
        "hierarchy": [
            hierarchy(random, 40, 2, 1.0),
            hierarchy(random, 40, 1, 0.8),
            hierarchy(random, 10, 3, 0.0),
        ],
    }
    for case in [case for cases in golden.values() for case in cases]:
        for name, value in case.items():
            case[name] = float(value) if isinstance(value, np.floating) else value
    lists = (f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in golden.items())
    PATH.write_text("{\n" + ",\n".join(lists) + "\n}\n")
    for case in golden["scores"]:
        print({name: value for name, value in case.items() if name not in ("logits", "truth")})


if __name__ == "__main__":
    main()
