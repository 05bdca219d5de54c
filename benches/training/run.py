"""Measures the training container beside its peers, by turns, and prints Markdown; started by scripts/bench-training.

(a) the steps of an epoch over the same batches beside PyTorch eager of the same libtorch; (b) one epoch, whole processes, beside the reference
project's recipe; (c) from the start of the process to the first step, of the runs of (b). Of several rounds the least counts.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(os.path.relpath(Path(__file__).parent))
PYTHON = os.path.relpath(sys.executable)
# Rows of (a): one window of `train`'s, so that its batches are known. Epochs, of which the last counts.
WINDOW_ROWS, WINDOW_EPOCHS = 1024, 3
# What the project promises.
STEP_RATIO, EPOCH_RATIO = 1.0, 6.0
LOAD_BEFORE = os.getloadavg()[0]


def run(command, variables):
    """Runs `command` and returns what it printed; what went wrong ends this run too."""
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def ours(train, variables, rows, count, epochs, work):
    """One job over the first `count` rows: seconds to the first step and of the whole process, rows a second in the last epoch."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        base = Path(folder)
        head, *lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
        # Held-out rows have to be others than those that are trained on; there are few, as the peers judge nothing.
        held_out = ["held out " + line for line in lines if '"' not in line]
        for channel, part in (("train", lines[:count]), ("validation", held_out[:10]), ("test", held_out[10:20])):
            path = base / "input/data" / channel / "rows.csv"
            path.parent.mkdir(parents=True)
            path.write_text(head + "".join(part), encoding="utf-8")
        (base / "input/config").mkdir()
        settings = {"epochs": str(epochs), "learning_rate": "5e-5"}
        (base / "input/config/hyperparameters.json").write_text(json.dumps(settings))
        started = time.perf_counter()
        log = run([train, "train"], variables | {"SAGEMAKER_BASE_DIR": str(base)})
        seconds = time.perf_counter() - started
        metrics = json.loads((base / "output/data/metrics.json").read_text())
        rule = next(rule for rule in metrics["rules"] if rule["rule"] == "slow_start")
        rate = re.search(rf"epoch {epochs}/{epochs} in [\d.]+ s, (\d+) rows/s", log)
        return float(re.search(r"after ([\d.]+) s", rule["evidence"])[1]), seconds, float(rate[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "rows", "work"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    threads = str(len(os.sched_getaffinity(0)))
    variables = {"UNSPSC_THREADS": threads, "OMP_NUM_THREADS": threads}
    # Prepared text has no line breaks.
    lines = args.rows.read_text(encoding="utf-8").splitlines(keepends=True)
    window = args.work / "window.csv"
    window.write_text("".join(lines[:WINDOW_ROWS + 1]), encoding="utf-8")
    count = len(lines) - 1
    speeds, shares, epochs = [], [], []
    for number in range(args.rounds):
        _, _, rate = ours(args.train, variables, args.rows, WINDOW_ROWS, WINDOW_EPOCHS, args.work)
        theirs = json.loads(run([PYTHON, HERE / "steps_pytorch.py", window, str(WINDOW_EPOCHS)], variables).splitlines()[-1])
        speeds.append((rate, theirs["rows_a_second"]))
        shares.append((rate * theirs["row_flop"] / 1e9, theirs["ceiling"] / 1e9))
        print(f"round {number + 1}/{args.rounds}: {speeds[-1][0]:.1f} and {speeds[-1][1]:.1f} examples/s", file=sys.stderr)
    for number in range(max(1, args.rounds - 1)):
        theirs = json.loads(run([PYTHON, HERE / "epoch_transformers.py", args.rows], variables).splitlines()[-1])
        first, whole, _ = ours(args.train, variables, args.rows, count, 1, args.work)
        epochs.append(((first, whole), (theirs["first_step"], theirs["epoch"])))
        print(f"round {number + 1}: epoch {epochs[-1][0][1]:.1f} s and {epochs[-1][1][1]:.1f} s", file=sys.stderr)

    best, their_best = (max(speed[side] for speed in speeds) for side in (0, 1))
    ratio = statistics.median(speed[0] / speed[1] for speed in speeds)
    torch, transformers = version("torch"), version("transformers")
    print(f"\n|  | examples a second | ours over it |\n|---|---:|---:|\n| `train`, the steps of an epoch | {best:.1f} | 1.0 |")
    print(f"| PyTorch {torch} eager, transformers {transformers}, fused AdamW, the same batches | {their_best:.1f} | {ratio:.2f} |")
    done, ceiling = (statistics.median(share[side] for share in shares) for side in (0, 1))
    print(f"\nMatrix products of `train`'s steps: {done:.0f} GFLOP/s, {100 * done / ceiling:.0f} % of the {ceiling:.0f} that this machine "
          "reaches on 2048 x 2048 matrices (PyTorch, in the same rounds).")
    (first, whole), (their_first, their_whole) = (
        [min(epoch[side][place] for epoch in epochs) for place in (0, 1)] for side in (0, 1))
    print("\n|  | to the first step, s | one epoch, s | ours over it |\n|---|---:|---:|---:|")
    print(f"| `train`, whole process | {first:.1f} | {whole:.1f} | 1.0 |")
    print(f"| transformers {transformers} Trainer, padded to 128 | {their_first:.1f} | {their_whole:.1f} "
          f"| {their_whole / whole:.1f} |")
    for name, found, wanted in (("a step against PyTorch", ratio, STEP_RATIO), ("an epoch", their_whole / whole, EPOCH_RATIO)):
        print(f"\n- {name}: at least {wanted} times ({found:.2f}): {'held' if found >= wanted else 'MISSED'}", end="")
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    print(f"\n\n{model[1] if model else platform.machine()}, {threads} threads, load before the run {LOAD_BEFORE:.1f}; "
          f"{count:,} rows, batches of 32, float32; medians of the ratios and the best of the rest, {args.rounds} rounds")


if __name__ == "__main__":
    main()
