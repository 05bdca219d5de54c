"""Why the segment of a row is missed: counts, and examples on the screen, by causes that can be checked.

    .deps/bench-training/bin/python benches/accuracy/errors.py .deps/bench-accuracy/seed-17-…/ours --test tools

A missed row has the first cause of this list whose rule holds:

- elsewhere: the same words, whatever their order and number, are a training text or a title of another segment;
- undecided: the right segment is second to fifth;
- unknown: of the right family's titles none shares a content word with the text, and none is among the 64 nearest of the published encoder;
- named otherwise: the title of the row's own code shares no content word with the text;
- other.
"""

import argparse
import csv
import json
import random
import re
from collections import defaultdict
from pathlib import Path

import neighbours
import numpy
from splits import Row

CAUSES = ("elsewhere", "undecided", "unknown", "named otherwise", "other")
NEAREST = 64
# Words that say nothing of a product; titles of the code list are full of them.
EMPTY_WORDS = frozenset("a an and as at by for from in into not of on or other per related than the to with without".split())


def singular(word):
    """The word without a plural's ending, as far as spelling tells."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 else word


def content(text):
    """The content words of a text, in the singular."""
    return frozenset(singular(word) for word in re.findall(r"[a-z0-9]+", text) if word not in EMPTY_WORDS)


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [Row(line["description"], line["unspsc"]) for line in csv.DictReader(file)]


class Known:
    """What the contenders knew: titles and training texts by their words."""

    def __init__(self, folder, asked):
        self.titles, train = read(folder / "titles.csv"), read(folder / "train.csv")
        self.title = {row.code: row.text for row in self.titles}
        self.by_words, self.family_words = defaultdict(set), defaultdict(set)
        for row in {*self.titles, *train}:
            self.by_words[content(row.text)].add(row)
        for row in self.titles:
            self.family_words[row.code[:4]] |= content(row.text)
        embed = neighbours.Embedder(folder.parent)
        places, _ = neighbours.nearest(embed([row.text for row in asked]), embed([row.text for row in self.titles]), NEAREST)
        families = numpy.array([row.code[:4] for row in self.titles])
        self.near_families = {row: set(families[near]) for row, near in zip(asked, places)}

    def causes(self, row, segments):
        """Of CAUSES those whose rule holds for a missed row that was answered by `segments`, the most probable first."""
        words, family = content(row.text), row.code[:4]
        holds = {
            "elsewhere": any(other.code[:2] != row.code[:2] for other in self.by_words[words]),
            "undecided": row.code[:2] in segments[1:5],
            "unknown": not words & self.family_words[family] and family not in self.near_families[row],
            "named otherwise": not words & content(self.title.get(row.code, "")),
            "other": True,
        }
        return [cause for cause in CAUSES if holds[cause]]


def answered(path):
    """Segments by text, of two digits, the most probable first."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    by_probability = lambda guess: -guess["probability"]  # noqa: E731
    return {line["description"]: [guess["label"][:2] for guess in sorted(line.get("by_level", {}).get("segment", []), key=by_probability)]
            for line in lines}


def table(rows, missed):
    """Markdown: each cause with its rows, their share of all, and where its rule holds whatever stands before it."""
    lines = ["| cause | rows | share of all rows | rule holds |", "|---|---:|---:|---:|"]
    for cause in CAUSES:
        first = sum(causes[0] == cause for _, _, causes in missed)
        lines.append(f"| {cause} | {first:,} | {first / rows:.3f} | {sum(cause in causes for _, _, causes in missed):,} |")
    right = rows - len(missed)
    reachable = right + sum(causes[0] in CAUSES[:2] for _, _, causes in missed)
    return "\n".join([*lines, f"| all missed | {len(missed):,} | {len(missed) / rows:.3f} | |", "",
                      f"{rows:,} rows, accuracy {right / rows:.3f}; {reachable / rows:.3f} were all rows right whose cause is "
                      f"{CAUSES[0]} or {CAUSES[1]}."])


def example(row, segments, causes, known):
    """A line on a missed row: the text, its title, what was answered, and where the same words stand."""
    title = lambda code: f"{code} {known.title.get(code, '?')}"  # noqa: E731
    same = [title(other.code) for other in sorted(known.by_words[content(row.text)]) if other.code[:2] != row.code[:2]][:2]
    answers = ", ".join(title(segment.ljust(8, "0")) for segment in segments[:2]) or "nothing"
    return f"  {row.text!r}: {title(row.code)}; answered {answers}" + (f"; same words: {', '.join(same)}" if same else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", type=Path, help="its folder below that of the seed, with its answers")
    parser.add_argument("--test", choices=["tools", "buyer"], default="tools")
    parser.add_argument("--examples", type=int, default=5, help="examples of each cause; they are rows of the data [5]")
    args = parser.parse_args()
    folder = args.contender.parent
    rows, answers = read(folder / f"{args.test}.csv"), answered(args.contender / f"{args.test}.jsonl")
    found = [(row, answers.get(row.text, [])) for row in rows]
    wrong = [(row, segments) for row, segments in found if segments[:1] != [row.code[:2]]]
    known = Known(folder, [row for row, _ in wrong])
    missed = [(row, segments, known.causes(row, segments)) for row, segments in wrong]
    print(table(len(rows), missed))
    for cause in CAUSES if args.examples else ():
        of_cause = [entry for entry in missed if entry[2][0] == cause]
        print(f"\n{cause}:")
        for entry in random.Random(17).sample(of_cause, min(args.examples, len(of_cause))):
            print(example(*entry, known))


if __name__ == "__main__":
    main()
