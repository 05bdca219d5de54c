"""Measures `serve` beside its peers under load, by turns, and prints Markdown; started by scripts/bench-serve.

Of several rounds the median counts. The load generator runs on the servers' processors.
"""

import argparse
import json
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from load import load
from servers import THREADS, Ours, Reference, TextEmbeddingsInference
from texts import draw
from tokenizers import Tokenizer

SEED = 17
TEXTS, COMPARED = 2000, 50
CONNECTIONS = (1, 8, 64)
# Rates of the ladder as shares of a peer's maximum, and of the overload as multiples of our own.
LADDER, OVERLOAD = (0.5, 0.9), (1.5, 2.0, 3.0)
# A rate is carried if nearly all of its requests are answered in time.
CARRIED = 0.97
STARTS, MEMORY_REQUESTS = 5, 200
# What the project promises: requests a second over those of the padded reference, good answers in overload over the
# maximum, cold start in seconds and resident memory in MB.
RATIO, KEPT, START_SECONDS, RESIDENT_MB = 8.0, 0.9, 0.5, 150
LOAD_BEFORE = os.getloadavg()[0]


def progress(line):
    print(line, file=sys.stderr, flush=True)


def table(title, head, rows):
    print(f"\n{title}\n\n| | " + " | ".join(head) + " |\n|---" + "|---:" * len(head) + "|")
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |")


def promise(what, held):
    print(f"\n- {'held' if held else 'MISSED'}: {what}", end="")


def median(loads, of):
    return statistics.median(getattr(one, of) for one in loads)


def compare(servers, texts):
    """All servers on the same texts: which differ too much from the first ends the run."""
    wanted = [servers[0].classify(text) for text in texts]
    rows = []
    for server in servers:
        found = [server.classify(text) for text in texts]
        difference = max(abs(a - b) for row, other in zip(found, wanted) for a, b in zip(row, other))
        same = sum(row.index(max(row)) == other.index(max(other)) for row, other in zip(found, wanted))
        if not difference <= server.tolerance:
            raise SystemExit(f"a logit of {server.name} differs by {difference:.4f}, allowed are {server.tolerance}")
        rows.append((server.name, [f"{difference:.1e}", f"{same} of {len(texts)}"]))
    title = f"Logits of {len(texts)} texts beside those of {servers[0].name}"
    table(title, ["largest difference", "same class"], rows)


def rounds(args, cells, of):
    """`of(server, value)` for all `cells` by turns; a list with an entry a round for each."""
    found = {cell: [] for cell in cells}
    for number in range(args.rounds):
        for server, value in cells:
            found[server, value].append(of(server, value))
            one = found[server, value][-1]
            result = f"{one.good:.1f}/s, p99 {one.p99:.1f} ms"
            progress(f"round {number + 1}/{args.rounds}: {server.name}, {value:.4g}: {result}")
    return found


def closed_loop(args, servers):
    """Requests a second by number of connections; returns the most of each server."""
    cells = [(server, connections) for connections in CONNECTIONS for server in servers]
    found = rounds(args, cells, lambda server, connections: load(args.oha, server, args.seconds, connections))
    rate = {cell: median(loads, "good") for cell, loads in found.items()}

    def cell(at):
        return f"{rate[at]:.1f} ({median(found[at], 'p50'):.0f} / {median(found[at], 'p99'):.0f})"

    title = "Requests a second by connections, each of which waits for its answer (p50 / p99 in ms)"
    rows = [(server.name, [cell((server, connections)) for connections in CONNECTIONS]) for server in servers]
    table(title, [*map(str, CONNECTIONS)], rows)
    for connections in CONNECTIONS:
        padded = [server for server in servers if isinstance(server, Reference) and server.pad == "128"]
        ratio = rate[servers[0], connections] / max(rate[server, connections] for server in padded)
        connection = f"{connections} connection{'s' * (connections > 1)}"
        promise(f"{connection}: {ratio:.1f} times the padded reference's rate, {RATIO} wanted", ratio >= RATIO)
    print()
    return {server: max(rate[server, connections] for connections in CONNECTIONS) for server in servers}


def ladder(args, servers, most):
    """Latency at rates that peers can carry."""
    groups = {}
    for server in servers:
        if not isinstance(server, Ours):
            groups[server.group] = max(groups.get(server.group, 0.0), most[server])
    rates = sorted(share * rate for rate in groups.values() for share in LADDER)
    cells = [(server, rate) for rate in rates for server in servers if rate < most[server]]
    found = rounds(args, cells, lambda server, rate: load(args.oha, server, args.seconds, rate=rate))
    carried = {cell: loads for cell, loads in found.items() if median(loads, "good") >= CARRIED * cell[1]}

    def cell(at):
        return f"{median(carried[at], 'p50'):.0f} / {median(carried[at], 'p99'):.0f}" if at in carried else "–"

    title = "p50 / p99 in ms at so many requests a second, sent evenly whether or not others are answered (–: not carried)"
    rows = [(server.name, [cell((server, rate)) for rate in rates]) for server in servers]
    table(title, [f"{rate:.1f}/s" for rate in rates], rows)
    for rate in rates:
        at_rate = {server: median(loads, "p99") for (server, at), loads in carried.items() if at == rate}
        peers = [p99 for server, p99 in at_rate.items() if not isinstance(server, Ours)]
        if peers:
            own = at_rate.get(servers[0], math.inf)
            promise(f"{rate:.1f}/s: p99 {own:.1f} ms, the best peer's {min(peers):.1f} ms", own <= min(peers))
    print()


