"""A moto server on a free port of this machine, with what `unspsc infra`, `lambda deploy` and `up` need and moto lacks, beside the
resources of moto_stacks.py. Prints its address, and ends with its input.

- A change set that was executed leaves an event for each resource; one that fails is taken back, as AWS does it.
- Change sets are listed by their stack, and a change makes and deletes what conditions say.
- The alias of a stack has provisioned concurrency.
- Provisioned concurrency: an alias of two versions gets none, and what is asked for is ready at the second look.
- Functions and versions are Pending or InProgress at the first look, and refuse changes until the second.
- A change of the stack whose alarms are to tell a topic that is called `absent` fails in the end.
- An alias that moves gives the version before it a share of the calls, until the second look.
"""

import contextlib
import json
import os
import re
import sys
from urllib.parse import parse_qs, unquote, urlsplit

import moto_stacks
from moto.awslambda import models as functions
from moto.awslambda import urls
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.utils import get_backend
from moto.cloudformation import models as stacks
from moto.cloudformation import parsing, responses
from moto.core.common_models import CloudFormationModel
from moto.server import ThreadedMotoServer

ACCOUNT = os.environ.get("MOTO_ACCOUNT_ID", "123456789012")
# By function and alias: how many were asked for, and at how many looks they are not ready yet.
PROVISIONED = {}


class StackAlias(CloudFormationModel):
    """An alias of a stack; it comes after that of moto_stacks.py, and so before it."""

    # moto takes the service from it.
    __module__ = "moto.awslambda.models"

    def __init__(self, alias, function, config):
        self.alias, self.function = alias, function
        self.provide(config)

    def provide(self, config):
        key = (self.function, self.alias.name)
        if config:
            PROVISIONED[key] = [int(config["ProvisionedConcurrentExecutions"]), 1]
        else:
            PROVISIONED.pop(key, None)

    @property
    def physical_resource_id(self):
        return self.alias.arn

    @staticmethod
    def cloudformation_type():
        return "AWS::Lambda::Alias"

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        told = cloudformation_json["Properties"]
        alias = get_backend(account_id, region_name).create_alias(
            told["Name"], told["FunctionName"], str(told["FunctionVersion"]), "", ""
        )
        return cls(alias, told["FunctionName"], told.get("ProvisionedConcurrencyConfig"))

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        told = cloudformation_json["Properties"]
        original_resource.alias.update(None, str(told["FunctionVersion"]), None)
        original_resource.provide(told.get("ProvisionedConcurrencyConfig"))
        return original_resource

    def delete(self, account_id, region_name):
        with contextlib.suppress(Exception):
            # Its function may have gone before it.
            get_backend(account_id, region_name).delete_alias(self.alias.name, self.function)
        PROVISIONED.pop((self.function, self.alias.name), None)


def event(stack, resource, kind, status, reason=None):
    stack.events.append(
        stacks.Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=resource,
            physical_resource_id=resource,
            resource_type=kind,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
    )


def described(backend, change_set_name, stack_name):
    """The change set of this name, of this stack: moto takes any of the name."""
    for change_set in backend.change_sets.values():
        if change_set_name in (change_set.change_set_id, change_set.change_set_name) and stack_name in (
            None,
            change_set.stack_name,
            change_set.stack_id,
        ):
            # They go with their stack.
            if change_set.stack_id in backend.stacks:
                return change_set
    raise stacks.ValidationError(change_set_name)


