"""Trains the classifiers and their peers on identical splits, and prints how each does on three kinds of unseen text.

Columns: O*NET's tools that were held out; titles of the code list whose whole UNSPSC class was held out; the lines of an
industrial buyer (validation/industrial-mro.csv), of a domain that no model has seen. Build first: cargo build --release

    .deps/bench-training/bin/python benches/training/accuracy.py --data ../shared/data --seeds 17 18 19
"""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import experiment  # noqa: E402

# What the rows come from: the code list as a whole and O*NET's part of it, O*NET's tools, the buyer.
LISTS, TOOLS, BUYER = ("data-unspsc-codes.csv.gz", "UNSPSC Reference.txt"), "Tools Used.txt", "industrial-mro.csv"
# One UNSPSC class in so many is held out.
HELD_OUT_EVERY = 10


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["description", "code", "label", "origin"])
        writer.writerows([row["description"], row["code"], row["label"], row["origin"]] for row in rows)


def splits(args, seed, folder):
    """Training rows, rows to choose the epoch by, and the three test sets by name."""
    experiment.unspsc("data", "prepare", "--data", args.data, "--output", folder / "all", "--seed", seed,
                      "--level", args.level)
    sides = {name: read(folder / "all" / f"{name}.csv") for name in ("train", "validation", "test")}
    classes = sorted({row["code"][:6] for row in sides["train"] if row["origin"] in LISTS})
    held_out = set(random.Random(seed).sample(classes, len(classes) // HELD_OUT_EVERY))
    is_held_out = lambda row: row["origin"] in LISTS and row["code"][:6] in held_out  # noqa: E731
    draw = random.Random(seed)
    train = [row for row in sides["train"] if not is_held_out(row)]
    draw.shuffle(train)
    kept, count = [], {}
    for row in train:
        count[row["label"]] = count.get(row["label"], 0) + 1
        if count[row["label"]] <= args.max_per_class:
            kept.append(row)
    sample = lambda rows: draw.sample(rows, min(len(rows), args.test_rows))  # noqa: E731
    validation = draw.sample([row for row in sides["validation"] if not is_held_out(row)], 1000)
    tests = {
        "tools": sample([row for row in sides["test"] if row["origin"] == TOOLS]),
        "titles": sample([row for side in sides.values() for row in side if is_held_out(row)]),
    }
    digits = {"segment": 2, "family": 4}[args.level]
    buyer = [dict(description=row["description"], code=row["unspsc"], origin=BUYER,
                  label=row["unspsc"][:digits].ljust(8, "0")) for row in read(args.data / "validation" / BUYER)]
    tests["buyer"] = sample([row for row in buyer if row["label"][digits - 2:digits] != "00"])
    for name, rows in tests.items():
        for row in rows:
            row["origin"] = name
    return kept, validation, tests


def balanced(truth, predicted):
    classes = {}
    for true, found in zip(truth, predicted):
        hits, rows = classes.get(true, (0, 0))
        classes[true] = (hits + (true == found), rows + 1)
    return statistics.mean(hits / rows for hits, rows in classes.values())


def scores(predict, tests):
    """Accuracy and balanced accuracy by test set."""
    found = {}
    for name, rows in tests.items():
        truth, predicted = [row["label"] for row in rows], predict([row["description"] for row in rows])
        found[name] = (statistics.mean(map(str.__eq__, truth, predicted)), balanced(truth, predicted))
    return found


def svm(settings, train, _, tests, seed, args):
    """TF-IDF of words 1-2 and characters 2-5, linear SVM with balanced class weights."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    model = make_pipeline(
        make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
                   TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)),
        LinearSVC(class_weight="balanced", random_state=seed))
    model.fit([row["description"] for row in train], [row["label"] for row in train])
    return scores(lambda texts: list(model.predict(texts)), tests)


def trainer(settings, train, _, tests, seed, args):
    """transformers' Trainer with the same encoder; `settings` are its own, defaults where they are silent."""
    import torch
    from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                              TrainingArguments, logging)

    logging.set_verbosity_error()
    encoder = os.environ.get("UNSPSC_ENCODER", str(experiment.ROOT / ".deps/encoder/all-MiniLM-L6-v2"))
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    labels = sorted({row["label"] for row in train})
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=len(labels))
    data = [dict(tokenizer(row["description"].lower(), truncation=True, max_length=64), labels=labels.index(row["label"]))
            for row in train]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, per_device_train_batch_size=32, seed=seed, report_to=[], save_strategy="no",
                                      train_sampling_strategy="group_by_length", logging_strategy="no", disable_tqdm=True,
                                      use_cpu=True, **{name: float(value) for name, value in settings.items()})
        Trainer(model, arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer)).train()
    model.eval()

    def predict(texts):
        found = []
        for start in range(0, len(texts), 64):
            batch = tokenizer([text.lower() for text in texts[start:start + 64]], padding=True, truncation=True, max_length=64,
                              return_tensors="pt")
            with torch.inference_mode():
                found += [labels[index] for index in model(**batch).logits.argmax(-1)]
        return found

    return scores(predict, tests)


