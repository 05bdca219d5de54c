"""What scripts/parity-metrics runs: random predictions with their metrics, as golden values for the tests."""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, top_k_accuracy_score

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
    }
    for case in golden["predictions"] + golden["scores"]:
        for name, value in case.items():
            case[name] = float(value) if isinstance(value, np.floating) else value
    lists = (f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in golden.items())
    PATH.write_text("{\n" + ",\n".join(lists) + "\n}\n")
    for case in golden["scores"]:
        print({name: value for name, value in case.items() if name not in ("logits", "truth")})


if __name__ == "__main__":
    main()
