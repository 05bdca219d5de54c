"""Measures how soon containers of two images answer and what they hold then, by turns, and prints Markdown; started by scripts/bench-images.

Of several rounds the median counts.
"""

import argparse
import contextlib
import http.client
import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

# As an endpoint's container is run, and as the README runs it.
OPTIONS = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "8g", "--cpus", "2")
# With much to spare on a busy machine.
PATIENCE = 120
# Seconds between pings: each takes time of the processors that the container starts on.
PAUSE = 0.005
# Seconds between looks whether a container that does not answer runs at all: each takes time from it.
LOOK = 5
# What the project promises: times sooner, and times the memory.
SOONER, LESS = 10.0, 5.0
LOAD_BEFORE = os.getloadavg()[0]


@dataclass
class Start:
    """Seconds to the first good ping since `docker run` and since the container's own start; then MB, at once and after a prediction."""

    since_run: float
    since_start: float
    cgroup: float
    pss: float
    cgroup_after: float
    pss_after: float


def progress(line):
    print(line, file=sys.stderr, flush=True)


def docker(*words):
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"docker {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def ask(port, method, path, body=None):
    """Status of the answer, or None without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Memory:
    """What the container of a process holds."""

    def __init__(self, pid):
        # Version 1 of control groups has a hierarchy for memory, version 2 one for all.
        groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        self.old = "memory" in groups
        self.folder = Path("/sys/fs/cgroup") / ("memory" if self.old else "") / groups["memory" if self.old else ""].lstrip("/")

    def cgroup_mb(self):
        """As `docker stats` has it: without the file pages that would be given up first."""
        usage = int((self.folder / ("memory.usage_in_bytes" if self.old else "memory.current")).read_text())
        files = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return (usage - int(files["total_inactive_file" if self.old else "inactive_file"])) / 1e6

    def pss_mb(self):
        """Resident memory of all processes; a page that several map is divided among them."""
        kilobytes = 0
        for pid in (self.folder / "cgroup.procs").read_text().split():
            kilobytes += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])
        return kilobytes * 1024 / 1e6


@contextlib.contextmanager
def container(image, model, port):
    """Runs the image; gives the name, once `docker run` has ended, and the time when that was begun. Nothing of it stays."""
    name = f"unspsc-bench-{os.getpid()}"
    words = ["docker", "run", "--detach", "--name", name, *OPTIONS, "--publish", f"127.0.0.1:{port}:8080",
             "--volume", f"{model.resolve()}:/opt/ml/model:ro", image]
    begun = time.time()
    # A session of its own: a Ctrl-C does not end it half-way, so that what it makes can be removed.
    command = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        if command.wait() != 0:
            raise SystemExit(f"{image} does not start")
        yield name, begun
    finally:
        command.wait()
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, start_new_session=True)


def measure(image, model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with container(image, model, port) as (name, begun):
        look = begun + LOOK
        while ask(port, "GET", "/ping") != 200:
            if time.time() > look:
                look += LOOK
                if docker("inspect", "--format", "{{.State.Running}}", name) != "true" or time.time() - begun > PATIENCE:
                    raise SystemExit(f"{image} does not answer:\n{docker('logs', name)}")
            time.sleep(PAUSE)
        answered = time.time()
        pid, started = docker("inspect", "--format", "{{.State.Pid}} {{.State.StartedAt}}", name).split()
        memory = Memory(pid)
        first = memory.cgroup_mb(), memory.pss_mb()
        status = ask(port, "POST", "/invocations", json.dumps({"description": "hex bolts, zinc plated, M8"}))
        if status != 200:
            raise SystemExit(f"{image} answers a description with {status}:\n{docker('logs', name)}")
        # To microseconds, as far as Python reads them.
        started = datetime.fromisoformat(re.sub(r"(\.\d{1,6})?\d*Z$", r"\1+00:00", started)).timestamp()
        return Start(answered - begun, answered - started, *first, memory.cgroup_mb(), memory.pss_mb())


def compare(args, name, model):
    """Both images with one model."""
    images = {"unspsc-serve": args.ours, "Python": args.peer}
    found = {image: [] for image in images}
    # The first round, which brings the files into the page cache, does not count.
    for number in range(args.rounds + 1):
        for image, tag in images.items():
            one = measure(tag, model)
            counted = f"round {number}/{args.rounds}" if number else "to warm up"
            progress(f"{name}, {counted}: {image} {one.since_run:.2f} s, {one.since_start:.2f} s of it its own, {one.pss:.0f} MB")
            if number:
                found[image].append(astuple(one))
    medians = {image: Start(*map(statistics.median, zip(*starts))) for image, starts in found.items()}
    print(f"\n{name}:\n\n| | s from `docker run` to the first good ping | s from the container's start | MB of its control group "
          "| MB resident (Pss) | MB of its control group after one prediction | MB resident after it |\n|---" + "|---:" * 6 + "|")
    for image, one in medians.items():
        cells = [f"{one.since_run:.2f}", f"{one.since_start:.2f}"] + [f"{value:.0f}" for value in astuple(one)[2:]]
        print(f"| {image} | " + " | ".join(cells) + " |")
    ours, peer = map(astuple, medians.values())
    ratios = Start(*(theirs / own for own, theirs in zip(ours, peer)))
    print("| **times** | " + " | ".join(f"{ratio:.1f}" for ratio in astuple(ratios)) + " |\n")
    for what, ratio, wanted in (("sooner from `docker run`", ratios.since_run, SOONER), ("less memory of the control group", ratios.cgroup, LESS),
                                ("less resident memory", ratios.pss, LESS)):
        print(f"- {'held' if ratio >= wanted else 'MISSED'}: {ratio:.1f} times {what}, {wanted:g} wanted")


def sizes(args):
    print("\n| image | MB unpacked | MB compressed (`docker save \\| gzip -6`) |\n|---|---:|---:|")
    for image in (args.ours, args.peer):
        progress(f"size of {image}")
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save, \
                subprocess.Popen(["gzip", "-6"], stdin=save.stdout, stdout=subprocess.PIPE) as compress:
            save.stdout.close()
            compressed = sum(map(len, iter(lambda: compress.stdout.read(1 << 20), b"")))
        print(f"| {image} | {int(docker('image', 'inspect', '--format', '{{.Size}}', image)) / 1e6:.0f} | {compressed / 1e6:.0f} |")


def describe(args):
    """What was run, on what."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    pins = (Path(__file__).parent.parent / "serve/requirements.txt").read_text().splitlines()
    peers = ", ".join(line.replace("==", " ") for line in pins if "==" in line)
    label = '{{index .Config.Labels "org.opencontainers.image.%s"}}'
    version, revision = (docker("image", "inspect", "--format", label % name, args.ours) for name in ("version", "revision"))
    python = docker("run", "--rm", "--network", "none", "--entrypoint", "/usr/bin/python3", args.peer, "--version")
    engine = docker("version", "--format", "{{.Server.Version}}")
    print(f"""`scripts/bench-images {args.rounds}`

- {datetime.now():%Y-%m-%d}, {model[1] if model else platform.machine()}, {os.cpu_count()} processors, load before the run {LOAD_BEFORE:.1f}. Docker \
Engine {engine}, Linux {platform.release().split('-')[0]}, control groups of version {1 if Path('/sys/fs/cgroup/memory').exists() else 2}. \
{args.rounds} rounds by turns after one that warms the page cache, of which the median.
- unspsc-serve {version} ({revision[:7]}{revision[40:]}), int16. {python}, {peers}: one worker of 2 threads.
- Both: `{" ".join(OPTIONS)}`, a published port, the model mounted read-only.""")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="the serving image")
    parser.add_argument("--peer", required=True, help="the Python image")
    parser.add_argument("--model", required=True, action="append", metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    # Ended from outside too, it leaves no container behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    describe(args)
    for model in args.model:
        name, folder = model.split("=", 1)
        compare(args, name, Path(folder))
    sizes(args)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
