"""The client of scripts/soak: mixed requests for long, and what must hold meanwhile and at the end.

- `serve` does not end by itself, and ends with code 0 at SIGTERM.
- Every good request is answered as the same request was before the others began (numbers within 1e-4, as the order of
  additions depends on what runs together), or refused with 503 `overloaded` or `deadline_exceeded`.
- Every bad request is answered with the status of docs/serving.md.
- `/ping` answers 200 within 2 seconds, every second.
- Resident memory does not grow after a warm-up of a tenth of the time: through the least values of each twentieth of
  the rest, between which large requests come and go, the least-squares line rises by less than 5 % of their mean.
- Two seconds after the last request as many files are open as before the first.
- The log has no line of level ERROR.
"""

import argparse
import asyncio
import collections
import gzip
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TEXTS = ["toner cartridge, magenta", "stainless steel ball valve, threaded", "bread and biscuits",
         "office cleaning service", "pâté de foie, 200 g", "laptop 14 inch", "surgical gloves, latex free", "diesel generator 5 kW"]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
PING_SECS = 2.0
SAMPLE_SECS = 2.0


def good_requests():
    """Every form of a request: (content type, accept, encoding, body)."""
    lines = [json.dumps({"description": text, "top_k": 2}) for text in TEXTS]
    statement = "Class 30: Edible sandwiches, coffee, tea and cocoa; bread, excluding rolls; clothing, namely, hats."
    documents = [{"description": text} for text in TEXTS]
    documents += [{"instances": TEXTS * 8, "depth": "segment"}, {"instances": [TEXTS[0], 7, {"description": TEXTS[1]}]},
                  {"statement": statement}, {"inputs": TEXTS[0]}, {"inputs": TEXTS, "parameters": {"top_k": 3}},
                  {"description": TEXTS[2], "embeddings": True}]
    bodies = [("application/json", "*/*", json.dumps(document)) for document in documents]
    bodies += [("application/jsonlines", "*/*", "\n".join(lines) + "\nnonsense\n"),
               ("application/jsonlines", "application/json", "\n".join(lines * 50)),
               ("text/csv", "*/*", "id,description\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(TEXTS))),
               ("text/csv", "application/jsonlines; top_k=2", "".join(f'"{text}"\r\n' for text in TEXTS * 40)),
               ("text/plain", "*/*", "\n".join(TEXTS * 100))]
    plain = [(kind, accept, None, body.encode()) for kind, accept, body in bodies]
    return plain + [(kind, accept, "gzip", gzip.compress(body)) for kind, accept, _, body in plain[::3]]


def bad_requests():
    """(method, path, content type, body, the status that is due)."""
    post = [("application/json", body, 400) for body in
            (b"", b"nonsense", b'{"description": NaN}', b'{"description": 1e999}', b"[" * 100_000,
             b'{"description": "\xff"}', b'{"description": " "}', b'{"text": "a"}', b'{"instances": []}', b'{"description": "a", "top_k": 0}',
             b'{"statement": ";;;"}', b'{"inputs": "a", "parameters": {"x": 1}}')]
    post += [("text/html", b"a", 415), ("text/csv; charset=latin1", b"a", 415), ("text/plain", b"", 400),
             ("text/csv", b"description\n", 400), ("application/json", b"x" * (26 << 20), 413)]
    return [("POST", "/invocations", *rest) for rest in post] + [
        ("GET", "/nothing", "text/plain", b"", 404), ("DELETE", "/invocations", "text/plain", b"", 405)]


def head(method, path, kind="application/json", length=0, accept="*/*", encoding=None):
    lines = [f"{method} {path} HTTP/1.1", "host: soak", f"content-type: {kind}", f"accept: {accept}"]
    lines += [f"content-length: {length}"]
    lines += [f"content-encoding: {encoding}"] if encoding else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def read_answer(reader):
    """Status and body; raises where the connection ends before the answer does."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    if headers.get("transfer-encoding") != "chunked":
        return int(first.split()[1]), await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return int(first.split()[1]), body


async def send(address, request, pause=0.0, step=1 << 30):
    """One request on a connection of its own, `step` bytes at a time, read while it is written."""
    reader, writer = await asyncio.open_connection(*address)

    async def write():
        try:
            for start in range(0, len(request), step):
                writer.write(request[start:start + step])
                await writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass  # Refused before it was read; the answer says so.

    writing = asyncio.create_task(write())
    try:
        return await read_answer(reader)
    finally:
        writing.cancel()
        writer.close()


def same(answer, expected):
    """Whether two answers have the same text, and nearly the same numbers."""
    if NUMBER.sub("#", answer) != NUMBER.sub("#", expected):
        return False
    pairs = zip(NUMBER.findall(answer), NUMBER.findall(expected))
    return all(abs(float(a) - float(b)) <= 1e-4 * max(1.0, abs(float(b))) for a, b in pairs)


class Soak:
    def __init__(self, process, address, until):
        self.process, self.address, self.until = process, address, until
        self.counts, self.faults, self.samples = collections.Counter(), [], []
        self.slowest_ping, self.random = 0.0, random.Random(17)
        self.good = good_requests()
        self.expected = []

    def fault(self, text):
        self.faults.append(text)
        print(f"! {text}", flush=True)

    async def repeat(self, kind, pause, action):
        """One kind of request until the time is over; what cannot even be sent is a fault."""
        while time.monotonic() < self.until:
            try:
                self.counts[kind, await action()] += 1
            except Exception as error:
                self.counts[kind, "failed"] += 1
                self.fault(f"{kind}: {type(error).__name__} {error}")
            await asyncio.sleep(pause)

    def request(self, place):
        kind, accept, encoding, body = self.good[place]
        return head("POST", "/invocations", kind, len(body), accept, encoding) + body

    def judge(self, what, status, body, expected):
        text = body.decode()
        if status == 200 and same(text, expected):
            return "right"
        if status == 503 and json.loads(text)["error"]["code"] in ("overloaded", "deadline_exceeded"):
            return "refused with 503"
        self.fault(f"{what}: {status} {text[:200]}")
        return "wrong"

    async def send_good(self, **how):
        place = self.random.randrange(len(self.good))
        status, body = await send(self.address, self.request(place), **how)
        return self.judge(f"request {place}", status, body, self.expected[place])

    async def send_slow(self):
        """In some hundred pieces over several seconds, head and body alike."""
        place = self.random.randrange(len(self.good))
        step = 1 + len(self.request(place)) // 200
        status, body = await send(self.address, self.request(place), pause=0.03, step=step)
        return self.judge(f"slow request {place}", status, body, self.expected[place])

    async def send_bad(self):
        method, path, kind, body, due = self.random.choice(bad_requests())
        status, answer = await send(self.address, head(method, path, kind, len(body)) + body)
        # A full queue is looked at before the body.
        if status == due or status == 503:
            return "refused as due" if status == due else "refused with 503"
        self.fault(f"bad request: {status} and not {due}, {answer[:200]}")
        return "wrong"

    async def send_huge(self):
        text = "stainless steel ball valve "
        which = self.random.choice(["string", "list", "lines", "bomb"])
        if which == "string":
            body = json.dumps({"description": text * 400_000}).encode()
            status, answer = await send(self.address, head("POST", "/invocations", length=len(body)) + body)
            well = status == 200 and json.loads(answer)["truncated"] is True
        elif which == "list":
            body = json.dumps({"instances": [text] * 20_000}).encode()
            status, answer = await send(self.address, head("POST", "/invocations", length=len(body)) + body)
            well = status == 200 and len(json.loads(answer)["predictions"]) == 20_000
        elif which == "lines":
            body = (text * 40 + "\n").encode() * 10_000
            request = head("POST", "/invocations", "text/plain", len(body), "text/csv") + body
            status, answer = await send(self.address, request)
            well = status == 200 and answer.count(b"\n") == 10_000
        else:
            request = head("POST", "/invocations", "application/json", len(BOMB), encoding="gzip") + BOMB
            status, answer = await send(self.address, request)
            well = status == 413
        if well or status == 503:
            return "as due" if well else "refused with 503"
        self.fault(f"huge {which}: {status} {answer[:200]}")
        return "wrong"

    async def send_aborted(self):
        """Leaves in the middle of a request, before the answer, or in the middle of it; politely or with a reset."""
        request = self.request(self.random.randrange(len(self.good)))
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(request[:self.random.randrange(len(request))] if self.random.random() < 0.5 else request)
        if self.random.random() < 0.3:
            try:
                await asyncio.wait_for(reader.read(100), 0.05)
            except asyncio.TimeoutError:
                pass
        if self.random.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort() if self.random.random() < 0.5 else writer.close()
        return "left"

    async def ping(self):
        started = time.monotonic()
        status, _ = await asyncio.wait_for(send(self.address, head("GET", "/ping")), 30)
        took = time.monotonic() - started
        self.slowest_ping = max(self.slowest_ping, took)
        if status == 200 and took < PING_SECS:
            return "200 in time"
        self.fault(f"/ping: {status} after {took:.2f} s")
        return "wrong"

    async def sample(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.samples.append((time.monotonic(), resident / 2**20))
        if self.process.poll() is not None:
            raise RuntimeError("serve has ended")
        return "taken"

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    async def run(self):
        before = self.open_files()
        for place in range(len(self.good)):
            status, body = await send(self.address, self.request(place))
            assert status == 200, (place, status, body)
            self.expected.append(body.decode())
        plan = [("good", 0.02, self.send_good, 6), ("slow", 0.1, self.send_slow, 8), ("bad", 0.05, self.send_bad, 2),
                ("huge", 2.0, self.send_huge, 1), ("aborted", 0.03, self.send_aborted, 3), ("/ping", 1.0, self.ping, 1),
                ("sample", SAMPLE_SECS, self.sample, 1)]
        await asyncio.gather(*(self.repeat(*how) for *how, many in plan for _ in range(many)))
        await asyncio.sleep(2)
        print(f"\nopen files: {before} before, {self.open_files()} after")
        if self.open_files() != before:
            self.fault("files were left open")


BOMB = gzip.compress(bytes(1 << 30))


def least(samples, parts=20):
    """The middle of each of `parts` equal spans of time, and the least value in it."""
    begin, end = samples[0][0], samples[-1][0]
    spans = collections.defaultdict(list)
    for moment, value in samples:
        spans[min(int((moment - begin) / (end - begin) * parts), parts - 1)].append(value)
    return [((place + 0.5) / parts, min(values)) for place, values in sorted(spans.items())]


def growth(points):
    """By what share of its mean the least-squares line through `points` rises from 0 to 1."""
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x, _ in points)
    return slope / y_mean


def start(serve, base, log):
    environment = {"SAGEMAKER_BASE_DIR": base, "SAGEMAKER_BIND_TO_PORT": "0"}
    process = subprocess.Popen([serve, "serve", "--host", "127.0.0.1"], env=environment, stderr=log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with open(log.name) as lines:
            text = lines.read()
        if (port := re.search(r"listening on http://127\.0\.0\.1:(\d+)", text)) and '"ready' in text:
            return process, ("127.0.0.1", int(port[1]))
        time.sleep(0.1)
    sys.exit(f"error: serve did not start: {text}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--minutes", type=int, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as base, open(os.path.join(base, "log"), "w") as log:
        shutil.copytree(arguments.model, os.path.join(base, "model"))
        process, address = start(arguments.serve, base, log)
        try:
            began = time.monotonic()
            seconds = arguments.minutes * 60
            soak = Soak(process, address, began + seconds)
            asyncio.run(soak.run())
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
        finally:
            process.kill()
        with open(log.name) as lines:
            errors = [line for line in lines if '"level":"ERROR"' in line]
    report(soak, began, seconds, code, errors)


def report(soak, began, seconds, code, errors):
    print("\n| kind | outcome | requests |\n|---|---|---|")
    for (kind, outcome), count in sorted(soak.counts.items()):
        print(f"| {kind} | {outcome} | {count:,} |")
    warm = [sample for sample in soak.samples if sample[0] - began > seconds / 10]
    points = least(warm)
    print(f"\nresident memory in MiB, least in each twentieth after the warm-up: "
          f"{' '.join(f'{value:.0f}' for _, value in points)}; most: {max(value for _, value in warm):.0f}; "
          f"growth {growth(points):+.1%}")
    if growth(points) >= 0.05:
        soak.fault("resident memory grew")
    print(f"\nslowest /ping: {soak.slowest_ping:.3f} s; exit code {code}; ERROR lines: {len(errors)}")
    if code != 0 or errors:
        soak.fault(f"exit code {code}, {errors[:3]}")
    sys.exit(1 if soak.faults else 0)


if __name__ == "__main__":
    main()
