"""The figures of `unspsc evaluate` as Markdown: a table of accuracy and one of trust for each test set."""

import platform
import statistics
from importlib.metadata import version
from pathlib import Path

from splits import LEVELS

TITLES = {"tools": "O\\*NET's tools of commodities that were held out", "buyer": "A buyer's lines, of a domain nobody was trained on"}
PACKAGES = ("scikit-learn", "bm25s", "torch", "transformers", "setfit")


def mean(values):
    """The mean of the seeds, and how far from it they reach."""
    values = list(values)
    centre = statistics.mean(values)
    return f"{centre:.3f}" + (f" ± {max(abs(value - centre) for value in values):.3f}" if len(values) > 1 else "")


def cell(reports, level, *figures):
    """One contender's `figures` at `level`; a dash where it says nothing there."""
    scores = [report["levels"].get(level) for report in reports]
    if None in scores:
        return "–"
    return " / ".join(mean(score[figure] for score in scores) for figure in figures)


def table(reports, columns):
    """`columns`: heading, level and figures; `reports` by contender, one for each seed."""
    lines = ["| | " + " | ".join(heading for heading, *_ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for contender, found in reports.items():
        lines.append(f"| {contender} | " + " | ".join(cell(found, level, *figures) for _, level, *figures in columns) + " |")
    return "\n".join(lines)


def rows_judged(reports):
    """How many rows each level has, in the seeds together where they differ."""
    judged = {}
    for report in (report for found in reports.values() for report in found):
        for level, scores in report["levels"].items():
            judged.setdefault(level, set()).add(scores["rows"])
    parts = [f"{level} {' to '.join(f'{count:,}' for count in sorted({min(judged[level]), max(judged[level])}))}"
             for level in LEVELS if level in judged]
    return "Rows judged: " + ", ".join(parts) + "."


def markdown(made, reports):
    """Everything that is printed for the splits `made` and the `reports` by contender, one for each of them."""
    accuracy = [(level, level, "accuracy", "balanced_accuracy") for level in LEVELS]
    trust = [(f"{heading}, {level}", level, figure) for heading, figure in
             (("top 5", "top5_accuracy"), ("coverage at 90 %", "coverage"), ("calibration error", "ece"))
             for level in LEVELS[:2]]
    parts = [f"Seeds {', '.join(str(split.seed) for split in made)}; "
             f"{', '.join(f'{len(split.train):,}' for split in made)} training rows, "
             f"{', '.join(f'{len(split.validation):,}' for split in made)} for validation. "
             "± is the seed that is farthest from the mean."]
    for test in made[0].tests:
        found = {contender: [report[test] for report in seeds] for contender, seeds in reports.items()}
        parts += [f"### {TITLES[test]}", rows_judged(found), "Accuracy / balanced accuracy:", table(found, accuracy),
                  table(found, trust)]
    return "\n\n".join([*parts, versions(reports)])


def versions(reports):
    """What the figures depend on."""
    judge = next(iter(reports.values()))[0]["tools"]["evaluated_by"]
    packages = [f"{package} {version(package)}" for package in PACKAGES]
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{judge}; {', '.join(packages)}; Python {platform.python_version()}; {len(models)} processors, {models[0]}."
