"""The rows of the benchmark for a seed: what is trained on, what the peers are calibrated on, and two test sets.

O*NET's tools are split by commodity, so that nothing that is trained on has a commodity of the test. The published code list is known
to every contender all the same: it is what they have to choose from.
"""

import csv
import gzip
import hashlib
import html
import random
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Shares of the commodities: of all for the test, of the rest for validation.
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
TITLES_PER_SEGMENT, TECHNOLOGIES = 1200, 1500
LEVELS = ("segment", "family", "class", "commodity")


class Row(NamedTuple):
    """A cleaned text and its code of eight digits."""

    text: str
    code: str


@dataclass(frozen=True)
class Split:
    """All rows of a seed; `folder` has them as CSV, a file for each name, and takes what is made of them."""

    seed: int
    folder: Path
    train: list[Row]
    validation: list[Row]
    titles: list[Row]
    tools: list[Row]
    buyer: list[Row]

    @property
    def tests(self):
        return {"tools": self.tools, "buyer": self.buyer}


def clean(text):
    """As `clean` of crates/taxonomy does it, but for scripts other than Latin, of which these files have none."""
    text = html.unescape(text).translate({0x2018: "'", 0x2019: "'", 0x2013: "-", 0x2014: "-", 0xB5: "u"})
    text = re.sub(r"<[a-zA-Z/!][^<>]{0,200}>", " ", text).replace("&", " and ")
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^!-~]|[<>]", " ", text).lower().split())


def titles(data):
    """The code list, each code of every level with its title."""
    found = {}
    with gzip.open(data / "unspsc/data-unspsc-codes.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            for level in map(str.title, LEVELS):
                found.setdefault(line[level].strip(), clean(line[f"{level} Name"]))
    return [Row(title, code) for code, title in sorted(found.items()) if len(code) == 8 and title]


def onet(file):
    """Each text of a table of O*NET's once, under the code that most of its lines give it. Of a text with two such codes nobody can say
    which is right: it is left out."""
    codes = defaultdict(Counter)
    with open(file, encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            codes[clean(line["Example"])][line["Commodity Code"].strip()] += 1
    best = {text: [code for code, count in found.items() if count == max(found.values())] for text, found in codes.items()}
    return [Row(text, found[0]) for text, found in sorted(best.items()) if text and len(found) == 1]


def consistent(rows):
    """In order, without texts that stand for several segments, which nobody can learn and `train` would leave out."""
    segments = defaultdict(set)
    for row in rows:
        segments[row.text].add(row.code[:2])
    return sorted(row for row in rows if len(segments[row.text]) == 1)


def buyer(data):
    with open(data / "validation/industrial-mro.csv", encoding="utf-8", newline="") as file:
        return [Row(clean(line["description"]), line["unspsc"].strip()) for line in csv.DictReader(file)]


def make(data, work, seed, train_rows=None, buyer_rows=None):
    """Splits what is in the folder `data` and writes it into a folder of `work` that is named after its content."""
    draw = random.Random(seed)
    tools, listed = onet(data / "onet/Tools Used.txt"), titles(data)
    commodities = sorted({row.code for row in tools})
    draw.shuffle(commodities)
    tested = round(len(commodities) * TEST_SHARE)
    validated = round((len(commodities) - tested) * VALIDATION_SHARE)
    test, validation = set(commodities[:tested]), set(commodities[tested:tested + validated])
    held_out = [row for row in tools if row.code in test | validation]
    bought = buyer(data)
    texts = {row.text for row in held_out + bought}

    def free(rows):
        """Rows in a random order without any text or commodity that is held out."""
        rows = [row for row in rows if row.text not in texts and row.code not in test | validation]
        return draw.sample(rows, len(rows))

    names = free(onet(data / "onet/Technology Skills.txt"))[:TECHNOLOGIES]
    count, taught = Counter(), []
    for row in free(listed):
        count[row.code[:2]] += 1
        if count[row.code[:2]] <= TITLES_PER_SEGMENT:
            taught.append(row)
    train = consistent({*free(tools), *names, *taught})
    return write(work, seed, {
        "train": draw.sample(train, min(len(train), train_rows or len(train))),
        "validation": [row for row in tools if row.code in validation],
        "titles": listed,
        "tools": [row for row in tools if row.code in test],
        "buyer": draw.sample(bought, min(len(bought), buyer_rows or len(bought))),
    })


def write(work, seed, parts):
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
    folder = work / f"seed-{seed}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("description", "unspsc"), *rows])
    return Split(seed, folder, **parts)
