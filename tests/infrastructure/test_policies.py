"""What the policies of both stacks allow: every call that was recorded, and nothing more.

iam-simulate judges, by AWS's reference of actions, resources and conditions. The policies are those that moto has made of the templates.
"""

import json
import unittest
from collections import defaultdict
from dataclasses import replace

from calls import ACCOUNT, REQUESTS, TAG, Call, arn, calls, of_role, recorded
from simulator import Simulator
from stacks import REGION, ROOT, Stacks

HERE = ROOT / "tests/infrastructure"
OTHER = "999999999999"

# Golden files of an administrator's commands, which make and delete stacks and with them roles.
ADMINISTRATOR = ("infra-up", "infra-down", "lambda-deploy", "lambda-deploy-settings")
# Calls of golden files that are not made where the stacks are there.
NOT_ASKED = {
    "ecr:CreateRepository": "the repositories are there",
    "s3:CreateBucket": "asked of sagemaker-local alone",
}

# Beyond all three, whatever the resource.
DANGEROUS = """
    cloudformation:CreateChangeSet cloudformation:CreateStack cloudformation:DeleteStack cloudformation:ExecuteChangeSet
    cloudtrail:StopLogging cloudwatch:PutDashboard dynamodb:Scan ec2:RunInstances ecr:BatchDeleteImage ecr:CreateRepository
    ecr:DeleteRepository ecr:PutImageTagMutability ecr:SetRepositoryPolicy iam:AttachRolePolicy iam:CreateAccessKey iam:CreatePolicyVersion
    iam:CreateRole iam:CreateUser iam:DeleteRole iam:PutRolePolicy iam:UpdateAssumeRolePolicy kms:Decrypt lambda:AddPermission
    lambda:CreateFunction lambda:CreateFunctionUrlConfig lambda:DeleteFunction lambda:UpdateFunctionConfiguration logs:DeleteLogGroup
    logs:FilterLogEvents s3:CreateBucket s3:DeleteBucket s3:DeleteBucketPolicy s3:DeleteObjectVersion s3:PutBucketPolicy
    s3:PutBucketPublicAccessBlock s3:PutBucketVersioning s3:PutLifecycleConfiguration sagemaker:CreateDomain
    sagemaker:CreateNotebookInstance sagemaker:CreatePresignedNotebookInstanceUrl sagemaker:CreateProcessingJob
    sagemaker:DeleteModelPackage secretsmanager:GetSecretValue sns:Publish sqs:SendMessage ssm:GetParameter sts:AssumeRole
""".split()
# A resource of each service, as the actions above name them.
RESOURCES = {
    "cloudformation": "cloudformation stack/unspsc-base/UUID",
    "cloudtrail": "cloudtrail trail/all",
    "dynamodb": "dynamodb table/one",
    "ec2": "ec2 instance/i-0123456789abcdef0",
    "ecr": "ecr repository/unspsc-serve",
    "kms": "kms key/0123abcd",
    "lambda": "lambda function:unspsc-classify",
    "logs": "logs log-group:/aws/sagemaker/TrainingJobs",
    "secretsmanager": "secretsmanager secret:one",
    "sns": "sns one",
    "sqs": "sqs one",
    "ssm": "ssm parameter/one",
}


