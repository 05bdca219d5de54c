"""Makes a model with random weights for scripts/bench-engine: as transformers saves it, as ONNX in int8, as OpenVINO in int8.

The size is DistilBERT-base's or MiniLM-L6's, the head has 57 labels and pooling is by the first token.
"""

import argparse
from pathlib import Path

import nncf
import numpy
import onnx
import openvino
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification

LABELS = 57
# Batches that OpenVINO's quantisation looks at for the range of activations.
CALIBRATION = 32


def network(size):
    torch.manual_seed(17)
    if size == "distilbert":
        return DistilBertForSequenceClassification(DistilBertConfig(num_labels=LABELS)).eval()
    minilm = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=LABELS)
    return BertForSequenceClassification(minilm).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", required=True, choices=["distilbert", "minilm"])
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    model = network(args.size)
    model.save_pretrained(args.output)

    ids = torch.randint(1000, 30000, [2, 16])
    batch, tokens = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("tokens", min=2, max=512)
    path = args.output / "float32.onnx"
    torch.onnx.export(
        model, (ids, torch.ones_like(ids)), path, input_names=["input_ids", "attention_mask"], output_names=["logits"],
        dynamic_shapes=({0: batch, 1: tokens}, {0: batch, 1: tokens}), dynamo=True, external_data=False)
    # The exporter's own notes on shapes contradict those that the quantiser infers.
    exported = onnx.load(path)
    exported.graph.ClearField("value_info")
    onnx.save(exported, path)
    quantize_dynamic(path, args.output / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8)

    random = numpy.random.default_rng(17)
    shapes = [(8, int(tokens)) for tokens in random.integers(4, 128, CALIBRATION)]
    inputs = [{"input_ids": random.integers(1000, 30000, shape), "attention_mask": numpy.ones(shape, numpy.int64)} for shape in shapes]
    int8 = nncf.quantize(
        openvino.Core().read_model(path), nncf.Dataset(inputs), model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATION)
    openvino.save_model(int8, args.output / "int8.xml")


if __name__ == "__main__":
    main()
