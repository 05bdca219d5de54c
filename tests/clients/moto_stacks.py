"""What moto's CloudFormation lacks for infrastructure/*.yaml, by moto's own services: importing it adds it to every stack of this process.

The types of `TYPES` are made and deleted by the operations of their services, and what others of moto's leave out of `AFTER` is set by
them; a version of a Lambda has its number; a managed policy goes with its stack; a stack that a change set has made has outputs.
"""

import json

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaVersion
from moto.cloudformation.models import ChangeSet
from moto.core.common_models import CloudFormationModel
from moto.ecr.models import Repository
from moto.iam.access_control import PermissionResult
from moto.iam.models import ManagedPolicy
from moto.s3.models import FakeBucket

# By type: service; operation that makes one; operation that deletes it, with the parameters that name it; the property that !Ref gives
# or, after "=", the member of the answer. The other properties are called as the parameters are.
TYPES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "application-autoscaling",
        "RegisterScalableTarget",
        "DeregisterScalableTarget",
        ["ServiceNamespace", "ResourceId", "ScalableDimension"],
        "ResourceId",
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        "application-autoscaling",
        "PutScalingPolicy",
        "DeleteScalingPolicy",
        ["PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension"],
        "=PolicyARN",
    ),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm", "DeleteAlarms", ["AlarmNames"], "AlarmName"),
    "AWS::Lambda::Alias": ("lambda", "CreateAlias", "DeleteAlias", ["FunctionName", "Name"], "=AliasArn"),
    "AWS::S3::BucketPolicy": ("s3", "PutBucketPolicy", "DeleteBucketPolicy", ["Bucket"], "Bucket"),
}
# How one is changed where what makes it refuses one that is there.
UPDATES = {"AWS::Lambda::Alias": "UpdateAlias"}
# Properties that no service of moto has.
LACKING = {"AWS::Lambda::Alias": ["ProvisionedConcurrencyConfig"]}

# What moto's own types leave out: service, operation, and its parameters from the properties.
AFTER = {
    Repository: [
        (
            "ecr",
            "PutImageScanningConfiguration",
            lambda its: {
                "repositoryName": its["RepositoryName"],
                "imageScanningConfiguration": {"scanOnPush": its["ImageScanningConfiguration"]["ScanOnPush"]},
            },
        ),
    ],
    FakeBucket: [
        ("s3", "PutBucketVersioning", lambda its: of_bucket(its, "VersioningConfiguration")),
        ("s3", "PutPublicAccessBlock", lambda its: of_bucket(its, "PublicAccessBlockConfiguration")),
    ],
}

# Where the services answer; whoever starts the server sets it.
ENDPOINT = {"endpoint_url": None}


def of_bucket(its, member):
    return {"Bucket": its["BucketName"], member: its[member]}


def client(service, region):
    return boto3.client(service, region_name=region, aws_access_key_id="-", aws_secret_access_key="-", **ENDPOINT)


def typed(value, shape):
    """The value in the type of the shape: CloudFormation has numbers as text too."""
    if shape.type_name == "structure":
        return {name: typed(inner, shape.members[name]) for name, inner in value.items()}
    if shape.type_name == "list":
        return [typed(inner, shape.member) for inner in value]
    kinds = {"integer": int, "long": int, "double": float, "string": str, "boolean": lambda one: str(one).lower() == "true"}
    return kinds.get(shape.type_name, lambda one: one)(value)


class Resource:
    """A resource of one of the types, which is nothing but its properties."""

    type_name = "none"

    def __init__(self, properties, region, updates=None):
        self.service, create, self.deletion, self.names, ref = TYPES[self.type_name]
        create = (updates or {}).get(self.type_name, create)
        self.client = client(self.service, region)
        shape = self.client.meta.service_model.operation_model(create).input_shape
        self.parameters = {"AlarmNames": [properties.get("AlarmName")]}
        properties = {name: value for name, value in properties.items() if name not in LACKING.get(self.type_name, [])}
        if "PolicyDocument" in properties:
            properties["Policy"] = json.dumps(properties.pop("PolicyDocument"))
        properties = typed(properties, shape)
        self.parameters |= properties
        answer = getattr(self.client, xform_name(create))(**properties)
        self.id = answer[ref[1:]] if ref.startswith("=") else properties[ref]

    @property
    def physical_resource_id(self):
        return self.id

    def delete(self, _account, _region):
        try:
            getattr(self.client, xform_name(self.deletion))(**{name: self.parameters[name] for name in self.names})
        except ClientError as error:
            # What it belonged to went before it.
            if not any(word in str(error) for word in ("NotFound", "NoSuch", "No scal")):
                raise

    @classmethod
    def create_from_cloudformation_json(cls, _name, resource, _account, region, **_rest):
        return cls(resource["Properties"], region)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, cloudformation_json, account_id, region_name, **_rest):
        changed = cls(cloudformation_json["Properties"], region_name, UPDATES)
        if changed.id != original_resource.id:
            original_resource.delete(account_id, region_name)
        return changed


def added(name):
    """The class for a type."""
    members = {
        # moto looks for the service there.
        "__module__": "moto.cloudformation.added",
        "type_name": name,
        "cloudformation_type": staticmethod(lambda: name),
        "cloudformation_name_type": staticmethod(lambda: None),
    }
    return type(CloudFormationModel)(name.replace("::", ""), (Resource, CloudFormationModel), members)


# Held here, since moto asks for the classes that there are.
CLASSES = [added(name) for name in TYPES]

# The bucket's policy refuses what comes without TLS, and everything does here.
FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL


def completed(kind, steps):
    """Has the type of moto's own followed by these steps where the properties are there."""
    create = kind.create_from_cloudformation_json.__func__

    def created(cls, name, resource, account, region, **rest):
        made = create(cls, name, resource, account, region, **rest)
        for service, operation, parameters in steps:
            try:
                asked = parameters(resource["Properties"])
            except KeyError:
                continue
            getattr(client(service, region), xform_name(operation))(**asked)
        return made

    kind.create_from_cloudformation_json = classmethod(created)


for kind, steps in AFTER.items():
    completed(kind, steps)

ManagedPolicy.delete = lambda self, _account, _region: self.backend.delete_policy(self.arn)
LambdaVersion.physical_resource_id = property(lambda self: f"version-{self.version}")
LambdaVersion.has_cfn_attr = classmethod(lambda cls, name: name == "Version")
LambdaVersion.get_cfn_attribute = lambda self, name: self.version

apply = ChangeSet.apply


def applied(self):
    apply(self)
    self.stack.template_dict = self.template_dict
    self.stack.output_map = self.stack._create_output_map()


ChangeSet.apply = applied
