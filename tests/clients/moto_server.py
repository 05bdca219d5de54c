"""A moto server on a free port of this machine; tests/unspsc_requests.rs starts it. Prints its address, and ends with its input.

With operations as arguments (SERVICE:OPERATION) it only prints those that moto does not have; S3 it has, by other names.
"""

import sys

from botocore import xform_name
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.logs.responses import LogsResponse
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.server import ThreadedMotoServer

RESPONSES = {
    "application-autoscaling": ApplicationAutoScalingResponse,
    "logs": LogsResponse,
    "sagemaker": SageMakerResponse,
    "sagemaker-runtime": SageMakerRuntimeResponse,
}


def lacks(name):
    service, operation = name.split(":")
    return service in RESPONSES and not hasattr(RESPONSES[service], xform_name(operation))


if sys.argv[1:]:
    print(*sorted(filter(lacks, sys.argv[1:])), sep="\n")
else:
    import moto_stacks

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    moto_stacks.ENDPOINT["endpoint_url"] = f"http://{host}:{port}"
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.stop()
