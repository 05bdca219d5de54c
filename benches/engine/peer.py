"""One contender of scripts/bench-engine: `peer.py onnxruntime|openvino MODEL_DIR THREADS STREAMS`, on the model in int8.

Reads `TEXTS TOKENS SECONDS` a line and answers with the times of so many batches in milliseconds, as a JSON list, as the
engine's benchmark `encoder` does. With several streams so many batches run at a time, each on its part of the threads, and
the time of one is that of all over their number.
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


def openvino_requests(model, threads, streams):
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model / "int8.xml", "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(streams)]

    def classify(inputs):
        for request in requests:
            request.start_async(inputs, share_inputs=True)
        for request in requests:
            request.wait()

    return classify


def main():
    contender, model, threads, streams = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(f"{contender} {version(contender)} int8" + f", {streams} streams" * (streams > 1), flush=True)
    classify = onnxruntime_session(model, threads) if contender == "onnxruntime" else openvino_requests(model, threads, streams)
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
            times.append((time.perf_counter() - one) * 1e3 / streams)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
