"""Scores of candidates to probabilities, and these to a file that `unspsc evaluate --predictions` reads."""

import json
from typing import NamedTuple

import numpy

from splits import LEVELS

# Candidates of a level that are written: what top-5 accuracy needs.
TOP = 5
# Softmax temperatures that are tried; margins, cosines, logits and BM25's scores all find theirs among them.
TEMPERATURES = numpy.geomspace(0.01, 10, 31)


class Scored(NamedTuple):
    """Candidates of some texts: `codes` of eight digits and `scores`, the higher the better, both `[texts, candidates]`. A candidate whose
    score is minus infinity is none."""

    codes: numpy.ndarray
    scores: numpy.ndarray


def above(codes, level):
    """The ancestors of `codes` at `level`, and which of the codes reach it."""
    unit = 100 ** (len(LEVELS) - 1 - LEVELS.index(level))
    ancestors = codes // unit * unit
    return ancestors, ancestors // unit % 100 != 0


def shares(codes, scores, level, temperature, pool):
    """Codes of `level` and their probabilities: the softmax of the candidates' scores, of which a code has the sum of its own (`pool`
    "sum"), or their largest ("max"), which makes the best candidate's code the best code."""
    ancestors, reach = above(codes, level)
    kept = reach & numpy.isfinite(scores)
    if not kept.any():
        return ancestors[:0], scores[:0]
    labels, places = numpy.unique(ancestors[kept], return_inverse=True)
    weights = numpy.exp((scores[kept] - scores[kept].max()) / temperature)
    totals = numpy.zeros(len(labels))
    (numpy.add if pool == "sum" else numpy.maximum).at(totals, places, weights)
    return labels, totals / totals.sum()


def brier(scored, truth, level, temperature, pool):
    """The mean squared error of the probabilities, a proper score that stays finite where the truth is no candidate."""
    total = 0
    for codes, scores, true in zip(*scored, truth):
        labels, probabilities = shares(codes, scores, level, temperature, pool)
        total += (probabilities ** 2).sum() + 1 - 2 * probabilities[labels == true].sum()
    return total / len(truth)


def fit_temperatures(by_level, rows, pool):
    """For each level of the answers to `rows` the temperature under which they are best calibrated."""
    truths = numpy.array([int(row.code) for row in rows])
    found = {}
    for level, scored in by_level.items():
        truth = above(truths, level)[0]
        found[level] = min(TEMPERATURES, key=lambda temperature: brier(scored, truth, level, temperature, pool))
    return found


def write(path, rows, by_level, temperatures, pool):
    """A line for each of `rows`: its text and the most probable codes at every level."""
    with open(path, "w", encoding="utf-8") as file:
        for place, row in enumerate(rows):
            answer = {}
            for level, (codes, scores) in by_level.items():
                labels, probabilities = shares(codes[place], scores[place], level, temperatures[level], pool)
                best = numpy.argsort(-probabilities, kind="stable")[:TOP]
                answer[level] = [{"label": f"{labels[index]:08}", "probability": round(float(probabilities[index]), 6)}
                                 for index in best]
            file.write(json.dumps({"description": row.text, "by_level": answer}) + "\n")
