"""The texts that scripts/bench-serve sends: tools as people have named them to O*NET, and titles of the code list."""

import csv
import gzip
import random


def draw(data, count, seed):
    """`count` distinct texts, half of them tools and half titles, as they stand in the files."""
    with open(data / "onet/Tools Used.txt", encoding="utf-8", newline="") as file:
        tools = {row["Example"] for row in csv.DictReader(file, delimiter="\t")}
    codes = data / "unspsc/data-unspsc-codes.csv.gz"
    with gzip.open(codes, "rt", encoding="utf-8", errors="replace", newline="") as file:
        titles = {row["Commodity Name"] for row in csv.DictReader(file)} - tools
    generator = random.Random(seed)
    sample = [text for texts in (tools, titles) for text in generator.sample(sorted(texts), count // 2)]
    generator.shuffle(sample)
    return sample