def execute(self, change_set_name, stack_name=None):
    change_set = described(self, change_set_name, stack_name)
    stack, kind = self.stacks[change_set.stack_id], change_set.change_set_type
    stack._add_stack_event(f"{kind}_IN_PROGRESS", resource_status_reason="User Initiated")
    made, resources = stack.resource_map, change_set.template_dict["Resources"]
    verbs = {"Add": "CREATE", "Modify": "UPDATE", "Remove": "DELETE"}
    try:
        change_set.apply()
        if change_set.parameters.get("AlarmTopicArn", "").endswith(":absent"):
            raise stacks.ValidationError(message="Invalid SNS topic ARN")
    except Exception as fault:  # noqa: BLE001
        failed = next((name for name in resources if name not in made._parsed_resources), "?")
        event(stack, failed, resources.get(failed, {}).get("Type", "?"), f"{kind}_FAILED", str(fault))
        stack._add_stack_event("ROLLBACK_IN_PROGRESS" if kind == "CREATE" else "UPDATE_ROLLBACK_IN_PROGRESS")
        if kind == "CREATE":
            made.delete()
            made._resource_json_map = {}
        for resource in made._parsed_resources.values():
            if isinstance(resource, StackAlias):
                resource.alias.update(None, stack.parameters["LiveVersion"] or "1", None)
        stack.status = "ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
        stack._add_stack_event(stack.status)
        return
    for resource in made._parsed_resources.values():
        if isinstance(resource, functions.LambdaFunction):
            # The stack has waited for it.
            resource.busy = 0
    for change in change_set.changes:
        if change.action == "Remove" or change.logical_resource_id in made._parsed_resources:
            event(stack, change.logical_resource_id, change.resource_type, f"{verbs[change.action]}_COMPLETE")
    stack.template, stack.parameters = change_set.template, change_set.parameters
    stack._parse_template()
    stack.output_map = stack._create_output_map()
    change_set.execution_status = "EXECUTE_COMPLETE"
    stack.status = f"{kind}_COMPLETE"
    stack._add_stack_event(stack.status)


def delete_change_set(self, change_set_name):
    for key, change_set in list(self.change_sets.items()):
        if change_set_name in (key, change_set.change_set_name):
            del self.change_sets[key]


def diff(self):
    """The changes, those by parameters alone too."""
    known = {**self.stack.resource_map._resource_json_map, **self.template_dict["Resources"]}
    names = self.stack.resource_map.build_resource_diff(self.template_dict, self.parameters)
    return [stacks.Change(verb, name, known[name]["Type"]) for verb, those in names.items() for name in those]


diff_before = parsing.ResourceMap.build_resource_diff
apply_before = parsing.ResourceMap.update


def is_wanted(resource, template, parameters):
    if "Condition" not in resource:
        return True
    known = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()} | (parameters or {})
    return parsing.parse_condition(template["Conditions"][resource["Condition"]], known, {})


def build_resource_diff(self, other_template, parameters=None):
    new = other_template["Resources"]
    wanted = {name for name, resource in new.items() if is_wanted(resource, other_template, parameters)}
    made = {name for name in self._resource_json_map if self._parsed_resources.get(name) is not None}
    modified = diff_before(self, other_template, parameters)["Modify"]
    return {
        "Add": [name for name in new if name in wanted - made],
        "Modify": [name for name in modified if name in wanted & made],
        "Remove": [name for name in self._resource_json_map if name in made - wanted],
    }


def apply_template(self, template, parameters=None):
    removed = self.build_resource_diff(template, parameters)["Remove"]
    apply_before(self, template, parameters)
    for name in removed:
        del self._parsed_resources[name]


def list_change_sets(self):
    stack = self._get_param("StackName")
    those = self.cloudformation_backend.list_change_sets()
    return responses.ActionResult({"Summaries": [one for one in those if stack in (one.stack_name, one.stack_id)]})


parsing.ResourceMap.build_resource_diff = build_resource_diff
parsing.ResourceMap.update = apply_template
responses.CloudFormationResponse.list_change_sets = list_change_sets
stacks.ChangeSet.diff = diff
stacks.CloudFormationBackend.execute_change_set = execute
stacks.CloudFormationBackend.delete_change_set = delete_change_set
create_before = stacks.CloudFormationBackend.create_change_set


def create_change_set(self, *arguments, **named):
    """The same; of a stack that is in review there is one."""
    if named["change_set_type"] == "CREATE":
        taken = [one for one in self.stacks.values() if one.name == named["stack_name"]]
        if any(one.status != "REVIEW_IN_PROGRESS" for one in taken):
            raise stacks.ValidationError(message=f"Stack [{named['stack_name']}] already exists and cannot be created again")
    return create_before(self, *arguments, **named)


stacks.CloudFormationBackend.create_change_set = create_change_set


def refuse_busy(function):
    if getattr(function, "busy", 0):
        raise LambdaClientError(
            "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource"
        )


configuration_before = functions.LambdaFunction.get_configuration