def overload(args, servers, most):
    """What `serve` does with more than it can."""
    own = [server for server in servers if isinstance(server, Ours)]
    cells = [(server, times) for times in OVERLOAD for server in own]
    send = lambda server, times: load(args.oha, server, args.seconds, rate=times * most[server])  # noqa: E731
    found = rounds(args, cells, send)

    def row(server, times):
        loads = found[server, times]
        codes = {code for one in loads for code in one.others}
        others = {code: statistics.mean(one.others.get(code, 0.0) for one in loads) for code in codes}
        refused = ", ".join(f"{rate:.1f} × {code}" for code, rate in sorted(others.items())) or "none"
        cells = [f"{times * most[server]:.1f}", f"{median(loads, 'good'):.1f}", refused, f"{median(loads, 'p99'):.0f}"]
        return f"{server.name}, {times:g} × its maximum", cells

    table("Requests a second beyond the maximum", ["sent", "good", "others", "p99 of good, ms"],
          [row(server, times) for server in own for times in OVERLOAD])
    for server, times in cells:
        share = median(found[server, times], "good") / most[server]
        promise(f"{server.name}, {times:g} × its maximum: {share:.0%} of it good, {KEPT:.0%} wanted", share >= KEPT)
    print()


def cold_start(servers, texts):
    """From the start of the process to the first good answer that all is well, and memory after some requests."""
    for server in servers:
        server.stop()
    rows, found = [], {}
    for server in servers:
        seconds = []
        for _ in range(STARTS):
            server.stop()
            seconds.append(server.start())
        for text in texts[:MEMORY_REQUESTS]:
            server.classify(text)
        found[server] = statistics.median(seconds), server.resident_mb()
        server.stop()
        cells = [f"{found[server][0]:.2f}", f"{found[server][1]:.0f}"]
        progress(f"{server.name}: {' s, '.join(cells)} MB")
        rows.append((server.name, cells))
    title = f"Cold start, files in the page cache: median of {STARTS}; resident memory after {MEMORY_REQUESTS} requests"
    table(title, ["s to the first good ping", "MB"], rows)
    own = {server.precision: values for server, values in found.items() if isinstance(server, Ours)}
    for precision, (seconds, _) in own.items():
        promise(f"serve {precision}: {seconds:.2f} s, {START_SECONDS} wanted", seconds <= START_SECONDS)
    memory = own["int8"][1]
    promise(f"serve int8: {memory:.0f} MB, {RESIDENT_MB} wanted", memory <= RESIDENT_MB)
    print()


def describe(args, texts):
    """What was run, on what."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    tokenizer = Tokenizer.from_file(str(args.base / "model/tokenizer.json"))
    lengths = sorted(len(tokenizer.encode(text).ids) for text in texts)
    labels = len(json.loads((args.base / "model/config.json").read_text())["id2label"])
    shown = lambda program: subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()  # noqa: E731
    programs = [shown(program) for program in (args.serve, args.oha)]
    programs += [f"{name} {version(name)}" for name in ("torch", "transformers", "gunicorn")]
    print(f"""`ROUNDS={args.rounds} SECONDS_EACH={args.seconds:g} scripts/bench-serve`

- {model[1] if model else platform.machine()}, {os.cpu_count()} processors, load before the run {LOAD_BEFORE:.1f}. Each \
server has {THREADS} threads; the load generator runs beside it on the same processors. {args.rounds} rounds of \
{args.seconds:g} s a cell, by turns, of which the median.
- {", ".join(programs)}, Python {platform.python_version()}. The reference's handler runs under gunicorn's sync workers.
- DistilBERT-base with {labels} labels and random weights. One text a request, drawn at random from {len(texts)} tools and \
titles (seed {SEED}): {statistics.mean(lengths):.1f} tokens, median {statistics.median(lengths):g}, 90th percentile \
{lengths[len(lengths) * 9 // 10]}, longest {lengths[-1]}.""")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("serve", "oha", "base", "data"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--tei", type=Path, help="text-embeddings-router")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    args = parser.parse_args()
    # Ended from outside too, it leaves no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    texts = draw(args.data, TEXTS, SEED)
    describe(args, texts)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        servers = [Ours(args.serve, precision, args.base) for precision in Ours.PRECISIONS]
        servers += [Reference(pad, workers, args.base) for pad in ("128", "text") for workers in (2, 1)]
        servers += [TextEmbeddingsInference(args.tei, args.base)] if args.tei else []
        for server in servers:
            server.prepare(folder, texts)
        try:
            for server in servers:
                server.start()
            references = [server for server in servers if isinstance(server, Reference)]
            compare(references[:1] + [server for server in servers if server is not references[0]], texts[:COMPARED])
            most = closed_loop(args, servers)
            ladder(args, servers, most)
            overload(args, servers, most)
            cold_start(servers, texts)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
