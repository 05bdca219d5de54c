"""The servers of scripts/bench-serve: how each is started, asked and ended."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(os.path.relpath(Path(__file__).parent))
THREADS = 2
# With much to spare on a busy machine.
PATIENCE = 120


class Server:
    """A contender: `group` is what runs, `layout` how it uses the two threads."""

    # Where health is asked, where texts are sent.
    ping, path = "/ping", "/invocations"
    # The largest difference from the reference's logits.
    tolerance = 1e-3

    def __init__(self, group, layout, base):
        self.group, self.layout, self.base = group, layout, base
        self.process, self.port = None, None

    @property
    def name(self):
        return f"{self.group}, {self.layout}" if self.layout else self.group

    def command(self):
        """The words of the command line, and the variables set for it."""
        raise NotImplementedError

    def prepare(self, folder, texts):
        """Writes the bodies of requests for `texts`, a line each, into `folder`, where the log will be too."""
        name = re.sub(r"\W+", "-", self.name)
        self.log, self.bodies = folder / f"{name}.log", folder / f"{name}.jsonl"
        self.bodies.write_text("".join(json.dumps(self.body(text)) + "\n" for text in texts))

    def body(self, text):
        return {"description": text}

    def logits(self, answer):
        return answer["logits"]

    def start(self):
        """Starts it on a free port; returns the seconds to the first good answer of `ping`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words, variables = self.command()
        started = time.perf_counter()
        with open(self.log, "w") as log:
            # A session of its own, so that workers can be ended with it.
            self.process = subprocess.Popen(
                words, env=os.environ | variables, stdout=log, stderr=log, start_new_session=True)
        while not self.is_ready():
            if self.process.poll() is not None or time.perf_counter() - started > PATIENCE:
                raise SystemExit(f"{self.name} does not start:\n{Path(self.log).read_text()}")
            time.sleep(0.002)
        return time.perf_counter() - started

    def is_ready(self):
        try:
            return self.ask("GET", self.ping)[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None):
        """Status and body of the answer, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def classify(self, text):
        """The logits of `text`."""
        status, answer = self.ask("POST", self.path, json.dumps(self.body(text)))
        if status != 200:
            raise SystemExit(f"{self.name} answers {status}: {answer.decode(errors='replace')}")
        return self.logits(json.loads(answer))

    def resident_mb(self):
        """Resident memory of the process and its workers, added up; pages that they share count for each."""
        def resident(pid):
            own = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]
            workers = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
            return int(own) * 1024 + sum(map(resident, workers.split()))
        return resident(self.process.pid) / 1e6

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None


class Ours(Server):
    """The real `serve`."""

    # What it computes in, the default first, and the largest difference from float32's logits.
    PRECISIONS = {"int16": 0.01, "int8": 0.1}

    def __init__(self, serve, precision, base):
        super().__init__(f"serve {precision}", None, base)
        self.serve, self.precision = serve, precision
        self.tolerance = self.PRECISIONS[precision]

    def command(self):
        words = [self.serve, "serve", "--base-dir", self.base, "--host", "127.0.0.1", "--port", self.port]
        return [*map(str, words)], {"UNSPSC_THREADS": str(THREADS), "UNSPSC_PRECISION": self.precision}


class Reference(Server):
    """handler.py under gunicorn."""

    def __init__(self, pad, workers, base):
        threads = THREADS // workers
        layout = f"{workers} worker{'s' * (workers > 1)} × {threads} thread{'s' * (threads > 1)}"
        super().__init__(f"reference, {'padded to 128' if pad == '128' else 'not padded'}", layout, base)
        self.pad, self.workers = pad, workers

    def command(self):
        words = [sys.executable, "-m", "gunicorn", "--chdir", HERE, "--bind", f"127.0.0.1:{self.port}",
                 "--workers", self.workers, "--timeout", PATIENCE, "--log-level", "warning", "wsgi:application"]
        threads = str(THREADS // self.workers)
        variables = {"PAD": self.pad, "OMP_NUM_THREADS": threads, "MODEL_DIR": str((self.base / "model").resolve())}
        return [*map(str, words)], variables | {"HF_HUB_OFFLINE": "1"}


class TextEmbeddingsInference(Server):
    """text-embeddings-router of text-embeddings-inference."""

    ping, path = "/health", "/predict"

    def __init__(self, router, base):
        version = subprocess.run([router, "--version"], capture_output=True, text=True, check=True).stdout
        super().__init__(version.strip(), None, base)
        self.router = router
        self.places = json.loads((base / "model/config.json").read_text())["label2id"]

    def command(self):
        words = [self.router, "--model-id", self.base / "model", "--hostname", "127.0.0.1", "--port", self.port,
                 "--dtype", "float32"]
        threads = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
        # As the others, without a line in the log for each request.
        return [*map(str, words)], threads | {"RUST_LOG": "warn"}

    def body(self, text):
        return {"inputs": text, "raw_scores": True}

    def logits(self, answer):
        logits = [0.0] * len(self.places)
        for label in answer:
            logits[self.places[label["label"]]] = label["score"]
        return logits
