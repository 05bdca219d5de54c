"""Load from oha, and what came of it."""

import json
import subprocess
from dataclasses import dataclass

# Requests under way in an open loop, at most: more than the queue of `serve` holds, so that it is seen to be full.
OPEN_CONNECTIONS = 512


@dataclass
class Load:
    """Answers a second by status code, and quantiles of the latency of good ones in milliseconds."""

    rates: dict
    p50: float
    p99: float

    @property
    def good(self):
        return self.rates.get("200", 0.0)

    @property
    def others(self):
        """Answers a second that were not good, and requests without one, by code or error."""
        return {code: rate for code, rate in self.rates.items() if code != "200"}


def load(oha, server, seconds, connections=OPEN_CONNECTIONS, rate=None):
    """Each connection sends texts drawn from `server.bodies`, one after another, or all together `rate` a second."""
    # In an open loop a latency begins when the request was due, also where no connection was free.
    pace = [] if rate is None else ["-q", f"{rate:.3f}", "--latency-correction"]
    # What is under way at the end is waited for (-w): a server may work on what nobody wants any more, and the next one
    # would be measured beside it.
    words = [oha, "--no-tui", "--output-format", "json", "--stats-success-breakdown", "-z", f"{seconds}s", "-w",
             "-c", connections, *pace, "-m", "POST", "-T", "application/json", "-Z", server.bodies,
             f"http://127.0.0.1:{server.port}{server.path}"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"oha failed on {server.name}:\n{done.stderr}")
    found = json.loads(done.stdout)
    counts = found["statusCodeDistribution"] | found["errorDistribution"]
    rates = {code: count / found["summary"]["total"] for code, count in counts.items()}
    # Null where there was no good answer.
    quantiles = found["latencyPercentilesSuccessful"]
    p50, p99 = (float("nan") if quantiles[name] is None else quantiles[name] * 1e3 for name in ("p50", "p99"))
    return Load(rates, p50, p99)
