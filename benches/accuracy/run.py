"""Trains the project's classifier and its peers on identical rows, judges all by `unspsc evaluate`, and prints Markdown tables; started by
scripts/bench-accuracy. docs/accuracy.md says what is measured.

Answers stay in the work folder: a contender is asked again only where the rows, its settings, its source or the binaries have changed.
"""

import argparse
import contextlib
import hashlib
import json
import sys
import time
from functools import partial
from pathlib import Path

import answers
import ours
import splits
import tables

HERE = Path(__file__).parent


def peer(module, name, pool, split, settings, folder):
    """Fits the peer `name` of `module`, calibrates it on validation and writes its answers to each test set into `folder`."""
    # Each peer's packages take seconds to import.
    ask = getattr(__import__(module), name)(split, settings)
    texts = [row.text for row in split.validation]
    temperatures = answers.fit_temperatures(ask(texts), split.validation, pool)
    for test, rows in split.tests.items():
        answers.write(folder / f"{test}.jsonl", rows, ask([row.text for row in rows]), temperatures, pool)


# How each answers, and what its answers depend on beside the rows.
CONTENDERS = {
    "ours": (ours.ours, [ours.experiment.BINARIES / name for name in ("train", "serve")]),
    "svm": (partial(peer, "lexical", "svm", "sum"), [HERE / "lexical.py", HERE / "answers.py"]),
    "bm25": (partial(peer, "lexical", "bm25", "max"), [HERE / "lexical.py", HERE / "answers.py"]),
    "nearest": (partial(peer, "neighbours", "one_nearest", "max"), [HERE / "neighbours.py", HERE / "answers.py"]),
    "ten-nearest": (partial(peer, "neighbours", "ten_nearest", "sum"), [HERE / "neighbours.py", HERE / "answers.py"]),
    "trainer": (partial(peer, "finetuned", "trainer", "sum"), [HERE / "finetuned.py", HERE / "answers.py"]),
    "setfit": (partial(peer, "finetuned", "setfit", "sum"), [HERE / "finetuned.py", HERE / "answers.py"]),
}


def measure(contender, split):
    """Has `contender` (a name, and its settings after commas) answer and be judged; its folder holds all that comes of it."""
    name, *settings = contender.split(",")
    answer, sources = CONTENDERS[name]
    folder = split.folder / contender
    folder.mkdir(exist_ok=True)
    stamp = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    made_by, started = folder / "made-by", time.monotonic()
    if not made_by.exists() or made_by.read_text() != stamp:
        made_by.unlink(missing_ok=True)
        # Trainers print; standard output is for the tables.
        with contextlib.redirect_stdout(sys.stderr):
            answer(split, dict(setting.split("=", 1) for setting in settings), folder)
        made_by.write_text(stamp)
    for test in split.tests:
        ours.experiment.unspsc("evaluate", "--data", split.folder / f"{test}.csv", "--predictions", folder / f"{test}.jsonl",
                               "--output", folder / test)
    print(f"seed {split.seed}, {contender}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return {test: json.loads((folder / test / "evaluation.json").read_text()) for test in split.tests}


def known(contender):
    if contender.split(",")[0] not in CONTENDERS:
        raise argparse.ArgumentTypeError(f"{contender} is none of {', '.join(CONTENDERS)}")
    return contender


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with onet, unspsc and validation")
    parser.add_argument("--work", required=True, type=Path, help="folder for all that is made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--train-rows", type=int, help="training rows, for a quick try [all]")
    parser.add_argument("--buyer-rows", type=int, help="rows of the buyer's [all]")
    parser.add_argument("--with", dest="contenders", nargs="+", type=known, default=list(CONTENDERS), metavar="NAME[,KEY=VALUE…]",
                        help=f"contenders, with settings of their own: {', '.join(CONTENDERS)} [all]")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw precision over coverage, to be put into the documentation")
    args = parser.parse_args()
    made = [splits.make(args.data, args.work, seed, args.train_rows, args.buyer_rows) for seed in args.seeds]
    reports = {contender: [measure(contender, split) for split in made] for contender in args.contenders}
    print(tables.markdown(made, reports))
    if args.picture:
        import picture

        picture.draw(made, args.contenders, args.picture)


if __name__ == "__main__":
    main()
