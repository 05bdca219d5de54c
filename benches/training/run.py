"""Measures the training container beside its peers, by turns, and prints Markdown; started by scripts/bench-training.

(a) steps on the same batches beside PyTorch eager of the same libtorch; (b) one epoch, whole processes, beside the reference
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
from importlib.metadata import version
from pathlib import Path

HERE = Path(os.path.relpath(Path(__file__).parent))
PYTHON = os.path.relpath(sys.executable)
# Steps before those that count.
WARM_UP = 3
# As `train` sets it for itself.
SPIN_COUNT = "2000"
# What the project promises.
STEP_RATIO, EPOCH_RATIO = 1.0, 6.0
LOAD_BEFORE = os.getloadavg()[0]


def run(command, variables):
    """Runs `command` and returns what it printed; what went wrong ends this run too."""
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def steps(measure, variables, work, count):
    """Seconds of each step of both on the same batches, by the warm process each."""
    batches = work / "batches.json"
    ours = run([measure, "step_time", "--ignored", "--nocapture"],
               variables | {"UNSPSC_BATCHES": str(batches), "UNSPSC_COUNT": str(count), "GOMP_SPINCOUNT": SPIN_COUNT})
    ours = json.loads(next(line for line in ours.splitlines() if line.startswith("{")))["seconds"]
    theirs = json.loads(run([PYTHON, HERE / "steps_pytorch.py", batches], variables).splitlines()[-1])["seconds"]
    rows = [len(batch["ids"]) for batch in json.loads(batches.read_text())["batches"]]
    return [sum(rows[WARM_UP:]) / sum(seconds[WARM_UP:]) for seconds in (ours, theirs)]


def our_epoch(train, variables, rows, work):
    """Seconds to the first step and of the whole process, which judges the model on ten rows more."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        base = Path(folder)
        lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
        for channel, part in (("train", lines[1:]), ("validation", lines[1:11]), ("test", lines[11:21])):
            path = base / "input/data" / channel / "rows.csv"
            path.parent.mkdir(parents=True)
            # Held-out rows have to be others than those that are trained on.
            texts = part if channel == "train" else ["held out " + line.lstrip('"') for line in part if '"' not in line]
            path.write_text(lines[0] + "".join(texts), encoding="utf-8")
        (base / "input/config").mkdir()
        (base / "input/config/hyperparameters.json").write_text('{"epochs": "1", "learning_rate": "5e-5"}')
        started = os.times().elapsed
        run([train, "train"], variables | {"SAGEMAKER_BASE_DIR": str(base)})
        seconds = os.times().elapsed - started
        metrics = json.loads((base / "output/data/metrics.json").read_text())
        rule = next(rule for rule in metrics["rules"] if rule["rule"] == "slow_start")
        return float(re.search(r"after ([\d.]+) s", rule["evidence"])[1]), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "measure", "rows", "work"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    threads = str(len(os.sched_getaffinity(0)))
    variables = {"UNSPSC_ROWS": str(args.rows), "UNSPSC_THREADS": threads, "OMP_NUM_THREADS": threads}
    speeds, epochs = [], []
    for number in range(args.rounds):
        speeds.append(steps(args.measure, variables, args.work, args.steps))
        print(f"round {number + 1}/{args.rounds}: {speeds[-1][0]:.1f} and {speeds[-1][1]:.1f} examples/s", file=sys.stderr)
    for number in range(max(1, args.rounds - 1)):
        theirs = json.loads(run([PYTHON, HERE / "epoch_transformers.py", args.rows], variables).splitlines()[-1])
        epochs.append((our_epoch(args.train, variables, args.rows, args.work), (theirs["first_step"], theirs["epoch"])))
        print(f"round {number + 1}: epoch {epochs[-1][0][1]:.1f} s and {epochs[-1][1][1]:.1f} s", file=sys.stderr)

    count = sum(1 for _ in open(args.rows, encoding="utf-8")) - 1
    ours, theirs = (max(speed[side] for speed in speeds) for side in (0, 1))
    ratio = statistics.median(speed[0] / speed[1] for speed in speeds)
    torch, transformers = version("torch"), version("transformers")
    print(f"\n|  | examples a second | ours over it |\n|---|---:|---:|\n| `train`'s step | {ours:.1f} | 1.0 |")
    print(f"| PyTorch {torch} eager, transformers {transformers}, fused AdamW, the same batches | {theirs:.1f} | {ratio:.2f} |")
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
