"""What `unspsc data augment` does to a prepared folder, with nlpaug's SynonymAug, until so many new texts are made.

The classes below `--to` are taken, as ours takes them, and their texts in turn. A result counts when it differs from all
texts of the folder and from all results before, in small letters. NLTK_DATA names what benches/data/nltk_data.py has made.
Only the loop counts: neither imports nor reading the folder nor the first call, which loads WordNet and the tagger.
"""

import argparse
import csv
import itertools
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import nlpaug.augmenter.word as naw


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def small_classes(train, to):
    """The texts of all classes with fewer than `to`, one of each class after the other, round and round."""
    classes = defaultdict(list)
    for row in train:
        classes[row["label"]].append(row["description"])
    columns = itertools.zip_longest(*(texts for texts in classes.values() if len(texts) < to))
    return [text for column in columns for text in column if text]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that `unspsc data prepare` has written")
    parser.add_argument("--output", type=Path, required=True, help="CSV file of the new texts")
    parser.add_argument("--to", type=int, default=1000, help="rows that each class is to have")
    parser.add_argument("--rows", type=int, default=3000, help="new texts to stop at")
    parser.add_argument("--seed", type=int, default=17)
    arguments = parser.parse_args()

    random.seed(arguments.seed)
    train = read(arguments.data / "train.csv")
    sides = [train, read(arguments.data / "validation.csv"), read(arguments.data / "test.csv")]
    taken = {row["description"].lower() for side in sides for row in side}
    texts = small_classes(train, arguments.to)
    augmenter = naw.SynonymAug(aug_src="wordnet", aug_p=0.3)
    augmenter.augment("one text before the clock starts")

    made, tried = [], 0
    start = time.perf_counter()
    for text in itertools.cycle(texts):
        tried += 1
        for new in augmenter.augment(text):
            if new.lower() not in taken:
                taken.add(new.lower())
                made.append(new)
        if len(made) >= arguments.rows:
            break
    seconds = time.perf_counter() - start

    with open(arguments.output, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["description"], *([text] for text in made)])
    print(json.dumps({"rows": len(made), "tried": tried, "seconds": seconds}))


if __name__ == "__main__":
    main()
