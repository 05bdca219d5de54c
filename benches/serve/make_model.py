"""Makes the model that all servers of scripts/bench-serve load: DistilBERT-base with random weights and 57 labels."""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

SEED = 17
# UNSPSC has 57 segments; which names the labels have makes no difference.
LABELS = [f"{10 + index}000000" for index in range(57)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, type=Path, help="folder with the tokenizer.json of BERT, uncased")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    torch.manual_seed(SEED)
    ids = {label: index for index, label in enumerate(LABELS)}
    config = DistilBertConfig(num_labels=len(LABELS), id2label=dict(enumerate(LABELS)), label2id=ids)
    DistilBertForSequenceClassification(config).save_pretrained(args.output)
    words = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    # A sentence encoder's file asks for padding, which each server decides for itself.
    words.no_padding()
    words.no_truncation()
    most = config.max_position_embeddings
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", model_max_length=most)
    tokenizer.save_pretrained(args.output)


if __name__ == "__main__":
    main()
