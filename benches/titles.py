#!/usr/bin/env python3
"""How the code list should become training texts: each form of its titles, judged on records of buyers.

Trains one model for each form and number of titles with the real `unspsc data prepare` and `train`, and prints a Markdown
table. Test rows come from the folder `validation`, which no model sees. Build first: cargo build --release

    benches/titles.py --data ../shared/data --seeds 17 --max-per-class 150
"""

import argparse
import itertools
import pathlib
import tempfile
import time

import experiment


def run(form: str, titles: int, seed: int, args: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Prepares, trains, and returns the figures."""
    prepared = folder / "prepared"
    limit = ["--titles-per-class", titles] if titles else []
    experiment.unspsc("data", "prepare", "--data", args.data, "--output", prepared, "--seed", seed, "--titles", form,
                      "--max-per-class", args.max_per_class, *limit)
    tests = sorted((args.data / "validation").glob("*.csv"))
    return experiment.train(prepared, tests, {"epochs": args.epochs, "seed": seed}, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="folder with sources and one named validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17])
    parser.add_argument("--forms", nargs="+", default=["alone", "parents", "both"])
    parser.add_argument("--titles-per-class", type=int, nargs="+", default=[1, 0], help="0 keeps all")
    parser.add_argument("--max-per-class", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    print("| titles | titles a class | rows a segment, at most | seed | training rows | test rows | accuracy "
          "| balanced accuracy | seconds |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for form, titles, seed in itertools.product(args.forms, args.titles_per_class, args.seeds):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            figures = run(form, titles, seed, args, pathlib.Path(folder))
        test = figures["test"]
        print(f"| {form} | {titles or 'all'} | {args.max_per_class} | {seed} | {figures['data']['train_rows']:,} "
              f"| {test['rows']:,} | {test['accuracy']:.4f} | {test['balanced_accuracy']:.4f} "
              f"| {time.monotonic() - started:.0f} |", flush=True)


if __name__ == "__main__":
    main()
