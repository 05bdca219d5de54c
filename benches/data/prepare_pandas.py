"""What `unspsc data prepare` does to one CSV `description,unspsc`, at segment level, written with pandas.

As a competent analyst would write it: columns at a time where pandas has the operation, Python only for what it has not
(entities and transliteration), and the costly vote only over texts whose labels differ. Not done here, in pandas' favour:
lines of rejects are row numbers, neither the source file nor the result gets a digest, and nothing waits for the disk.
`--strings pyarrow` is for the faster and larger strings that pandas has where pyarrow is installed.
"""

import argparse
import html
import json
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from unidecode import unidecode

TITLES = Path(__file__).parents[2] / "data/titles.csv"
TAG = r"<[A-Za-z/!][^<>]{0,199}>"
NOT_PRINTABLE = r"[^ -~]|[<>]"
# What `tidy` has something to do about; nearly every line of a purchase record is as it should be.
UNTIDY = r"[^ -~]|[&<>]|  |^ | $"
# Segment, family, class and commodity, two digits each, and none below a level that is 00.
PLACE = r"(?:0[1-9]|[1-9]\d){1,4}(?:00){0,3}"


def tidy(text):
    """Descriptions as printable ASCII words in their own case, without markup."""
    text = text.map(html.unescape).str.replace(TAG, " ", regex=True).map(unidecode)
    text = text.str.replace("&", " and ", regex=False)
    return text.str.replace(NOT_PRINTABLE, " ", regex=True).str.replace(r"  +", " ", regex=True).str.strip()


def normalise(code):
    """Codes of eight digits, with what is wrong with those that are none."""
    digits = code.str.strip().str.replace(r"\.0*$", "", regex=True)
    full = digits.str.pad(8, side="right", fillchar="0")
    segments = set(pd.read_csv(TITLES, dtype=str)["code"].str[:2])
    readable = digits.str.len().isin([2, 4, 6, 8]) & full.str.fullmatch(PLACE)
    reason = pd.Series(
        np.select(
            [digits == "", ~readable, ~full.str[:2].isin(segments)],
            ["no code", "unreadable code", "unknown segment"],
            default="",
        ),
        index=code.index,
    )
    return full, reason


def vote(rows):
    """For each text with several labels, the most frequent one; texts where two are equally frequent are left out."""
    pairs = rows[["text", "label"]].drop_duplicates()
    disputed = pairs.loc[pairs["text"].duplicated(), "text"].unique()
    votes = rows[rows["text"].isin(disputed)].groupby(["text", "label"], sort=False).size().reset_index(name="votes")
    leaders = votes[votes["votes"] == votes.groupby("text")["votes"].transform("max")]
    return disputed, leaders.drop_duplicates("text", keep=False).set_index("text")["label"]


def split(rows, seed):
    """Train, validation and test, 80/10/10 within each label."""
    rows = rows.sample(frac=1, random_state=seed)
    by_label = rows.groupby("label")
    place, size = by_label.cumcount(), by_label["label"].transform("size")
    held_out = ((size + 5) // 10).clip(lower=1).where(size >= 3, 0)
    test, validation = place < held_out, (place >= held_out) & (place < 2 * held_out)
    return {"train": rows[~test & ~validation], "validation": rows[validation], "test": rows[test]}


def prepare(data, output, seed):
    rows = pd.read_csv(data, dtype=str, keep_default_na=False)
    counts = {"rows": len(rows)}
    rows["row"] = rows.index + 2
    rows["code"], rows["reason"] = normalise(rows["unspsc"])
    rows["tidy"] = rows["description"]
    untidy = rows["description"].str.contains(UNTIDY, regex=True)
    rows.loc[untidy, "tidy"] = tidy(rows.loc[untidy, "description"])
    rows.loc[(rows["reason"] == "") & (rows["tidy"] == ""), "reason"] = "empty description"
    rows["text"] = rows["tidy"].str.lower()
    rows["label"] = rows["code"].str[:2] + "000000"

    usable = rows[rows["reason"] == ""]
    disputed, winners = vote(usable)
    is_disputed = usable["text"].isin(disputed)
    lost = is_disputed & (usable["label"] != usable["text"].map(winners))
    rows.loc[lost[lost].index, "reason"] = "contradicting labels"
    usable = usable[~lost]
    unique = usable.drop_duplicates("text")
    counts["duplicates"] = len(usable) - len(unique)

    rejects = rows.loc[rows["reason"] != "", ["row", "description", "unspsc", "reason"]].copy()
    counts["rejects"] = rejects["reason"].value_counts().to_dict()
    rejects.insert(0, "file", str(data))
    rejects.columns = ["file", "line", "description", "code", "reason"]

    unique = unique[["tidy", "code", "label"]].rename(columns={"tidy": "description"}).assign(origin=data.name)
    sides = split(unique, seed)
    output.mkdir(parents=True, exist_ok=True)
    rejects.to_csv(output / "rejects.csv", index=False)
    for name, side in sides.items():
        side.to_csv(output / f"{name}.csv", index=False)
        counts[name] = len(side)
    counts["classes"] = sides["train"]["label"].nunique()
    (output / "dataset.json").write_text(json.dumps({"level": "segment", "seed": seed, "counts": counts}, indent=2))
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--strings", choices=["python", "pyarrow"], default="python", help="how pandas keeps its strings")
    arguments = parser.parse_args()
    pd.options.mode.string_storage = arguments.strings

    start = time.perf_counter()
    counts = prepare(arguments.data, arguments.output, arguments.seed)
    seconds = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(counts))
    print(f"{counts['rows'] / seconds:,.0f} rows/s without imports, {seconds:.2f} s, peak {peak_mib:,.0f} MiB")


if __name__ == "__main__":
    main()
