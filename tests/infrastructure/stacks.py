"""The stacks of infrastructure/ on moto, which resolves their templates, and what of them is there."""

import io
import logging
import os
import zipfile
from pathlib import Path

import yaml

# As the golden files have it; moto reads it when it is imported.
ACCOUNT = os.environ["MOTO_ACCOUNT_ID"] = "000000000000"
REGION = "us-east-1"

import boto3  # noqa: E402
import moto_stacks  # noqa: E402
import requests  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BASE, FRONT = ROOT / "infrastructure/base.yaml", ROOT / "infrastructure/endpoint.yaml"
PACKAGE = "unspsc/lambda/package.zip"


class Loader(yaml.SafeLoader):
    """`!Sub x` as {"Fn::Sub": x}, as CloudFormation has it in JSON."""


def function(loader, suffix, node):
    kinds = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence, "mapping": loader.construct_mapping}
    value = kinds[node.id](node) if node.id == "scalar" else kinds[node.id](node, deep=True)
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    return {name: value.split(".", 1) if suffix == "GetAtt" and isinstance(value, str) else value}


Loader.add_multi_constructor("!", function)


def template(path):
    return yaml.load(path.read_text(), Loader)


class Stacks:
    """A moto server with nothing in it."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = moto_stacks.ENDPOINT["endpoint_url"] = f"http://{host}:{port}"
        self.cloudformation = self.client("cloudformation")

    def stop(self):
        # What it holds is this process's.
        requests.post(f"{self.url}/moto-api/reset", timeout=60)
        self.server.stop()

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="local", aws_secret_access_key="local"
        )

    def bring(self, name, path, kind="CREATE", **parameters):
        """Makes or changes a stack as `unspsc` does, by a change set; what it would change, and its outputs."""
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        self.cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=kind.lower(),
            ChangeSetType=kind,
            TemplateBody=path.read_text(),
            Parameters=given,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        changes = self.cloudformation.describe_change_set(StackName=name, ChangeSetName=kind.lower())["Changes"]
        self.cloudformation.execute_change_set(StackName=name, ChangeSetName=kind.lower())
        stack = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        assert stack["StackStatus"] == f"{kind}_COMPLETE", stack
        return changes, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def both(self):
        """Makes both; their outputs."""
        _, base = self.bring("unspsc-base", BASE)
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("bootstrap", "#!/bin/sh\n")
        self.client("s3").put_object(Bucket=base["Bucket"], Key=PACKAGE, Body=package.getvalue())
        _, front = self.bring("unspsc-front", FRONT, EndpointName="catalogue", CodeBucket=base["Bucket"], CodeKey=PACKAGE)
        return base | front

    def policy(self, role):
        """The one inline policy of a role."""
        iam = self.client("iam")
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"], role
        return document(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])

    def managed_policy(self, arn):
        return document(self.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"])

    def trust(self, role):
        return document(self.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])


def document(given):
    # moto gives those of a template back as Python writes them.
    return yaml.safe_load(given) if isinstance(given, str) else given
