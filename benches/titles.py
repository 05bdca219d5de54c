#!/usr/bin/env python3
"""How the code list should become training texts: each form of its titles, judged on records of buyers.

Trains one model for each form and number of titles with the real `unspsc data prepare` and `train`, under a folder laid
out as SageMaker's, and prints a Markdown table. Test rows come from the folder `validation`, which no model sees.

    benches/titles.py --data ../shared/data --seeds 17 --max-per-class 150
"""

import argparse
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Rows that choose the epoch; all of them would cost more time than training.
VALIDATION_ROWS = 2000


def run(form: str, titles: int | None, seed: int, args: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Prepares, trains, and returns the figures of `metrics.json`."""
    binaries = ROOT / "target" / "release"
    prepared = folder / "prepared"
    command = [binaries / "unspsc", "data", "prepare", "--data", args.data, "--output", prepared, "--seed", str(seed),
               "--titles", form, "--max-per-class", str(args.max_per_class)]
    if titles is not None:
        command += ["--titles-per-class", str(titles)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = folder / "opt-ml"
    config, data = base / "input" / "config", base / "input" / "data"
    for path in (config, data / "train", data / "validation", data / "test"):
        path.mkdir(parents=True)
    shutil.copy(prepared / "train.csv", data / "train")
    lines = (prepared / "validation.csv").read_text().splitlines(keepends=True)
    (data / "validation" / "validation.csv").write_text("".join(lines[: VALIDATION_ROWS + 1]))
    for file in sorted((pathlib.Path(args.data) / "validation").glob("*.csv")):
        shutil.copy(file, data / "test")
    settings = {"epochs": str(args.epochs), "seed": str(seed)}
    (config / "hyperparameters.json").write_text(json.dumps(settings))
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(base)}
    environment.setdefault("UNSPSC_ENCODER", str(ROOT / ".deps" / "encoder" / "all-MiniLM-L6-v2"))
    subprocess.run([binaries / "train", "train"], check=True, env=environment, stderr=subprocess.DEVNULL)
    return json.loads((base / "output" / "data" / "metrics.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with sources and a folder `validation` beside them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17])
    parser.add_argument("--forms", nargs="+", default=["alone", "parents", "both"])
    parser.add_argument("--titles-per-class", type=int, nargs="+", default=[1, 0], help="0 keeps all")
    parser.add_argument("--max-per-class", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    print("| titles | titles a class | seed | training rows | test rows | accuracy | balanced accuracy | seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for form, titles, seed in itertools.product(args.forms, args.titles_per_class, args.seeds):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            figures = run(form, titles or None, seed, args, pathlib.Path(folder))
        test = figures["test"]
        print(f"| {form} | {titles or 'all'} | {seed} | {figures['data']['train_rows']:,} | {test['rows']:,} "
              f"| {test['accuracy']:.4f} | {test['balanced_accuracy']:.4f} | {time.monotonic() - started:.0f} |",
              flush=True)


if __name__ == "__main__":
    main()
