"""One contender of scripts/bench-engine: `peer.py onnxruntime|openvino MODEL_DIR THREADS`, on the model in int8.

Reads `TEXTS TOKENS SECONDS` a line and answers with the times of so many batches in milliseconds, as a JSON list, as the
engine's benchmark `encoder` does.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy


def onnxruntime_session(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model / "int8.onnx", options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def openvino_request(model, threads):
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model / "int8.xml", "CPU", settings)
    request = compiled.create_infer_request()
    return lambda inputs: request.infer(inputs, share_inputs=True)


def main():
    contender, model, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    print(f"{contender} {version(contender)} int8", flush=True)
    classify = {"onnxruntime": onnxruntime_session, "openvino": openvino_request}[contender](model, threads)
    for line in sys.stdin:
        texts, tokens, seconds = line.split()
        shape = (int(texts), int(tokens))
        places = numpy.arange(shape[0] * shape[1], dtype=numpy.int64).reshape(shape)
        inputs = {"input_ids": 1000 + places * 7919 % 29000, "attention_mask": numpy.ones(shape, numpy.int64)}
        classify(inputs)
        times, started = [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - started < float(seconds):
            one = time.perf_counter()
            classify(inputs)
            times.append((time.perf_counter() - one) * 1e3)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
