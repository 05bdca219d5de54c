"""The project itself: the real `train`, then the real `serve`, asked by the real `unspsc evaluate`."""

import os
import shutil
import sys
from pathlib import Path

sys.path += [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "serve")]
import experiment  # noqa: E402
import servers  # noqa: E402


def ours(split, settings, folder):
    """Trains with `settings` on what the peers have, and leaves the served answers to each test set in `folder`."""
    base = folder / "opt-ml"
    shutil.rmtree(base, ignore_errors=True)
    for channel, names in {"train": ["train"], "validation": ["validation"], "test": split.tests, "titles": ["titles"]}.items():
        path = base / "input/data" / channel
        path.mkdir(parents=True)
        for name in names:
            os.link(split.folder / f"{name}.csv", path / f"{name}.csv")
    experiment.train_in(base, {"seed": split.seed} | settings)
    server = servers.Ours(experiment.BINARIES / "serve", "int16", base)
    server.log = folder / "serve.log"
    server.start()
    try:
        for name in split.tests:
            asked = folder / f"asked-{name}"
            experiment.unspsc("evaluate", "--data", split.folder / f"{name}.csv", "--url", f"http://127.0.0.1:{server.port}",
                              "--output", asked)
            (asked / "predictions.jsonl").replace(folder / f"{name}.jsonl")
            shutil.rmtree(asked)
    finally:
        server.stop()