def get_configuration(self, on_create=False):
    config = configuration_before(self, on_create)
    if getattr(self, "busy", 0):
        self.busy -= 1
        if str(self.version) == "$LATEST":
            config["LastUpdateStatus"] = "InProgress"
        else:
            config["State"] = "Pending"
    return config


update_before = functions.LambdaFunction.update_function_code


def update_function_code(self, told):
    refuse_busy(self)
    answer = update_before(self, told)
    if told.get("Architectures"):
        self.architectures = told["Architectures"]
    self.busy = 2
    return answer


def backend_update(self, function_name, qualifier, body):
    # moto's own updates twice.
    return self.get_function(function_name, qualifier).update_function_code(body)


publish_before = functions.LambdaStorage.publish_version


def publish_version(self, name_or_arn, description=""):
    latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
    refuse_busy(latest)
    before = len(self._functions[latest.function_name]["versions"])
    published = publish_before(self, name_or_arn, description)
    if len(self._functions[latest.function_name]["versions"]) > before:
        published.busy = 2
    return published


alias_before = functions.LambdaAlias.update


def alias_update(self, description, function_version, routing_config):
    former = self.function_version
    alias_before(self, description, function_version, routing_config)
    self.moving = (former, 2) if function_version and former != function_version else (former, 0)
    name = self.arn.split(":")[-2]
    if (name, self.name) in PROVISIONED and self.moving[1]:
        PROVISIONED[name, self.name][1] = 2


json_before = functions.LambdaAlias.to_json


def alias_json(self):
    answer = json_before(self)
    former, looks = getattr(self, "moving", ("", 0))
    if looks:
        self.moving = (former, looks - 1)
        answer["RoutingConfig"] = {"AdditionalVersionWeights": {former: 0.5}}
    elif not (answer["RoutingConfig"] or {}).get("AdditionalVersionWeights"):
        answer["RoutingConfig"] = None
    return answer


functions.LambdaVersion.delete = lambda self, account_id, region_name: None
functions.LambdaFunction.get_configuration = get_configuration
functions.LambdaFunction.update_function_code = update_function_code
functions.LambdaBackend.update_function_code = backend_update
functions.LambdaStorage.publish_version = publish_version
functions.LambdaAlias.update = alias_update
functions.LambdaAlias.to_json = alias_json


def answered(status, body):
    return status, {"Content-Type": "application/json"}, json.dumps(body)


def refused(status, code, message):
    return status, {"Content-Type": "application/json", "x-amzn-ErrorType": code}, json.dumps({"Message": message})


def provisioned_concurrency(request, full_url, headers):
    """Put, Get and Delete of provisioned concurrency."""
    url = urlsplit(full_url)
    function = unquote(re.search(r"/functions/([^/]+)/", url.path)[1])
    name = parse_qs(url.query)["Qualifier"][0]
    alias = get_backend(ACCOUNT, "us-east-1").get_alias(name, function)
    key = (function, name)
    if request.method == "PUT":
        if getattr(alias, "moving", ("", 0))[1]:
            return refused(400, "InvalidParameterValueException", "Alias with weights can not be used with Provisioned Concurrency")
        PROVISIONED[key] = [json.loads(request.data)["ProvisionedConcurrentExecutions"], 1]
    elif key not in PROVISIONED:
        return refused(404, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
    if request.method == "DELETE":
        del PROVISIONED[key]
        return 204, {}, ""
    wanted, looks = PROVISIONED[key]
    if request.method == "GET" and looks:
        PROVISIONED[key][1] -= 1
    is_ready = not looks
    return answered(
        202 if request.method == "PUT" else 200,
        {
            "RequestedProvisionedConcurrentExecutions": wanted,
            "AllocatedProvisionedConcurrentExecutions": wanted if is_ready else 0,
            "AvailableProvisionedConcurrentExecutions": wanted if is_ready else 0,
            "Status": "READY" if is_ready else "IN_PROGRESS",
            "LastModified": "2026-11-29T22:00:00+0000",
        },
    )


urls.url_paths[r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/provisioned-concurrency/?$"] = (
    provisioned_concurrency
)

if __name__ == "__main__":
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    moto_stacks.ENDPOINT["endpoint_url"] = f"http://{host}:{port}"
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.stop()
