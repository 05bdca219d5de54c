"""What AWS checks a request for: the actions of IAM, their resources and what conditions are held against.

The requests are those of tests/golden/requests, which the real programs have made: service, operation and parameters, as botocore's
model of the service names them.
"""

import json
from dataclasses import dataclass, field

from stacks import ACCOUNT, REGION, ROOT

REQUESTS = ROOT / "tests/golden/requests"
TAG = "unspsc:managed-by"

# Parameters of SageMaker that name a resource, and its type.
SAGEMAKER = {
    "TrainingJobName": "training-job",
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
    "TransformJobName": "transform-job",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
}
# Operations of S3 whose action has another name: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
S3 = {
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjectsV2": "ListBucket",
    "UploadPart": "PutObject",
    "DeleteObjects": "DeleteObject",
}


@dataclass(frozen=True)
class Call:
    action: str
    resource: str
    context: dict = field(default_factory=dict, compare=False)
    # The golden file, or the page, that it is from.
    origin: str = field(default="", compare=False)

    def key(self):
        return self.action, self.resource, json.dumps(self.context, sort_keys=True)


def arn(service, resource, region=REGION, account=ACCOUNT):
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def recorded(name, settings):
    """The requests of a golden file, with what stands in the settings of the stacks' user."""
    text = (REQUESTS / f"{name}.json").read_text()
    for before, after in settings.items():
        text = text.replace(before, after)
    return json.loads(text)


def calls(request, origin, kinds):
    """The calls of a request; `kinds` tells the types of resources that an action is for."""
    service, operation, given = request["service"], request["operation"], request["request"]
    assert service in CALLS, f"{origin}: which actions do requests of {service} need? Add it to CALLS of {__file__}"
    made = CALLS[service](operation, given, kinds)
    return [Call(action, resource, context, origin) for action, resource, context in made]


def sagemaker(operation, given, kinds):
    action = f"sagemaker:{operation}"
    allowed = kinds(action)
    named = [given["ResourceArn"]] if "ResourceArn" in given else []
    named += [arn("sagemaker", f"{kind}/{given[name]}") for name, kind in SAGEMAKER.items() if name in given and kind in allowed]
    context = request_tags(given.get("Tags", []))
    if not operation.startswith(("Create", "Describe", "List")):
        # `unspsc` changes nothing else.
        context |= {f"aws:ResourceTag/{TAG}": "unspsc"}
    for resource in named or ["*"]:
        yield action, resource, context
    if operation.startswith("Create") and context:
        # What is made with tags is tagged; the first is what is made.
        yield "sagemaker:AddTags", named[0], context | {"sagemaker:TaggingAction": operation}
    for role in sorted(set(roles(given))):
        yield "iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"}


def request_tags(tags):
    context = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    return context | ({"aws:TagKeys": [tag["Key"] for tag in tags]} if tags else {})


def roles(given):
    """Every role in a request."""
    if isinstance(given, dict):
        for name, value in given.items():
            if name in ("RoleArn", "ExecutionRoleArn"):
                yield value
            else:
                yield from roles(value)
    elif isinstance(given, list):
        for value in given:
            yield from roles(value)


def s3(operation, given, _kinds):
    bucket = f"arn:aws:s3:::{given['Bucket']}"
    yield f"s3:{S3.get(operation, operation)}", f"{bucket}/{given['Key']}" if "Key" in given else bucket, {}


def logs(operation, given, _kinds):
    resource = f"log-group:{given['logGroupName']}"
    if "logStreamName" in given:
        resource += f":log-stream:{given['logStreamName']}"
    yield f"logs:{operation}", arn("logs", resource), {}


def ecr(operation, given, _kinds):
    names = given.get("repositoryNames") or ([given["repositoryName"]] if "repositoryName" in given else [])
    for resource in [arn("ecr", f"repository/{name}") for name in names] or ["*"]:
        yield f"ecr:{operation}", resource, {}


def autoscaling(operation, given, kinds):
    action = f"application-autoscaling:{operation}"
    # AWS names a target by digits of its own.
    resource = arn("application-autoscaling", "scalable-target/0123456789abcdef") if kinds(action) else "*"
    yield action, resource, {"application-autoscaling:service-namespace": given["ServiceNamespace"]} if kinds(action) else {}


def function(operation, given, _kinds):
    name, _, qualifier = given["FunctionName"].split(":function:")[-1].partition(":")
    qualifier = given.get("Qualifier", qualifier)
    action = "InvokeFunction" if operation == "Invoke" else operation
    yield f"lambda:{action}", arn("lambda", f"function:{name}{f':{qualifier}' if qualifier else ''}"), {}
    if operation == "UpdateFunctionCode" and "S3Key" in given:
        # https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html: the caller has to be able to read it.
        yield "s3:GetObject", f"arn:aws:s3:::{given['S3Bucket']}/{given['S3Key']}", {}


def cloudformation(operation, given, _kinds):
    name = given.get("StackName") or given["ChangeSetName"]
    stack = name if name.startswith("arn:") else arn("cloudformation", f"stack/{name}/UUID")
    yield f"cloudformation:{operation}", stack, {}


# Members of requests that name a place in S3, and what SageMaker does there with the execution role
# (https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html, model-checkpoints.html for the deletion).
PLACES = {
    "CheckpointConfig": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "InputDataConfig": ["s3:GetObject"],
    "TransformInput": ["s3:GetObject"],
    "InputLocation": ["s3:GetObject"],
    "ModelDataUrl": ["s3:GetObject"],
    "OutputDataConfig": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "OutputConfig": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "TransformOutput": ["s3:PutObject", "s3:AbortMultipartUpload"],
}
IMAGE = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def of_role(request, origin):
    """The calls that a request has SageMaker make with the execution role."""
    for member, text in texts(request["request"]):
        if text.startswith("s3://"):
            bucket, _, key = text.removeprefix("s3://").partition("/")
            place = f"arn:aws:s3:::{bucket}/{key}"
            # An archive, or what lies there.
            objects = place if key.rsplit("/", 1)[-1].count(".") else f"{place.rstrip('/')}/file"
            for action in PLACES[member]:
                yield Call(action, objects, {}, origin)
            yield Call("s3:ListBucket", f"arn:aws:s3:::{bucket}", {}, origin)
        elif member in ("Image", "TrainingImage"):
            name = text.partition("/")[2].partition(":")[0].partition("@")[0]
            for action in IMAGE:
                yield Call(action, arn("ecr", f"repository/{name}"), {}, origin)


def texts(value, member=""):
    """Every text of a request, with the outermost member of `PLACES` that it is in, or else the innermost."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(inner, member if member in PLACES else name)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, member)
    elif isinstance(value, str):
        yield member, value


CALLS = {
    "application-autoscaling": autoscaling,
    "cloudformation": cloudformation,
    "ecr": ecr,
    "lambda": function,
    "logs": logs,
    "s3": s3,
    "sagemaker": sagemaker,
    "sagemaker-runtime": sagemaker,
}
