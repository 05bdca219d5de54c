#!/usr/bin/env python3
"""What augmentation, the logit-adjusted loss, and both do to balanced accuracy on held-out real text.

Prepares O*NET's tools and technology (texts that people wrote, not titles of the code list), trains the four combinations for
each seed with the real `unspsc data augment` and `train`, and prints a Markdown table. The seed decides split, new rows
and training, so that the four of a seed share their test rows. Build first: cargo build --release

    benches/augmentation.py --data ../shared/data --seeds 17 18 19
"""

import argparse
import pathlib
import shutil
import statistics
import tempfile
import time

import experiment

SOURCES = ["onet/Tools Used.txt", "onet/Technology Skills.txt"]
# Name, augmented, exponent of the prior in the loss.
WAYS = [("neither", False, 0), ("augmentation", True, 0), ("logit adjustment", False, 1), ("both", True, 1)]


def prepare(seed: int, args: argparse.Namespace, folder: pathlib.Path) -> dict[bool, pathlib.Path]:
    """The prepared set without augmentation and with it."""
    sources, prepared, augmented = (folder / name for name in ("sources", "prepared", "augmented"))
    sources.mkdir()
    for name in SOURCES:
        shutil.copy(args.data / name, sources)
    experiment.unspsc("data", "prepare", "--data", sources, "--output", prepared, "--seed", seed,
                      "--max-per-class", args.max_per_class)
    experiment.unspsc("data", "augment", "--data", prepared, "--output", augmented, "--seed", seed, "--to", args.to)
    return {False: prepared, True: augmented}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="folder with onet/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--max-per-class", type=int, default=400)
    parser.add_argument("--to", type=int, default=300, help="rows a class after augmentation")
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    print("| | seed | training rows | test rows | accuracy | balanced accuracy | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    figures = {name: [] for name, _, _ in WAYS}
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            sets = prepare(seed, args, pathlib.Path(folder))
            for name, augmented, adjustment in WAYS:
                started = time.monotonic()
                settings = {"epochs": args.epochs, "seed": seed, "logit_adjustment": adjustment}
                with tempfile.TemporaryDirectory() as job:
                    metrics = experiment.train(sets[augmented], [sets[augmented] / "test.csv"], settings, pathlib.Path(job))
                test = metrics["test"]
                figures[name].append((test["accuracy"], test["balanced_accuracy"]))
                print(f"| {name} | {seed} | {metrics['data']['train_rows']:,} | {test['rows']:,} | {test['accuracy']:.4f} "
                      f"| {test['balanced_accuracy']:.4f} | {time.monotonic() - started:.0f} |", flush=True)
    for name, values in figures.items():
        accuracy, balanced = (statistics.mean(column) for column in zip(*values))
        spread = statistics.stdev(value for _, value in values) if len(values) > 1 else 0.0
        print(f"| {name} | mean of {len(values)} | | | {accuracy:.4f} | {balanced:.4f} ± {spread:.4f} | |")


if __name__ == "__main__":
    main()
