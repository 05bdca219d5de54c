"""Measures the engine beside its peers on models with random weights, by turns, and prints Markdown; started by scripts/bench-engine.

A cell is milliseconds a batch: of each round the median, of the rounds the least. Differences under 10 % are ties.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(os.path.relpath(Path(__file__).parent))
# The engine's precisions and poolings; int8 and the first token is what the peers compute. With the mean of all tokens nothing
# is left out of the last layer.
ENGINES = (("int8", "cls"), ("int8", "mean"), ("int16", "cls"), ("float32", "cls"))
# Of these the ratio to the best peer is told.
RATED = (0, 1, 2)
SHAPES = [(texts, tokens) for texts in (1, 8, 32) for tokens in (8, 16, 32, 128)]
# Batches of up to so many texts and tokens have to be so many times as fast as those of the best peer.
SHORT_TEXTS, SHORT_TOKENS, SHORT_RATIO = 1, 16, 1.3
LOAD_BEFORE = os.getloadavg()[0]


class Contender:
    """A process that answers `TEXTS TOKENS SECONDS` with the times of its batches."""

    def __init__(self, command, threads):
        variables = {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.name = self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[0]} ended:\n{self.process.stderr.read()}")
        return line.strip()

    def median(self, texts, tokens, seconds):
        self.process.stdin.write(f"{texts} {tokens} {seconds}\n")
        self.process.stdin.flush()
        return statistics.median(json.loads(self.line()))

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def measure(encoder, model, threads, rounds, seconds):
    """Names, and by shape the least of each contender's medians: the engine's by ENGINES, and then the peers'."""
    commands = [[encoder, "--bench", model, *engine, str(threads)] for engine in ENGINES]
    peers = [("onnxruntime", 1), *(("openvino", streams) for streams in range(1, threads + 1))]
    commands += [[sys.executable, HERE / "peer.py", peer, model, str(threads), str(streams)] for peer, streams in peers]
    contenders = [Contender(command, threads) for command in commands]
    best = {shape: [float("inf")] * len(contenders) for shape in SHAPES}
    for number in range(rounds):
        for shape in SHAPES:
            for index, contender in enumerate(contenders):
                best[shape][index] = min(best[shape][index], contender.median(*shape, seconds))
        print(f"{model.name}, {threads} threads: round {number + 1}/{rounds}", file=sys.stderr)
    for contender in contenders:
        contender.end()
    names = [f"serve {precision}" + ", mean of tokens" * (pooling == "mean") for precision, pooling in ENGINES]
    return names + [contender.name for contender in contenders[len(ENGINES):]], best


def report(title, names, best):
    print(f"\n{title}, ms a batch\n\n|  | " + " | ".join(f"{texts}×{tokens}" for texts, tokens in SHAPES) + " |")
    print("|---" + "|---:" * len(SHAPES) + "|")
    for index, name in enumerate(names):
        print(f"| {name} | " + " | ".join(f"{best[shape][index]:.2f}" for shape in SHAPES) + " |")
    for index in RATED:
        ratios = [min(times[len(ENGINES):]) / times[index] for times in best.values()]
        print(f"| the best peer's time over that of {names[index]} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    print()
    for shape, times in best.items():
        wanted = SHORT_RATIO if shape[0] <= SHORT_TEXTS and shape[1] <= SHORT_TOKENS else 1.0
        for index, (precision, _) in enumerate(ENGINES):
            ratio = min(times[len(ENGINES):]) / times[index]
            if precision == "int8" and ratio < wanted:
                print(f"- {names[index]} MISSED {wanted} at {shape[0]}×{shape[1]}: {ratio:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("encoder", "models"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    for size in ("minilm", "distilbert"):
        for threads in (1, 2):
            names, best = measure(args.encoder, args.models / size, threads, args.rounds, args.seconds)
            report(f"{size}, {threads} thread{'s' * (threads > 1)}", names, best)
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    print(f"\n{model[1] if model else platform.machine()}, load before the run {LOAD_BEFORE:.1f}; "
          f"{args.rounds} rounds of {args.seconds} s a cell, the least of their medians")


if __name__ == "__main__":
    main()
