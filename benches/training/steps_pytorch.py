"""Trains transformers' BERT on the batches of a file, in PyTorch eager, and prints the seconds of each step as JSON."""

import json
import os
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification, logging

logging.set_verbosity_error()
torch.set_num_threads(int(os.environ["UNSPSC_THREADS"]))
torch.manual_seed(17)
file = json.load(open(sys.argv[1], encoding="utf-8"))
model = AutoModelForSequenceClassification.from_pretrained(os.environ["UNSPSC_ENCODER"], num_labels=file["classes"])
model.train()
decay = [parameter for parameter in model.parameters() if parameter.dim() > 1]
others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
# The fastest AdamW that PyTorch has on a CPU.
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
                              lr=1e-5, eps=1e-8, fused=True)
seconds = []
for batch in file["batches"]:
    started = time.perf_counter()
    longest = max(map(len, batch["ids"]))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in batch["ids"]])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch["ids"]])
    loss = model(input_ids=ids, attention_mask=mask, labels=torch.tensor(batch["classes"])).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    loss.item()
    seconds.append(time.perf_counter() - started)
print(json.dumps({"seconds": seconds}))
