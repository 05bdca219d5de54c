"""Precision over coverage: of the rows that a contender is surest of, how many are right."""

import csv
import json

import matplotlib
import numpy

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

LEVEL, DIGITS = "family", 4
PANELS = {"tools": "O*NET's tools, held out", "buyer": "a buyer's lines, another domain"}
NAMES = {"svm": "TF-IDF, linear SVM", "bm25": "BM25 over titles", "nearest": "encoder as published, nearest",
         "ten-nearest": "encoder as published, ten nearest", "trainer": "transformers' Trainer", "setfit": "SetFit"}
COLOURS = ("#b5651d", "#8a8f98", "#5b8bd0", "#274b8f", "#a23b72", "#c9a227", "#6d597a", "#4f5d75")
OURS = "#0b6e4f"
COVERAGES = numpy.linspace(0.01, 1, 100)
PRECISION = 0.9


def precisions(rows, predictions):
    """The share that is right of the surest part of the rows, for each of COVERAGES."""
    with open(rows, encoding="utf-8", newline="") as file:
        truth = [(line["description"], line["unspsc"]) for line in csv.DictReader(file)]
    with open(predictions, encoding="utf-8") as file:
        lines = {line["description"]: line.get("by_level", {}).get(LEVEL) or [] for line in map(json.loads, file)}
    judged = []
    for text, code in truth:
        best = max(lines.get(text, []), key=lambda guess: guess["probability"], default={"label": "", "probability": 0})
        if code[DIGITS - 2:DIGITS] != "00":
            judged.append((-best["probability"], best["label"][:DIGITS] == code[:DIGITS]))
    # The sort is stable, and rows of equal probability stand in the file's order, which tells nothing of them.
    judged.sort(key=lambda row: row[0])
    right = numpy.cumsum([hit for _, hit in judged])
    places = numpy.ceil(COVERAGES * len(judged)).astype(int)
    return right[places - 1] / places


def draw(made, contenders, target):
    """Draws the means of the splits `made` into the SVG `target`."""
    matplotlib.rcParams |= {"svg.hashsalt": "17", "font.family": "sans-serif", "font.size": 12, "svg.fonttype": "none"}
    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(10, 5.4), sharey=True, layout="constrained")
    for axes, (test, title) in zip(panels, PANELS.items()):
        for index, contender in enumerate(contenders):
            curve = numpy.mean([precisions(split.folder / f"{test}.csv", split.folder / contender / f"{test}.jsonl")
                                for split in made], axis=0)
            own = contender.split(",")[0] == "ours"
            axes.plot(COVERAGES, curve, label=NAMES.get(contender, contender), linewidth=3 if own else 1.6, zorder=3 if own else 2,
                      color=OURS if own else COLOURS[index % len(COLOURS)])
        axes.axhline(PRECISION, color="#444", linewidth=0.8, linestyle="--")
        axes.set(title=title, xlabel="coverage: share of the rows answered, surest first", xlim=(0, 1), ylim=(0.2, 1.01))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"precision: share right of these, {LEVEL} level")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, frameon=False, loc="outside lower center")
    figure.savefig(target, metadata={"Date": None})
