"""One epoch as the reference project trains: transformers' Trainer, every text padded to 128 tokens, batches of 32.

Prints the seconds from the start of the process to the first step and to the end of the epoch, as JSON.
"""

import time

START = time.perf_counter()

import csv  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    logging,
)

logging.set_verbosity_error()
torch.set_num_threads(int(os.environ["UNSPSC_THREADS"]))
encoder = os.environ["UNSPSC_ENCODER"]
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    rows = [(row["description"], row["code"][:2]) for row in csv.DictReader(file)]
labels = {label: index for index, label in enumerate(sorted({label for _, label in rows}))}
tokens = AutoTokenizer.from_pretrained(encoder)(
    [text for text, _ in rows], padding="max_length", truncation=True, max_length=128)
data = [{"input_ids": ids, "attention_mask": mask, "labels": labels[label]}
        for ids, mask, (_, label) in zip(tokens["input_ids"], tokens["attention_mask"], rows)]
model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=len(labels))


class FirstStep(TrainerCallback):
    """Notes when the first step is done."""

    seconds = None

    def on_step_end(self, *_, **__):
        self.seconds = self.seconds or time.perf_counter() - START


first = FirstStep()
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(folder, num_train_epochs=1, per_device_train_batch_size=32, learning_rate=5e-5,
                                  report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True)
    Trainer(model, arguments, train_dataset=data, callbacks=[first]).train()
print(json.dumps({"first_step": first.seconds, "epoch": time.perf_counter() - START}))
