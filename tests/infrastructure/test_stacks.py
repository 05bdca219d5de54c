"""Both stacks made, changed and deleted on moto."""

import json
import unittest

from stacks import ACCOUNT, BASE, FRONT, PACKAGE, REGION, Stacks, template

# What moto drops silently or does not have: told from the templates instead.
LIVE, FUNCTION = "Live", "Function"
TAG = {"Key": "unspsc:managed-by", "Value": "unspsc"}


class OnMoto(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stacks = Stacks()
        cls.addClassCleanup(cls.stacks.stop)
        cls.outputs = cls.stacks.both()

    def test_1_the_bucket_is_encrypted_versioned_closed_and_for_tls_only(self):
        s3, bucket = self.stacks.client("s3"), f"unspsc-{ACCOUNT}-{REGION}"
        self.assertEqual(self.outputs["Bucket"], bucket)
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        self.assertEqual([rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules], ["AES256"])
        self.assertEqual(s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
        self.assertEqual(set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()), {True})
        # moto drops them.
        rules = template(BASE)["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        self.assertEqual({rule["Id"] for rule in rules}, {"unfinished-uploads", "old-versions", "checkpoints"})
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        self.assertEqual({statement["Effect"] for statement in policy["Statement"]}, {"Deny"})
        self.assertIn(TAG, s3.get_bucket_tagging(Bucket=bucket)["TagSet"])

    def test_1_the_repositories_are_immutable_and_scanned(self):
        ecr = self.stacks.client("ecr")
        repositories = ecr.describe_repositories()["repositories"]
        names = {"unspsc-serve", "unspsc-train-cpu", "unspsc-train-gpu"}
        self.assertEqual({one["repositoryName"] for one in repositories}, names)
        for one in repositories:
            self.assertEqual(one["imageTagMutability"], "IMMUTABLE")
            self.assertTrue(one["imageScanningConfiguration"]["scanOnPush"])
            self.assertIn(TAG, ecr.list_tags_for_resource(resourceArn=one["repositoryArn"])["tags"])
        for output in ("TrainRepository", "TrainGpuRepository", "ServeRepository"):
            self.assertIn(self.outputs[output], {one["repositoryUri"] for one in repositories})
        # moto drops it.
        for name, resource in template(BASE)["Resources"].items():
            if name.endswith("Repository"):
                rules = json.loads(resource["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
                self.assertEqual({rule["selection"]["tagStatus"] for rule in rules}, {"untagged"}, name)

    def test_1_the_roles_are_for_their_services(self):
        iam = self.stacks.client("iam")
        services = {"unspsc-execution": "sagemaker.amazonaws.com", "unspsc-lambda": "lambda.amazonaws.com"}
        self.assertEqual({role["RoleName"] for role in iam.list_roles()["Roles"]}, set(services))
        self.assertEqual(self.outputs["ExecutionRoleArn"], f"arn:aws:iam::{ACCOUNT}:role/unspsc-execution")
        for role, service in services.items():
            (statement,) = self.stacks.trust(role)["Statement"]
            self.assertEqual(statement["Principal"], {"Service": service})
        self.assertEqual(self.outputs["OperatorPolicyArn"], f"arn:aws:iam::{ACCOUNT}:policy/unspsc-operator")

    def test_1_policies_are_within_the_quotas_of_iam(self):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html; spaces do not count.
        # With the longest names of a region and of a stack.
        longest = lambda text: text.replace(REGION, "ap-southeast-1").replace("unspsc-", f"{'n' * 20}-")  # noqa: E731
        length = lambda policy: len(longest(json.dumps(policy, separators=(",", ":"))))  # noqa: E731
        self.assertLess(length(self.stacks.managed_policy(self.outputs["OperatorPolicyArn"])), 6144)
        for role in ("unspsc-execution", "unspsc-lambda"):
            self.assertLess(length(self.stacks.policy(role)), 10240)

    def test_1_the_function_stands_behind_its_alias(self):
        client = self.stacks.client("lambda")
        function = client.get_function_configuration(FunctionName="unspsc-classify")
        self.assertEqual(self.outputs["FunctionArn"], function["FunctionArn"])
        self.assertEqual((function["Runtime"], function["Handler"]), ("provided.al2023", "bootstrap"))
        self.assertGreaterEqual(function["Timeout"], 70)
        variables = {"UNSPSC_ENDPOINT": "catalogue", "UNSPSC_LOG_DESCRIPTIONS": "false"}
        self.assertEqual(function["Environment"]["Variables"], variables)
        alias = client.get_alias(FunctionName="unspsc-classify", Name="live")
        self.assertEqual((alias["AliasArn"], alias["FunctionVersion"]), (self.outputs["AliasArn"], "1"))
        # moto has neither provisioned concurrency nor these members of a function.
        resources = template(FRONT)["Resources"]
        self.assertEqual(resources[FUNCTION]["Properties"]["Architectures"], [{"Ref": "Architecture"}])
        self.assertEqual(resources[FUNCTION]["Properties"]["LoggingConfig"]["LogGroup"], {"Ref": "LogGroup"})
        ready = {"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedConcurrency"}}
        concurrency = resources[LIVE]["Properties"]["ProvisionedConcurrencyConfig"]
        self.assertEqual(concurrency["Fn::If"], ["HasConcurrency", ready, {"Ref": "AWS::NoValue"}])
        self.assertEqual(template(FRONT)["Parameters"]["ProvisionedConcurrency"]["Default"], 4)

    def test_1_the_concurrency_scales(self):
        client = self.stacks.client("application-autoscaling")
        (target,) = client.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]
        self.assertEqual((target["ResourceId"], target["MinCapacity"]), ("function:unspsc-classify:live", 4))
        self.assertEqual(target["ScalableDimension"], "lambda:function:ProvisionedConcurrency")
        (policy,) = client.describe_scaling_policies(ServiceNamespace="lambda")["ScalingPolicies"]
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
        self.assertEqual((metric, tracking["TargetValue"]), ("LambdaProvisionedConcurrencyUtilization", 0.7))

    def test_1_the_log_is_kept_for_a_time(self):
        (group,) = self.stacks.client("logs").describe_log_groups()["logGroups"]
        self.assertEqual((group["logGroupName"], group["retentionInDays"]), ("/aws/lambda/unspsc-classify", 30))

    def test_1_alarms_and_dashboard_watch_endpoint_and_function(self):
        client = self.stacks.client("cloudwatch")
        alarms = {alarm["AlarmName"]: alarm for alarm in client.describe_alarms()["MetricAlarms"]}
        names = "endpoint-5xx endpoint-at-maximum endpoint-latency lambda-at-maximum lambda-errors lambda-throttles"
        self.assertEqual(set(alarms), {f"unspsc-{name}" for name in names.split()})
        for name, alarm in alarms.items():
            # What nobody asks has no values, and is no reason to wake anybody.
            self.assertEqual(alarm["TreatMissingData"], "notBreaching", name)
            self.assertEqual(alarm["AlarmActions"], [], name)
            dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}
            if "endpoint" in name and dimensions:
                self.assertEqual(dimensions, {"EndpointName": "catalogue", "VariantName": "AllTraffic"}, name)
            elif dimensions:
                self.assertEqual(dimensions, {"FunctionName": "unspsc-classify", "Resource": "unspsc-classify:live"}, name)
        self.assertEqual(alarms["unspsc-endpoint-at-maximum"]["Threshold"], 4)
        widgets = json.loads(client.get_dashboard(DashboardName="unspsc")["DashboardBody"])["widgets"]
        self.assertEqual(len(widgets), 6)
        self.assertNotIn("${", json.dumps(widgets))

    def test_2_a_change_is_shown_and_leaves_the_alias_where_it_is(self):
        client = self.stacks.client("lambda")
        client.update_function_code(FunctionName="unspsc-classify", S3Bucket=self.outputs["Bucket"], S3Key=PACKAGE)
        client.publish_version(FunctionName="unspsc-classify")
        client.update_alias(FunctionName="unspsc-classify", Name="live", FunctionVersion="2")
        changes, _ = self.stacks.bring(
            "unspsc-front",
            FRONT,
            "UPDATE",
            EndpointName="other",
            CodeBucket=self.outputs["Bucket"],
            CodeKey=PACKAGE,
            LiveVersion="2",
            AlarmTopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
        )
        self.assertEqual({change["ResourceChange"]["Action"] for change in changes} - {"Modify"}, set())
        self.assertEqual(client.get_alias(FunctionName="unspsc-classify", Name="live")["FunctionVersion"], "2")
        for alarm in self.stacks.client("cloudwatch").describe_alarms()["MetricAlarms"]:
            self.assertEqual(alarm["AlarmActions"], [f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"], alarm["AlarmName"])

    def test_3_without_concurrency_nothing_scales_and_nothing_spills(self):
        _, _ = self.stacks.bring(
            "bare-front", FRONT, Name="bare", EndpointName="other", CodeBucket=self.outputs["Bucket"], CodeKey=PACKAGE,
            ProvisionedConcurrency="0",
        )
        targets = self.stacks.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="lambda")
        self.assertEqual([one["ResourceId"] for one in targets["ScalableTargets"]], ["function:unspsc-classify:live"])
        alarms = self.stacks.client("cloudwatch").describe_alarms(AlarmNamePrefix="bare-")["MetricAlarms"]
        self.assertNotIn("bare-lambda-at-maximum", {alarm["AlarmName"] for alarm in alarms})
        self.assertEqual(len(alarms), 5)
        self.stacks.cloudformation.delete_stack(StackName="bare-front")

    def test_3_both_endpoints_may_be_asked_while_one_takes_the_place_of_the_other(self):
        for number, (former, names) in enumerate([("", ["other"]), ("catalogue", ["other", "catalogue"])]):
            name = f"both{number}"
            self.stacks.bring(
                f"{name}-front", FRONT, Name=name, EndpointName="other", FormerEndpointName=former, CodeBucket=self.outputs["Bucket"],
                CodeKey=PACKAGE,
            )
            asked = self.stacks.policy(f"{name}-lambda")["Statement"][0]["Resource"]
            asked = asked if isinstance(asked, list) else [asked]
            self.assertEqual([arn.split(":")[-1] for arn in asked], [f"endpoint/{name}" for name in names])
            self.stacks.cloudformation.delete_stack(StackName=f"{name}-front")

    def test_4_after_the_deletion_nothing_is_left(self):
        self.stacks.cloudformation.delete_stack(StackName="unspsc-front")
        client = self.stacks.client
        self.assertEqual(client("lambda").list_functions()["Functions"], [])
        self.assertEqual(client("cloudwatch").describe_alarms()["MetricAlarms"], [])
        self.assertEqual(client("cloudwatch").list_dashboards()["DashboardEntries"], [])
        self.assertEqual(client("logs").describe_log_groups()["logGroups"], [])
        scaling = client("application-autoscaling")
        self.assertEqual(scaling.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"], [])
        self.assertEqual(scaling.describe_scaling_policies(ServiceNamespace="lambda")["ScalingPolicies"], [])
        self.assertEqual([role["RoleName"] for role in client("iam").list_roles()["Roles"]], ["unspsc-execution"])
        # The bucket goes when it is empty, and not before.
        client("s3").delete_object(Bucket=self.outputs["Bucket"], Key=PACKAGE)
        versions = client("s3").list_object_versions(Bucket=self.outputs["Bucket"])
        for one in versions.get("Versions", []) + versions.get("DeleteMarkers", []):
            client("s3").delete_object(Bucket=self.outputs["Bucket"], Key=one["Key"], VersionId=one["VersionId"])
        self.stacks.cloudformation.delete_stack(StackName="unspsc-base")
        self.assertEqual(client("s3").list_buckets()["Buckets"], [])
        self.assertEqual(client("ecr").describe_repositories()["repositories"], [])
        self.assertEqual(client("iam").list_roles()["Roles"], [])
        self.assertEqual(client("iam").list_policies(Scope="Local")["Policies"], [])
        self.assertEqual(self.stacks.cloudformation.describe_stacks()["Stacks"], [])


if __name__ == "__main__":
    unittest.main()
