"""Peers that train the same encoder: transformers' Trainer and SetFit."""

import random
import sys
import tempfile
from collections import defaultdict

import numpy
import torch
from answers import Scored, above
from neighbours import ENCODER, MAX_LENGTH, mean
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

LEVELS = ("segment", "family")
# What cross-entropy leaves out: a row whose code ends above the level.
NO_LABEL = -100


class TwoHeads(torch.nn.Module):
    """The encoder with a linear layer for each level on the mean of its tokens; the loss is the sum of both cross-entropies."""

    def __init__(self, labels):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(ENCODER)
        hidden = self.encoder.config.hidden_size
        self.heads = torch.nn.ModuleList(torch.nn.Linear(hidden, len(names)) for names in labels)
        self.dropout = torch.nn.Dropout(self.encoder.config.hidden_dropout_prob)

    def forward(self, input_ids, attention_mask, labels=None):
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = self.dropout(mean(hidden, attention_mask))
        logits = tuple(head(pooled) for head in self.heads)
        if labels is None:
            return {"logits": logits}
        losses = [torch.nn.functional.cross_entropy(found, true, ignore_index=NO_LABEL) for found, true in zip(logits, labels.T)]
        return {"loss": sum(losses), "logits": logits}


def trainer(split, settings):
    """transformers' Trainer with a head for segments and one for families: 3 epochs at 2e-4, batches of 32 padded to their longest.
    `settings` are TrainingArguments'."""
    codes = numpy.array([int(row.code) for row in split.train])
    levels = [above(codes, level) for level in LEVELS]
    names = [numpy.unique(labels[reach]) for labels, reach in levels]
    targets = [numpy.where(reach, numpy.searchsorted(known, labels), NO_LABEL) for known, (labels, reach) in zip(names, levels)]
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    tokens = tokenizer([row.text for row in split.train], truncation=True, max_length=MAX_LENGTH, return_token_type_ids=False)
    data = [{"input_ids": ids, "attention_mask": mask, "labels": [int(label) for label in labels]}
            for ids, mask, labels in zip(tokens["input_ids"], tokens["attention_mask"], zip(*targets))]
    values = {"num_train_epochs": 3.0, "learning_rate": 2e-4} | {name: float(value) for name, value in settings.items()}
    torch.manual_seed(split.seed)
    model = TwoHeads(names)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, per_device_train_batch_size=32, seed=split.seed, report_to=[], save_strategy="no",
                                      train_sampling_strategy="group_by_length", logging_strategy="no", disable_tqdm=True,
                                      use_cpu=True, **values)
        Trainer(model, arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer)).train()
    model.eval()

    def ask(texts):
        found = [[], []]
        for start in range(0, len(texts), 128):
            batch = tokenizer(texts[start:start + 128], padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt",
                              return_token_type_ids=False)
            with torch.inference_mode():
                for logits, new in zip(found, model(**batch)["logits"]):
                    logits.append(new.numpy())
        return dense(names, map(numpy.concatenate, found))

    return ask


def dense(names, scores):
    """Scores of all labels of both levels."""
    return {level: Scored(numpy.broadcast_to(known, found.shape), found) for level, known, found in zip(LEVELS, names, scores)}


def setfit(split, settings):
    """SetFit for each level: the encoder trained on pairs of texts, same label or not, by SetFit's cosine-similarity loss at its default
    rate; then its logistic regression, on all training texts. `texts`: how many a label the pairs are of; `pairs`: how many, about."""
    codes = numpy.array([int(row.code) for row in split.train])
    asks = []
    for level in LEVELS:
        labels, reach = above(codes, level)
        rows = [(row.text, int(label)) for row, label, kept in zip(split.train, labels, reach) if kept]
        asks.append(setfit_of(rows, split.seed, int(settings.get("texts", 8)), int(settings.get("pairs", 20_000))))
    return lambda texts: dense(*zip(*(ask(texts) for ask in asks)))


def setfit_of(rows, seed, texts, pairs):
    """SetFit of the texts and labels `rows`; returns what gives the labels and the logarithms of their probabilities."""
    # SetFit takes seconds to import, and only this peer needs it.
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel, Trainer as SetFitTrainer, TrainingArguments as SetFitArguments

    by_label = defaultdict(list)
    for text, label in random.Random(seed).sample(rows, len(rows)):
        by_label[label].append(text)
    few = [(text, label) for label, found in sorted(by_label.items()) for text in found[:texts]]
    # SetFit draws so many pairs of one label and so many of two for each text.
    iterations = max(1, pairs // (2 * len(few)))
    torch.manual_seed(seed)
    body = SentenceTransformer(str(ENCODER), device="cpu")
    body.max_seq_length = MAX_LENGTH
    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=300), normalize_embeddings=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SetFitArguments(output_dir=folder, batch_size=16, num_epochs=1, num_iterations=iterations, seed=seed,
                                    report_to="none", save_strategy="no", show_progress_bar=False)
        data = Dataset.from_dict({"text": [text for text, _ in few], "label": [label for _, label in few]})
        SetFitTrainer(model=model, args=arguments, train_dataset=data).train()
    print(f"setfit: {len(few):,} texts of {len(by_label)} labels, {2 * iterations * len(few):,} pairs", file=sys.stderr, flush=True)
    head = LogisticRegression(max_iter=300).fit(model.encode([text for text, _ in rows]), [label for _, label in rows])
    return lambda asked: (head.classes_, head.predict_log_proba(model.encode(asked)))
