"""Trains transformers' BERT in PyTorch eager on the batches that `train` makes, and prints the rows a second of the last epoch; beside them the
dense arithmetic of a row, and how fast this machine multiplies large matrices.

Of no more rows than one of `train`'s windows, its batches are those of the rows sorted by length, whatever the seed: the same
texts but for those of equal length, in another order.
"""

import csv
import json
import os
import random
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

# Of `train`: rows a batch, batches a window, tokens of a text.
BATCH, WINDOW, MAX_LENGTH = 32, 32, 64

logging.set_verbosity_error()
torch.set_num_threads(int(os.environ["UNSPSC_THREADS"]))
torch.manual_seed(17)
encoder = os.environ["UNSPSC_ENCODER"]
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    rows = [(row["description"], row["label"]) for row in csv.DictReader(file)]
assert len(rows) <= BATCH * WINDOW, "more than one window"
labels = sorted({label for _, label in rows})
ids = AutoTokenizer.from_pretrained(encoder)([text for text, _ in rows], truncation=True, max_length=MAX_LENGTH)["input_ids"]
order = sorted(range(len(rows)), key=lambda row: -len(ids[row]))
batches = [order[start:start + BATCH] for start in range(0, len(order), BATCH)]
model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=len(labels))
model.train()
decay = [parameter for parameter in model.parameters() if parameter.dim() > 1]
others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
# The fastest AdamW that PyTorch has on a CPU.
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
                              lr=5e-5, eps=1e-8, fused=True)
for _ in range(int(sys.argv[2])):
    random.Random(17).shuffle(batches)
    started = time.perf_counter()
    for batch in batches:
        longest = max(len(ids[row]) for row in batch)
        tokens = torch.tensor([ids[row] + [0] * (longest - len(ids[row])) for row in batch])
        mask = torch.tensor([[1] * len(ids[row]) + [0] * (longest - len(ids[row])) for row in batch])
        targets = torch.tensor([labels.index(rows[row][1]) for row in batch])
        loss = model(input_ids=tokens, attention_mask=mask, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
    seconds = time.perf_counter() - started


def flop(length):
    """Of the matrix products of a text of this many tokens, forward; a step has them three times."""
    config = model.config
    hidden, inner = config.hidden_size, config.intermediate_size
    dense = 2 * length * (4 * hidden * hidden + 2 * hidden * inner)
    return config.num_hidden_layers * (dense + 4 * length * length * hidden)


def multiply():
    """Seconds of a product of float32 matrices, 2048 each way."""
    started = time.perf_counter()
    torch.mm(one, other)
    return time.perf_counter() - started


one, other = torch.randn(2048, 2048), torch.randn(2048, 2048)
row_flop = 3 * sum(len(batch) * flop(max(len(ids[row]) for row in batch)) for batch in batches) / len(rows)
ceiling = 2 * 2048**3 / min(multiply() for _ in range(20))
print(json.dumps({"rows_a_second": len(rows) / seconds, "row_flop": row_flop, "ceiling": ceiling}))
