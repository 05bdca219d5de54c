"""Writes one CSV `description,unspsc` of many rows to measure with: the real (text, code) pairs, repeated with changed words.

The real pairs come first, each once. Every further row is one of them with a word swapped for another of the same files
and, mostly, a size or part number behind it, so that texts stay as long, as varied and as unevenly spread over the codes
as the real ones. On top lies what purchase records hold: capitals, entities, tags, accents, line breaks inside quotes,
codes as floats, exact repetitions, contradicting codes and codes that are none. The same seed gives the same bytes.
"""

import argparse
import csv
import gzip
import random
from pathlib import Path

ONET = ["onet/Tools Used.txt", "onet/Technology Skills.txt"]
CODE_LIST = "unspsc/data-unspsc-codes.csv.gz"

# Shares of all rows.
REPEATED = 0.02
CONTRADICTING = 0.01
BAD_CODE = 0.005
FLOAT_CODE = 0.10
# Shares of the texts; they may meet in one.
UPPER = 0.15
ENTITIES = 0.05
TAGS = 0.03
ACCENTS = 0.03
LINE_BREAKS = 0.02
SIZE = 0.7

BAD_CODES = ["", "n/a", "4321150", "00001234", "43001500", "99999999", "see PO", "432115034321"]
ACCENTED = str.maketrans("aceinouACEINOU", "àçéîñôüÀÇÉÎÑÔÜ")


def real_pairs(folder):
    """The distinct (text, code) pairs of O*NET and the code list, in the order of the files."""
    pairs = {}
    for name in ONET:
        with open(folder / name, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                pairs[row["Example"], row["Commodity Code"]] = None
    with gzip.open(folder / CODE_LIST, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            pairs[row["Commodity Name"], row["Commodity"]] = None
    return [(text, code) for text, code in pairs if text and code]


def size(rng):
    """A size or a part number, as stands behind a product's name."""
    number = rng.randrange(1, 2000)
    return rng.choice(
        [
            f"{number} mm",
            f"{number / 10:g} in",
            f"{number}ML",
            f"{rng.randrange(2, 99)}x{number}",
            f"P/N {rng.randrange(10**5, 10**7)}",
            f"{chr(rng.randrange(65, 91))}{chr(rng.randrange(65, 91))}-{number:04d}",
            f"#{number}",
            f"pk/{rng.choice([5, 10, 12, 25, 50, 100])}",
        ]
    )


def changed(text, vocabulary, rng):
    """One word of `text` swapped for any other, and mostly a size behind it."""
    words = text.split()
    words[rng.randrange(len(words))] = rng.choice(vocabulary)
    if rng.random() < SIZE:
        words.append(size(rng))
    return " ".join(words)


def mess(text, rng):
    """What happens to texts on their way through forms, spreadsheets and web pages."""
    if rng.random() < UPPER:
        text = text.upper()
    if rng.random() < ACCENTS:
        place = rng.randrange(len(text))
        text = text[:place] + text[place:].translate(ACCENTED)
    if rng.random() < ENTITIES:
        text = text.replace("&", "&amp;").replace(" and ", " &amp; ").replace('"', "&quot;")
        text = text if "&" in text else text.replace(" ", "&nbsp;", 1)
    if rng.random() < TAGS:
        text = rng.choice(["<p>{}</p>", "{}<br/>", "<b>{}</b> <br />", '<span class="item">{}</span>']).format(text)
    if rng.random() < LINE_BREAKS:
        text = text.replace(" ", "\r\n", 1) if " " in text else f"{text}\r\n"
    return text


def rows(pairs, count, seed):
    """`count` rows, one at a time."""
    rng = random.Random(seed)
    rng.shuffle(pairs)
    vocabulary = sorted({word for text, _ in pairs for word in text.split()})
    codes = [code for _, code in pairs]
    recent = []
    for index in range(count):
        draw = rng.random()
        if recent and draw < REPEATED:
            yield rng.choice(recent)
            continue
        if recent and draw < REPEATED + CONTRADICTING:
            yield rng.choice(recent)[0], rng.choice(codes)
            continue
        text, code = pairs[index % len(pairs)]
        if index >= len(pairs):
            text = changed(text, vocabulary, rng)
        if rng.random() < BAD_CODE:
            code = rng.choice(BAD_CODES)
        elif rng.random() < FLOAT_CODE:
            code = f"{code}.0"
        row = (mess(text, rng), code)
        # Repetitions come from anywhere before, not from the last page only: a sample of all rows so far.
        if len(recent) < 20_000:
            recent.append(row)
        elif (place := rng.randrange(index)) < len(recent):
            recent[place] = row
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with onet/ and unspsc/")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    pairs = real_pairs(arguments.data)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.output.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["description", "unspsc"])
        writer.writerows(rows(pairs, arguments.rows, arguments.seed))
    part.replace(arguments.output)
    size_mib = arguments.output.stat().st_size / 2**20
    print(f"{arguments.output}: {arguments.rows:,} rows from {len(pairs):,} real pairs, {size_mib:.0f} MiB, seed {arguments.seed}")


if __name__ == "__main__":
    main()
