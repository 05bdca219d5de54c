"""A whole session with boto3 against the sagemaker-local of AWS_ENDPOINT_URL; tests/sagemaker_local/clients.rs calls it.

botocore checks every request before it is sent. Here every answer is held against botocore's model of the service too: no member that the model
does not know, none missing that it requires, all of the right type.
"""

import io
import json
import tarfile
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

ROLE = "arn:aws:iam::000000000000:role/local"
BUCKET = "clients"
JSON_SERVICES = ("sagemaker", "application-autoscaling", "logs")


def unknown_members(shape, value, path):
    """Members of a JSON answer that the model does not have."""
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, inner in value.items():
            if name not in names:
                yield f"{path}.{name}"
            else:
                yield from unknown_members(names[name], inner, f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for inner in value:
            yield from unknown_members(shape.member, inner, f"{path}[]")
    elif shape.type_name == "map" and isinstance(value, dict):
        for inner in value.values():
            yield from unknown_members(shape.value, inner, f"{path}.*")


class Judge:
    """Holds answers against the model; remembers which operations were judged."""

    def __init__(self):
        self.judged = set()

    def attach(self, client):
        service = client.meta.service_model
        if service.service_name not in JSON_SERVICES:
            return client

        def raw(response_dict, operation_model, **_):
            if response_dict["status_code"] >= 300 or operation_model.output_shape is None:
                return
            unknown = list(unknown_members(operation_model.output_shape, json.loads(response_dict["body"]), operation_model.name))
            assert not unknown, f"members that AWS does not have: {unknown}"

        def parsed(parsed, model, **_):
            self.judged.add(f"{service.service_name}:{model.name}")
            if model.output_shape is None or "Error" in parsed:
                return
            answer = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
            report = ParamValidator().validate(answer, model.output_shape)
            assert not report.has_errors(), f"{model.name}: {report.generate_report()}"

        client.meta.events.register(f"before-parse.{service.service_id.hyphenize()}", raw)
        client.meta.events.register(f"after-call.{service.service_id.hyphenize()}", parsed)
        return client


def refused(code, call, **arguments):
    """The message of a call that must be refused with this code."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{arguments} was not refused")


def until(ask, ready):
    """Asks until the answer is ready."""
    deadline = time.monotonic() + 60
    while True:
        answer = ask()
        if ready(answer):
            return answer
        assert time.monotonic() < deadline, f"never got there: {answer}"
        time.sleep(0.1)


def main():
    judge = Judge()

    def client(service):
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        return judge.attach(boto3.client(service, config=config))

    names = ("s3", "sts", "sagemaker", "sagemaker-runtime", "application-autoscaling", "logs")
    s3, sts, sagemaker, runtime, scaling, logs = map(client, names)
    assert sts.get_caller_identity()["Account"] == "000000000000"
    objects(s3)
    training(sagemaker, logs, s3)
    tuning(sagemaker)
    endpoint(sagemaker, runtime, scaling, s3)
    print(f"judged {len(judge.judged)} operations: {', '.join(sorted(judge.judged))}")


def objects(s3):
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="in/rows.csv", Body=b"description,unspsc\npens,44121701\n")
    big = bytes(9 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(big), BUCKET, "in-parts/big.bin")
    assert s3.head_object(Bucket=BUCKET, Key="in-parts/big.bin")["ContentLength"] == len(big)
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="in/")["Contents"]] == ["in/rows.csv"]
    model = io.BytesIO()
    with tarfile.open(fileobj=model, mode="w:gz") as archive:
        text = b"the weights"
        member = tarfile.TarInfo("weights")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=model.getvalue())


def training(sagemaker, logs, s3):
    job = dict(
        TrainingJobName="job",
        HyperParameters={"epochs": "2"},
        AlgorithmSpecification={
            "TrainingImage": "train:latest",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "train:loss", "Regex": "train:loss=([0-9.]+);"}],
        },
        RoleArn=ROLE,
        InputDataConfig=[
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}}}
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30, "KeepAlivePeriodInSeconds": 600},
        StoppingCondition={"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
        EnableManagedSpotTraining=True,
        EnableNetworkIsolation=True,
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints/job"},
        RetryStrategy={"MaximumRetryAttempts": 2},
        Environment={"GREETING": "hello"},
        Tags=[{"Key": "team", "Value": "data"}],
    )
    arn = sagemaker.create_training_job(**job)["TrainingJobArn"]
    assert "already exists" in refused("ResourceInUse", sagemaker.create_training_job, **job)
    over = until(lambda: sagemaker.describe_training_job(TrainingJobName="job"), lambda job: job["TrainingJobStatus"] == "Completed")
    assert over["FinalMetricDataList"][0]["Value"] == 1.25 and over["ModelArtifacts"]["S3ModelArtifacts"].endswith("job/output/model.tar.gz")
    assert s3.head_object(Bucket=BUCKET, Key="out/job/output/model.tar.gz")["ContentLength"] > 0
    assert sagemaker.list_training_jobs(StatusEquals="Completed")["TrainingJobSummaries"][0]["TrainingJobName"] == "job"
    assert sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="job") is None
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "7"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "cost", "Value": "7"}]

    group = "/aws/sagemaker/TrainingJobs"
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"][0]["logGroupName"] == group
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="job/")["logStreams"][0]["logStreamName"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert "train:loss=1.25;" in [event["message"] for event in events], events

    sagemaker.create_training_job(**dict(job, TrainingJobName="long", HyperParameters={"sleep": "600"}))
    until(lambda: sagemaker.describe_training_job(TrainingJobName="long"), lambda job: job["SecondaryStatus"] == "Training")
    sagemaker.stop_training_job(TrainingJobName="long")
    until(lambda: sagemaker.describe_training_job(TrainingJobName="long"), lambda job: job["TrainingJobStatus"] == "Stopped")
    assert "not found" in refused("ValidationException", sagemaker.describe_training_job, TrainingJobName="none")


def tuning(sagemaker):
    objective = {"Type": "Minimize", "MetricName": "train:loss"}
    ranges = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "1e-5", "MaxValue": "1e-3", "ScalingType": "Logarithmic"}]}
    job = dict(
        HyperParameterTuningJobName="tuning",
        HyperParameterTuningJobConfig={
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": objective,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": ranges,
            "TrainingJobEarlyStoppingType": "Off",
            "RandomSeed": 17,
        },
        TrainingJobDefinition={
            "StaticHyperParameters": {"epochs": "1"},
            "AlgorithmSpecification": {
                "TrainingImage": "train:latest",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "train:loss", "Regex": "train:loss=([0-9.]+);"}],
            },
            "RoleArn": ROLE,
            "InputDataConfig": [
                {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}}}
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
    )
    sagemaker.create_hyper_parameter_tuning_job(**job)
    describe = lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tuning")  # noqa: E731
    over = until(describe, lambda job: job["HyperParameterTuningJobStatus"] == "Completed")
    assert over["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 1.25, over
    assert over["TrainingJobStatusCounters"]["Completed"] == 2, over
    trials = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="tuning", SortBy="FinalObjectiveMetricValue", SortOrder="Ascending")
    assert len(trials["TrainingJobSummaries"]) == 2
    assert sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"][0]["HyperParameterTuningJobName"] == "tuning"
    sagemaker.create_hyper_parameter_tuning_job(**dict(job, HyperParameterTuningJobName="stopped"))
    try:
        sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    except ClientError as error:  # It may be over by then.
        assert error.response["Error"]["Code"] == "ValidationException", error


def endpoint(sagemaker, runtime, scaling, s3):
    container = {"Image": "serve:latest", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz", "Environment": {"GREETING": "hello"}}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    sagemaker.describe_model(ModelName="m")
    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0,
               "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}}
    serverless = {"VariantName": "v", "ModelName": "m", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    output = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers", "S3FailurePath": f"s3://{BUCKET}/failures"},
              "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}}
    for name, variants, more in (("c", [variant], {}), ("c-async", [variant], {"AsyncInferenceConfig": output}), ("c-less", [serverless], {})):
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **more)
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c", Tags=[{"Key": "team", "Value": "data"}])
    describe = lambda: sagemaker.describe_endpoint(EndpointName="e")  # noqa: E731
    in_service = lambda endpoint: endpoint["EndpointStatus"] == "InService"  # noqa: E731
    until(describe, in_service)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e")
    answer = runtime.invoke_endpoint(EndpointName="e", ContentType="application/json", Body=b"hello", CustomAttributes="trace=1")
    assert answer["Body"].read() == b"hello" and answer["InvokedProductionVariant"] == "v" and answer["CustomAttributes"] == "trace=1"
    try:
        runtime.invoke_endpoint(EndpointName="e", Body=b"fail")
        raise AssertionError("a container's error did not reach the caller")
    except runtime.exceptions.ModelError as error:
        assert error.response["OriginalStatusCode"] == 422 and error.response["OriginalMessage"] == "cannot do that", error.response

    scaled = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/e/variant/v", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    scaling.register_scalable_target(**scaled, MinCapacity=2, MaxCapacity=4)
    policy = {"TargetValue": 25.0, "ScaleInCooldown": 300, "ScaleOutCooldown": 30,
              "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}
    scaling.put_scaling_policy(**scaled, PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=policy)
    until(describe, lambda endpoint: in_service(endpoint) and endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 2)
    scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
    scaling.describe_scaling_policies(ServiceNamespace="sagemaker")
    assert scaling.describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"][0]["StatusCode"] == "Successful"
    scaling.delete_scaling_policy(**scaled, PolicyName="p")
    scaling.deregister_scalable_target(**scaled)

    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="e", DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredInstanceCount": 1}])
    until(describe, in_service)
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="c-async", RetainAllVariantProperties=True, DeploymentConfig={
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 0},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "too-many-errors"}]},
    })
    until(describe, lambda endpoint: in_service(endpoint) and endpoint["EndpointConfigName"] == "c-async")
    s3.put_object(Bucket=BUCKET, Key="questions/one", Body=b"type")
    accepted = runtime.invoke_endpoint_async(EndpointName="e", InputLocation=f"s3://{BUCKET}/questions/one", ContentType="text/plain")
    key = accepted["OutputLocation"].split(f"s3://{BUCKET}/")[1]
    found = until(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="answers/"), lambda listed: listed["KeyCount"] > 0)
    assert found["Contents"][0]["Key"] == key and s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"text/plain"

    for listed in (sagemaker.list_endpoints, sagemaker.list_endpoint_configs, sagemaker.list_models):
        listed(MaxResults=1)
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig={"Delay": 1})
    for name in ("c", "c-async", "c-less"):
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName="m")
    assert "Could not find" in refused("ValidationException", sagemaker.describe_model, ModelName="m")


main()