def dangerous(action, bucket):
    service, name = action.split(":")
    if service == "s3":
        return f"arn:aws:s3:::{bucket}/unspsc/JOB/output/model.tar.gz" if "Object" in name else f"arn:aws:s3:::{bucket}"
    if service in ("iam", "sts"):
        kinds = {"CreateUser": "user/one", "CreateAccessKey": "user/one", "CreatePolicyVersion": "policy/unspsc-operator"}
        return f"arn:aws:iam::{ACCOUNT}:{kinds.get(name, 'role/unspsc-execution')}"
    if service == "sagemaker":
        kinds = ("domain", "notebook-instance", "processing-job", "model-package")
        words = name.replace("Presigned", "").replace("Url", "").lower()
        return arn("sagemaker", next(f"{kind}/one" for kind in kinds if kind.replace("-", "") in words))
    if service == "cloudwatch":
        return f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/unspsc"
    return arn(*RESOURCES[service].split(" ", 1))


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stacks = Stacks()
        cls.addClassCleanup(stacks.stop)
        cls.outputs = stacks.both()
        cls.simulator = Simulator()
        cls.addClassCleanup(cls.simulator.stop)
        cls.bucket = cls.outputs["Bucket"]
        cls.trust = {role: stacks.trust(role) for role in ("unspsc-execution", "unspsc-lambda")}
        cls.bucket_policy = json.loads(stacks.client("s3").get_bucket_policy(Bucket=cls.bucket)["Policy"])
        cls.policies = {
            "execution": stacks.policy("unspsc-execution"),
            "lambda": stacks.policy("unspsc-lambda"),
            "operator": stacks.managed_policy(cls.outputs["OperatorPolicyArn"]),
        }
        cls.calls = {name: cls.made(name) for name in cls.policies}

    @classmethod
    def made(cls, name):
        """Every call of a policy's bearer, each once."""
        found = cls.of_aws(name)
        settings = {
            f'"arn:aws:iam::{ACCOUNT}:role/unspsc"': f'"{cls.outputs["ExecutionRoleArn"]}"',
            f'"unspsc-{ACCOUNT}"': f'"{cls.bucket}"',
            f"s3://unspsc-{ACCOUNT}/": f"s3://{cls.bucket}/",
            ":ACCOUNT:": f":{ACCOUNT}:",
            # As `unspsc images push` would have it in the settings.
            "amazonaws.com/unspsc-train:": "amazonaws.com/unspsc-train-cpu:",
        }
        if name == "lambda":
            found += function_calls()
        elif name == "operator":
            for path in sorted(REQUESTS.glob("*.json")):
                if path.stem not in ADMINISTRATOR:
                    for request in recorded(path.stem, settings):
                        found += calls(request, path.name, cls.simulator.kinds)
        else:
            for path in sorted(REQUESTS.glob("*.json")):
                found += [call for request in recorded(path.stem, settings) for call in of_role(request, path.name)]
        return list({call.key(): call for call in found if call.action not in NOT_ASKED}.values())

    @classmethod
    def of_aws(cls, name):
        """What AWS's pages say beyond the requests."""
        places = {
            "BUCKET": f"arn:aws:s3:::{cls.bucket}",
            "LOGS:": arn("logs", "log-group:"),
            "SAGEMAKER:": arn("sagemaker", ""),
            "ALARM:": arn("cloudwatch", "alarm:"),
            "IAM:": f"arn:aws:iam::{ACCOUNT}:",
        }
        found, source = [], ""
        for one in json.loads((HERE / "aws.json").read_text())[name][1:]:
            source = one.get("source", source)
            if "source" in one:
                continue
            resource = one["resource"]
            for place, there in places.items():
                if resource.startswith(place):
                    resource = there + resource.removeprefix(place)
            repositories = [f"unspsc-{name}" for name in ("train-cpu", "train-gpu", "serve")]
            resources = [arn("ecr", f"repository/{name}") for name in repositories] if resource == "REPOSITORY" else [resource]
            found += [Call(one["action"], resource, one.get("context", {}), source) for resource in resources]
        return found

    def judged(self, name, call):
        return self.simulator.judge([self.policies[name]], call)

    def refused(self, name, call):
        answer = self.judged(name, call)
        self.assertNotEqual(answer["result"], "Allowed", f"{name} may {call.action} on {call.resource} with {call.context}: {answer['by']}")

    def test_what_is_called_is_allowed(self):
        for name, made in self.calls.items():
            self.assertGreater(len(made), 2)
            for call in made:
                answer = self.judged(name, call)
                self.assertEqual(answer["result"], "Allowed", f"{name}, {call.origin}: {call}")
                # What AWS does not tell of an action can be no condition of it.
                self.assertEqual(answer["ignored"], [], call)

    def test_nothing_more_is_allowed_than_was_called(self):
        for name, policy in self.policies.items():
            used = defaultdict(set)
            for call in self.calls[name]:
                for by in self.judged(name, call)["by"]:
                    used[by["sid"]] |= {("Action", call.action), *(("Resource", resource) for resource in by["resources"])}
            for statement in policy["Statement"]:
                given = {(member, one) for member in ("Action", "Resource") for one in listed(statement[member])}
                self.assertEqual(given - used[statement["Sid"]], set(), f"{name}, {statement['Sid']}: never used")

    def test_another_place_is_refused(self):
        for name, made in self.calls.items():
            for call in made:
                if call.resource == "*":
                    continue
                with self.subTest(name=name, call=call):
                    if call.resource.startswith("arn:aws:s3:::"):
                        self.refused(name, replace(call, resource=call.resource.replace(self.bucket, "somebody-elses", 1)))
                        if "/" in call.resource:
                            self.refused(name, replace(call, resource=f"arn:aws:s3:::{self.bucket}/other/file"))
                        continue
                    self.refused(name, replace(call, resource=call.resource.replace(ACCOUNT, OTHER)))
                    if REGION in call.resource:
                        self.refused(name, replace(call, resource=call.resource.replace(REGION, "eu-west-1")))

    def test_another_name_is_refused(self):
        others = {
            "cloudformation": "stack/others/UUID",
            "ecr": "repository/others",
            "iam": "role/administrator",
            "lambda": "function:others",
            "logs": "log-group:/aws/lambda/others",
        }
        for name, made in self.calls.items():
            for call in made:
                service = call.action.split(":")[0]
                if call.resource == "*" or service not in others:
                    continue
                resource = call.resource.split(":", 5)[:5] + [others[service]]
                if "log-stream" in call.resource:
                    resource[-1] += ":log-stream:one"
                if "Concurrency" in call.action:
                    resource[-1] += ":live"
                self.refused(name, replace(call, resource=":".join(resource)))
        (invoked,) = [call for call in self.calls["lambda"] if call.action.startswith("sagemaker:")]
        self.assertEqual(invoked.resource, arn("sagemaker", "endpoint/catalogue"))
        for other in ("endpoint/catalogue-2", "endpoint/other", "endpoint/catalog"):
            self.refused("lambda", replace(invoked, resource=arn("sagemaker", other)))

    def test_a_role_is_given_to_sagemaker_alone(self):
        given = [call for call in self.calls["operator"] if call.action == "iam:PassRole"]
        self.assertEqual({call.resource for call in given}, {self.outputs["ExecutionRoleArn"]})
        for service in ("lambda", "ec2", "cloudformation", "glue"):
            self.refused("operator", replace(given[0], context={"iam:PassedToService": f"{service}.amazonaws.com"}))
        self.refused("operator", replace(given[0], resource=f"arn:aws:iam::{ACCOUNT}:role/unspsc-lambda"))

    def test_what_bears_another_tag_is_let_alone(self):
        def without(context, tag):
            return {key: value for key, value in context.items() if tag not in key}

        tagged = [call for call in self.calls["operator"] if f"Tag/{TAG}" in json.dumps(call.context)]
        self.assertGreater(len({call.action for call in tagged}), 15)
        for call in tagged:
            for key in [key for key in call.context if key.endswith(f"Tag/{TAG}")]:
                others = {**call.context, key: "somebody else"}
                self.refused("operator", replace(call, context=others))
                self.refused("operator", replace(call, context=without(call.context, TAG)))
        # Nobody else's is made ours, by which it could be changed afterwards.
        tags = {f"aws:RequestTag/{TAG}": "unspsc", "aws:TagKeys": [TAG]}
        self.refused("operator", Call("sagemaker:AddTags", arn("sagemaker", "endpoint/others"), tags))

    def test_conditions_hold(self):
        metrics = Call("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"})
        self.refused("execution", metrics)
        scaling = arn("application-autoscaling", "scalable-target/0123456789abcdef")
        for service in ("lambda", "ecs", "dynamodb"):
            context = {"application-autoscaling:service-namespace": service}
            self.refused("operator", Call("application-autoscaling:RegisterScalableTarget", scaling, context))
        linked = next(call for call in self.calls["operator"] if call.action == "iam:CreateServiceLinkedRole")
        self.refused("operator", replace(linked, context={"iam:AWSServiceName": "spot.amazonaws.com"}))
        for alarm in ("production", "unspsc-endpoint-5xx", "TargetTracking-table/one"):
            for action in ("DeleteAlarms", "PutMetricAlarm"):
                self.refused("operator", Call(f"cloudwatch:{action}", arn("cloudwatch", f"alarm:{alarm}"), {}))
        self.refused("execution", Call("s3:DeleteObject", f"arn:aws:s3:::{self.bucket}/unspsc/JOB/output/model.tar.gz", {}))

    def test_what_is_dangerous_is_refused(self):
        for action in DANGEROUS:
            for name in self.policies:
                resource = dangerous(action, self.bucket) if self.simulator.kinds(action) else "*"
                self.refused(name, Call(action, resource, {}))

    def test_an_administrators_commands_are_beyond_the_operator(self):
        own = {action for statement in self.policies["operator"]["Statement"] for action in listed(statement["Action"])}
        for path in REQUESTS.glob("*.json"):
            if path.stem in ADMINISTRATOR:
                made = [call for request in recorded(path.stem, {}) for call in calls(request, path.name, self.simulator.kinds)]
                self.assertNotEqual({call.action for call in made} - own, set(), path.name)

    def test_roles_are_assumed_by_their_services_for_this_account_alone(self):
        def assumed(role, principal, context):
            call = Call("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/{role}", context)
            return self.simulator.judge([], call, principal, self.trust[role])["result"] == "Allowed"

        own, others = {"aws:SourceAccount": ACCOUNT}, {"aws:SourceAccount": OTHER}
        self.assertTrue(assumed("unspsc-execution", "sagemaker.amazonaws.com", own))
        self.assertFalse(assumed("unspsc-execution", "sagemaker.amazonaws.com", others))
        self.assertTrue(assumed("unspsc-lambda", "lambda.amazonaws.com", own))
        for role in self.trust:
            self.assertFalse(assumed(role, "ec2.amazonaws.com", own), role)
            self.assertFalse(assumed(role, f"arn:aws:iam::{OTHER}:role/any", own), role)

    def test_the_bucket_is_reached_by_tls_alone(self):
        get = Call("s3:GetObject", f"arn:aws:s3:::{self.bucket}/unspsc/JOB/output/model.tar.gz")
        for secure, version, result in [
            ("true", "1.3", "Allowed"),
            ("true", "1.2", "Allowed"),
            ("true", "1.1", "ExplicitlyDenied"),
            ("false", "1.2", "ExplicitlyDenied"),
        ]:
            call = replace(get, context={"aws:SecureTransport": secure, "s3:TlsVersion": version})
            answer = self.simulator.judge([self.policies["operator"]], call, resource_policy=self.bucket_policy)
            self.assertEqual(answer["result"], result, (secure, version))


def function_calls():
    """What `bootstrap` was seen to call, for the endpoint of the stack."""
    path = ROOT / "tests/golden/calls/lambda.json"
    if not path.exists():
        # Not recorded yet.
        return [Call("sagemaker:InvokeEndpoint", arn("sagemaker", "endpoint/catalogue"))]
    recorded = [(call["action"], call["resource"].split(":")) for call in json.loads(path.read_text())]
    endpoint = lambda parts: parts[5].startswith("endpoint/")  # noqa: E731
    resources = {(action, "endpoint/catalogue" if endpoint(parts) else ":".join(parts[5:]), parts[2]) for action, parts in recorded}
    return [Call(action, arn(service, resource), origin=path.name) for action, resource, service in resources]


def listed(value):
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    unittest.main()
