"""What the experiments share: the real `unspsc` and `train`, run under a folder laid out as SageMaker's."""

import json
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
# Rows that choose the epoch; all of them would cost more time than training.
VALIDATION_ROWS = 2000


def unspsc(*arguments: object) -> None:
    """Runs `unspsc`; what it says is shown where it fails."""
    output = subprocess.run([BINARIES / "unspsc", *map(str, arguments)], capture_output=True, text=True)
    if output.returncode != 0:
        raise SystemExit(output.stderr)


def train_in(base: pathlib.Path, settings: dict[str, object]) -> dict:
    """Trains under `base`, whose channels are there, and returns what `metrics.json` says."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps({name: str(value) for name, value in settings.items()}))
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(base)}
    environment.setdefault("UNSPSC_ENCODER", str(ROOT / ".deps" / "encoder" / "all-MiniLM-L6-v2"))
    output = subprocess.run([BINARIES / "train", "train"], env=environment, capture_output=True, text=True)
    if output.returncode != 0:
        raise SystemExit(output.stdout + output.stderr)
    return json.loads((base / "output" / "data" / "metrics.json").read_text())


def train(prepared: pathlib.Path, tests: list[pathlib.Path], settings: dict[str, object], folder: pathlib.Path) -> dict:
    """Trains on the prepared set, tests on `tests`, and returns what `metrics.json` says."""
    base = folder / "opt-ml"
    data = base / "input" / "data"
    for path in (data / "train", data / "validation", data / "test"):
        path.mkdir(parents=True)
    shutil.copy(prepared / "train.csv", data / "train")
    lines = (prepared / "validation.csv").read_text().splitlines(keepends=True)
    (data / "validation" / "validation.csv").write_text("".join(lines[: VALIDATION_ROWS + 1]))
    for file in tests:
        shutil.copy(file, data / "test")
    return train_in(base, settings)
