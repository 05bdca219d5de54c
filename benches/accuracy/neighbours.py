"""The untrained encoder as a peer: the nearest of the titles and the training texts."""

import hashlib
import os
from functools import partial
from pathlib import Path

import numpy
import torch
from answers import Scored
from splits import LEVELS
from transformers import AutoModel, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
ENCODER = Path(os.environ.get("UNSPSC_ENCODER", ROOT / ".deps/encoder/all-MiniLM-L6-v2"))
MAX_LENGTH, BATCH = 64, 128
# Texts that are embedded before their vectors are written: what an end in the middle costs.
PART = 20_000


def mean(hidden, mask):
    """`[batch, seq, hidden]` to `[batch, hidden]`: the mean over the tokens."""
    mask = mask[..., None].to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


class Embedder:
    """Texts to unit vectors of the published encoder; what was embedded before is read from a folder of `work`."""

    def __init__(self, work):
        digest = hashlib.sha256((ENCODER / "model.safetensors").read_bytes()).hexdigest()[:8]
        self.folder = work / f"embeddings-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = [numpy.load(file) for file in sorted(self.folder.glob("*.npz"))]
        texts = [text for part in parts for text in part["texts"].tolist()]
        self.places = {text: place for place, text in enumerate(texts)}
        self.vectors = numpy.concatenate([part["vectors"] for part in parts]) if parts else None

    def __call__(self, texts):
        """`[texts, hidden]` float32."""
        missing = sorted({text for text in texts if text not in self.places}, key=len)
        if missing:
            tokenizer, model = AutoTokenizer.from_pretrained(ENCODER), AutoModel.from_pretrained(ENCODER).eval()
        for start in range(0, len(missing), PART):
            self.add(missing[start:start + PART], tokenizer, model)
        return self.vectors[[self.places[text] for text in texts]].astype(numpy.float32)

    def add(self, texts, tokenizer, model):
        """Embeds `texts` and keeps the vectors in half precision, in a file of their own that appears at once or not at all."""
        vectors = []
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(texts[start:start + BATCH], padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
            with torch.inference_mode():
                pooled = mean(model(**batch).last_hidden_state, batch["attention_mask"])
            vectors.append(torch.nn.functional.normalize(pooled, dim=-1).numpy().astype(numpy.float16))
        known = [] if self.vectors is None else [self.vectors]
        self.places |= {text: len(self.places) + place for place, text in enumerate(texts)}
        self.vectors = numpy.concatenate([*known, *vectors])
        unfinished = self.folder / "unfinished"
        with open(unfinished, "wb") as file:
            numpy.savez(file, texts=numpy.array(texts), vectors=numpy.concatenate(vectors))
        unfinished.rename(self.folder / f"{len(self.places):08}.npz")


def nearest(vectors, among, count):
    """Places of the `count` rows of `among` nearest to each of `vectors`, nearest first, and their cosines: both `[texts, count]`."""
    places, cosines = [], []
    for start in range(0, len(vectors), 256):
        products = vectors[start:start + 256] @ among.T
        found = numpy.argpartition(-products, count - 1, axis=1)[:, :count]
        values = numpy.take_along_axis(products, found, 1)
        order = numpy.argsort(-values, axis=1)
        places.append(numpy.take_along_axis(found, order, 1))
        cosines.append(numpy.take_along_axis(values, order, 1))
    return numpy.concatenate(places), numpy.concatenate(cosines)


def neighbours(count, split, settings):
    """The `count` nearest by cosine of all titles and training texts."""
    embed = Embedder(split.folder.parent)
    entries = sorted({*split.titles, *split.train})
    codes = numpy.array([int(row.code) for row in entries])
    among = embed([row.text for row in entries])

    def ask(texts):
        places, cosines = nearest(embed(texts), among, count)
        return dict.fromkeys(LEVELS, Scored(codes[places], cosines))

    return ask


# More than one, so that a code's probability and the next best codes can be told.
one_nearest = partial(neighbours, 64)
ten_nearest = partial(neighbours, 10)
