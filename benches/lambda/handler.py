"""The reference's handler: a client of boto3, one InvokeEndpoint an event, the container's JSON in the `statusCode` form."""

import json
import os

import boto3

ENDPOINT = os.environ["UNSPSC_ENDPOINT"]
runtime = boto3.client("sagemaker-runtime")


def lambda_handler(event, context):
    response = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="application/json", Body=json.dumps(event))
    return {"statusCode": 200, "body": json.loads(response["Body"].read().decode())}
