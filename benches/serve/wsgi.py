"""handler.py behind `/ping` and `/invocations`, under gunicorn as in SageMaker's guide to one's own container.

The guide's nginx and flask are left out: the load comes from this machine, and two routes need no framework. Sync workers
take a request when they are idle, so that none waits for one worker beside another that has nothing to do.
"""

import os

import handler
import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
MODEL = handler.model_fn(os.environ["MODEL_DIR"])


def application(environ, start_response):
    status, body = "404 Not Found", b""
    if environ["PATH_INFO"] == "/ping":
        status = "200 OK"
    elif environ["PATH_INFO"] == "/invocations":
        text = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        description = handler.input_fn(text, environ["CONTENT_TYPE"])
        status, body = "200 OK", handler.output_fn(handler.predict_fn(description, MODEL), "application/json").encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
