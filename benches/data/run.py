"""Measures ours and its peers by turns on the same data and prints Markdown; started by scripts/bench-data.

A command is one process from its start to its end, except nlpaug: see benches/data/augment_nlpaug.py. Of each the least of
all rounds counts, for seconds, processor seconds and memory alike. What ours and pandas made is compared first, so that no
figure stands for other work than the one beside it.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

# As the commands are printed: from the folder they are run in, which is the checkout's.
HERE = Path(os.path.relpath(Path(__file__).parent))
PYTHON = os.path.relpath(sys.executable)
# What the project promises.
PREPARE_RATIO, PREPARE_MIB, AUGMENT_RATIO = 10, 1024, 50
# Share of rows by which two implementations may differ: transliteration tables are not the same everywhere.
TOLERANCE = 0.001
# Who else was busy: figures to publish want none.
LOAD_BEFORE = os.getloadavg()[0]


def measure(command, env=None):
    """Runs `command`; seconds, processor seconds, peak MiB of the process and what it said."""
    # A file, not a pipe: nobody reads before the end.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True, env=os.environ | (env or {}))
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"error: exit code {process.returncode} of {shlex.join(command)}\n{errors}")
        output.seek(0)
        said = output.read()
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024, "said": said}


def by_turns(commands, rounds, env=None):
    """What `measure` finds for each of the named commands, once a round."""
    found = {name: [] for name in commands}
    for number in range(1, rounds + 1):
        for name, command in commands.items():
            one = measure(command, env)
            found[name].append(one)
            print(f"round {number}/{rounds}, {name}: {one['seconds']:.2f} s, {one['mib']:,.0f} MiB", file=sys.stderr)
    return found


def least(found, figure):
    return {name: min(one[figure] for one in rounds) for name, rounds in found.items()}


def counts(folder):
    return json.loads((folder / "dataset.json").read_text())["counts"]


def check_same_work(ours, theirs):
    """Ends the run where two prepared folders differ by more than details."""
    ours, theirs = counts(ours), counts(theirs)
    pairs = {name: (ours[name], theirs[name]) for name in ["rows", "duplicates", "train", "validation", "test", "classes"]}
    for reason in ours["rejects"].keys() | theirs["rejects"].keys():
        pairs[reason] = ours["rejects"].get(reason, 0), theirs["rejects"].get(reason, 0)
    for name, (a, b) in pairs.items():
        if abs(a - b) > TOLERANCE * ours["rows"]:
            sys.exit(f"error: ours and pandas did different work: {name}: {a:,} and {b:,}")


def print_table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_promise(what, held):
    print(f"- {what}: {'held' if held else 'NOT held'}")


def bench_prepare(arguments, work):
    """Ours and pandas on the same file, at segment level; returns the commands."""
    script = [PYTHON, str(HERE / "prepare_pandas.py"), "--data", str(arguments.data)]
    plain, arrow = f"pandas {version('pandas')}", f"the same with pyarrow {version('pyarrow')}"
    commands = {
        "ours": [arguments.unspsc, "data", "prepare", "--data", str(arguments.data), "--output", str(work / "ours")],
        plain: [*script, "--output", str(work / "pandas")],
        arrow: [*script, "--output", str(work / "pyarrow"), "--strings", "pyarrow"],
    }
    found = by_turns(commands, arguments.rounds)
    for folder in ("pandas", "pyarrow"):
        check_same_work(work / "ours", work / folder)
    rows = counts(work / "ours")["rows"]
    seconds, cpu, mib = (least(found, figure) for figure in ("seconds", "cpu", "mib"))
    ratio = {name: seconds[name] / seconds["ours"] for name in commands}

    print("\n### Preparation\n")
    print_table(
        ["", "rows", "seconds", "processor seconds", "rows/s", "peak MiB", "seconds over ours"],
        [
            [name, f"{rows:,}", f"{seconds[name]:.2f}", f"{cpu[name]:.2f}", f"{rows / seconds[name]:,.0f}"]
            + [f"{mib[name]:,.0f}", f"{ratio[name]:.1f}"]
            for name in commands
        ],
    )
    print_promise(f"at least {PREPARE_RATIO} times pandas' throughput ({ratio[plain]:.1f})", ratio[plain] >= PREPARE_RATIO)
    print_promise(f"within {PREPARE_MIB:,} MiB ({mib['ours']:,.0f})", mib["ours"] <= PREPARE_MIB)
    return commands


def bench_augment(arguments, work):
    """Ours and nlpaug on the same prepared folder; returns the commands."""
    folder = work / "by-class"
    make = [arguments.unspsc, "data", "prepare", "--data", str(arguments.data), "--level", "class"]
    make += ["--output", str(folder)]
    measure(make)
    ours = [arguments.unspsc, "data", "augment", "--data", str(folder), "--wordnet", str(arguments.wordnet)]
    ours += ["--mode", "augment", "--seed", "17"]
    script = [PYTHON, str(HERE / "augment_nlpaug.py"), "--data", str(folder), "--to", str(arguments.to)]
    nlpaug = f"nlpaug {version('nlpaug')}, nltk {version('nltk')}"
    commands = {
        "ours": [*ours, "--to", str(arguments.to), "--output", str(work / "augmented")],
        # Every class has a row: the same reading, loading and writing without a new one.
        "nothing": [*ours, "--to", "1", "--output", str(work / "unchanged")],
        nlpaug: [*script, "--rows", str(arguments.made), "--output", str(work / "nlpaug.csv")],
    }
    found = by_turns(commands, arguments.rounds, {"NLTK_DATA": str(arguments.nltk_data)})
    with open(work / "augmented/train.csv", encoding="utf-8") as file:
        made = sum(",augmented:" in line for line in file)
    seconds, mib = least(found, "seconds"), least(found, "mib")
    own_clock = [json.loads(one["said"]) for one in found[nlpaug]]
    # Name, new rows, seconds, peak MiB.
    results = [
        ("ours, the whole process", made, seconds["ours"], mib["ours"]),
        ("ours, less a run that adds nothing", made, seconds["ours"] - seconds["nothing"], mib["ours"]),
        (f"{nlpaug}, its loop alone", own_clock[0]["rows"], min(one["seconds"] for one in own_clock), mib[nlpaug]),
    ]
    rates = [rows / least_seconds for _, rows, least_seconds, _ in results]

    print("\n### Augmentation\n")
    print_table(
        ["", "new rows", "seconds", "new rows/s", "peak MiB", "rate over nlpaug's"],
        [
            [name, f"{rows:,}", f"{least_seconds:.2f}", f"{rate:,.0f}", f"{peak:,.0f}", f"{rate / rates[-1]:.1f}"]
            for (name, rows, least_seconds, peak), rate in zip(results, rates)
        ],
    )
    ratio = rates[0] / rates[-1]
    print_promise(f"at least {AUGMENT_RATIO} times nlpaug's rows per second ({ratio:.1f})", ratio >= AUGMENT_RATIO)
    return {"made by": make} | commands


def print_surroundings(commands):
    """What it ran on, and how."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    packages = ", ".join(f"{name} {version(name)}" for name in ["pandas", "numpy", "pyarrow", "nlpaug", "nltk"])
    print(f"\n{cpu}, {len(os.sched_getaffinity(0))} threads, load before the run {LOAD_BEFORE:.1f}")
    print(f"Python {platform.python_version()}, {packages}\n\n```")
    for name, command in commands:
        print(f"# {name}\n{shlex.join(command)}")
    print("```")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--unspsc", required=True, help="our binary")
    parser.add_argument("--data", type=Path, required=True, help="CSV of benches/data/make_rows.py")
    parser.add_argument("--wordnet", type=Path, required=True, help="the files of WordNet 3.0")
    parser.add_argument("--nltk-data", type=Path, required=True, help="folder of benches/data/nltk_data.py")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--to", type=int, required=True, help="training rows that each class is to have")
    parser.add_argument("--made", type=int, required=True, help="new rows after which nlpaug stops")
    parser.add_argument("--work", type=Path, required=True, help="folder for what the commands write")
    arguments = parser.parse_args()

    arguments.work.mkdir(parents=True, exist_ok=True)
    # From memory for whoever comes first, too.
    arguments.data.read_bytes()
    commands = [*bench_prepare(arguments, arguments.work).items(), *bench_augment(arguments, arguments.work).items()]
    print_surroundings(commands)


if __name__ == "__main__":
    main()
