"""The reference's inference script in the form of SageMaker's Hugging Face container: each text padded to 128 tokens.

With `PAD=text` in the environment there is no padding.
"""

import json
import os

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

MAX_LENGTH = 128
PADDING = False if os.environ.get("PAD") == "text" else "max_length"


def model_fn(model_dir):
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    return AutoModelForSequenceClassification.from_pretrained(model_dir).eval(), tokenizer


def input_fn(body, content_type):
    if content_type != "application/json":
        raise ValueError(f"unsupported content type {content_type}")
    return json.loads(body)["description"]


def predict_fn(description, model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    inputs = tokenizer(description, padding=PADDING, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits[0]


def output_fn(logits, accept):
    return json.dumps({"logits": logits.tolist(), "pred_class": int(logits.argmax())})