def ours(settings, train, validation, tests, seed, args):
    """The real `train` with `settings`."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        data = base / "input/data"
        write(data / "train/train.csv", train)
        write(data / "validation/validation.csv", validation)
        for name, rows in tests.items():
            write(data / "test" / f"{name}.csv", rows)
        (base / "input/config").mkdir()
        values = {"epochs": args.epochs, "seed": seed, "level": args.level} | settings
        (base / "input/config/hyperparameters.json").write_text(
            json.dumps({name: str(value) for name, value in values.items()}))
        environment = os.environ | {"SAGEMAKER_BASE_DIR": folder}
        environment.setdefault("UNSPSC_ENCODER", str(experiment.ROOT / ".deps/encoder/all-MiniLM-L6-v2"))
        done = subprocess.run([experiment.BINARIES / "train", "train"], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        found = json.loads((base / "output/data/metrics.json").read_text())["test"]["sources"]
        return {source["source"]: (source["accuracy"], source["balanced_accuracy"]) for source in found}


def rnn(settings, *others):
    """The recurrent baseline of the real `train`."""
    return ours({"model": "rnn", "epochs": 60} | settings, *others)


CONTENDERS = {"svm": svm, "trainer": trainer, "rnn": rnn, "ours": ours}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with onet, unspsc and validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17])
    parser.add_argument("--level", default="segment", choices=["segment", "family"])
    parser.add_argument("--max-per-class", type=int, default=300, help="training rows of a label")
    parser.add_argument("--test-rows", type=int, default=3000, help="rows of each test set, at most")
    parser.add_argument("--epochs", type=float, default=1, help="of ours")
    parser.add_argument("--with", dest="contenders", nargs="+", default=["svm", "trainer", "rnn", "ours"],
                        help="svm, trainer, rnn, ours; with settings of their own: `ours,NAME=VALUE,…`")
    args = parser.parse_args()
    print("| model | seed | rows | " + " | ".join(["tools", "titles", "buyer"]) + " | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    results = {name: [] for name in args.contenders}
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            train, validation, tests = splits(args, seed, Path(folder))
        for name in args.contenders:
            settings = dict(pair.split("=") for pair in name.split(",")[1:])
            started = time.monotonic()
            found = CONTENDERS[name.split(",")[0]](settings, train, validation, tests, seed, args)
            results[name].append([found[test] for test in ("tools", "titles", "buyer")])
            report(name, seed, f"{len(train):,}", results[name][-1], time.monotonic() - started)
    for name, runs in results.items() if len(args.seeds) > 1 else ():
        means = [[statistics.mean(values) for values in zip(*cells)] for cells in zip(*runs)]
        report(name, "mean", "", means)


def report(name, seed, rows, cells, seconds=None):
    """One line of the table."""
    cells = " | ".join(f"{accuracy:.3f} / {balanced_accuracy:.3f}" for accuracy, balanced_accuracy in cells)
    print(f"| {name} | {seed} | {rows} | {cells} | {'' if seconds is None else round(seconds)} |", flush=True)


if __name__ == "__main__":
    main()
