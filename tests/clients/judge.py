"""Judges requests that unspsc has made by botocore's model of the services; tests/unspsc_requests.rs calls it.

Reads lines, each {"requests": [{"method", "target", "headers", "body", "status"}], "plan": [{"service", "operation", "request"}] or null,
"looked": [as requests]}, the bodies in base64. Each request has to be one of an operation that the model knows, with members that it knows, none of
them missing that it requires, and all within its types, lengths, ranges, values and patterns; botocore itself looks at the
first half of that. The requests that change something have to be those of the plan, if there is one; those that were
made while it was drawn up may only read.

Answers each by a line {"faults": [text], "requests", "answers": [{"service", "operation", "status"}]}, the requests as golden files
have them: what follows from data, time or chance has a name instead, and what was asked again stands once.
"""

import base64
import datetime
import json
import sys
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

import botocore.session
import regex
from botocore.validate import ParamValidator

JSON_SERVICES = ("sagemaker", "application-autoscaling", "logs", "ecr")
REST_SERVICES = ("sagemaker-runtime", "s3", "lambda")
# Their requests are forms.
QUERY_SERVICES = ("cloudformation",)
READING = ("Describe", "Get", "Head", "List")
# Headers that any request may have; the others have to be members of the operation.
HEADERS = {
    "accept", "accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "connection", "content-encoding",
    "content-length", "content-type", "expect", "host", "transfer-encoding", "user-agent", "x-amz-checksum-crc32",
    "x-amz-content-sha256", "x-amz-date", "x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "x-amz-target",
    "x-amz-trailer", "x-amz-user-agent",
}
# Operations whose requests are under way several at a time, so that their order says nothing.
PARALLEL = ("ListTags", "UploadPart")

SESSION = botocore.session.Session()
MODELS = {name: SESSION.get_service_model(name) for name in JSON_SERVICES + REST_SERVICES + QUERY_SERVICES}


def is_reading(operation):
    return operation.startswith(READING)


class Request:
    """A request as the model of its service reads it."""

    def __init__(self, raw):
        self.method, self.headers, self.status = raw["method"], raw["headers"], raw["status"]
        self.raw, self.body = (raw["target"], raw["body"]), base64.b64decode(raw["body"])
        self.url = urlsplit(raw["target"])
        self.faults = []
        self.service, self.model = self.find()
        self.operation = self.model.name
        by_form = self.read_form if self.service in QUERY_SERVICES else self.read_rest
        self.members = self.read_json() if self.service in JSON_SERVICES else by_form()

    def find(self):
        """The service and its operation."""
        if target := self.headers.get("x-amz-target"):
            prefix, operation = target.split(".")
            for service in JSON_SERVICES:
                model = MODELS[service]
                if model.metadata["targetPrefix"] == prefix and operation in model.operation_names:
                    return service, model.operation_model(operation)
            raise ValueError(f"no service knows {target}")
        if self.headers.get("content-type") == "application/x-www-form-urlencoded":
            self.form = dict(parse_qsl(self.body.decode(), keep_blank_values=True))
            action, version = self.form.pop("Action"), self.form.pop("Version")
            for service in QUERY_SERVICES:
                if MODELS[service].api_version == version and action in MODELS[service].operation_names:
                    return service, MODELS[service].operation_model(action)
            raise ValueError(f"no service knows {action} of {version}")
        runtime = self.url.path.startswith("/endpoints/")
        service = "sagemaker-runtime" if runtime else "s3"
        if self.url.path.startswith(("/2015-03-31/functions/", "/2019-09-30/functions/")):
            service = "lambda"
        found = [model for model in map(MODELS[service].operation_model, MODELS[service].operation_names) if self.fits(model)]
        if not found:
            raise ValueError(f"{service} knows no {self.method} {self.url.path}?{self.url.query}")
        # The one that asks for most: PutObject fits a part of an upload too, and ListObjects what asks for its second version.
        fixed = lambda model: len(parse_qsl(model.http["requestUri"].partition("?")[2], keep_blank_values=True))
        wants = lambda model: (len(model.input_shape.required_members), fixed(model), model.name == self.named())
        return service, max(found, key=wants)

    def named(self):
        """What the SDK says that it calls."""
        return dict(parse_qsl(self.url.query)).get("x-id")

    def fits(self, model):
        if model.http["method"] != self.method or self.named() not in (None, model.name):
            return False
        path, _, query = model.http["requestUri"].partition("?")
        if self.labels(path) is None:
            return False
        given = dict(parse_qsl(self.url.query, keep_blank_values=True))
        members = model.input_shape.members
        required = [members[name].serialization for name in model.input_shape.required_members]
        fixed = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "x-id"]
        # Words in a query without a value, such as `uploads`, tell operations apart.
        bare = {key for key, value in given.items() if not value}
        return (
            all(given.get(key) == value for key, value in fixed)
            and bare <= {key for key, _ in fixed}
            and all(where["name"] in given for where in required if where.get("location") == "querystring")
            and all(where["name"].lower() in self.headers for where in required if where.get("location") == "header")
        )

    def labels(self, template):
        """Values of the template's labels in the path, if that has its form."""
        pattern = regex.sub(r"\\\{(\w+)(\\\+)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", regex.escape(template))
        # A bucket may be written as a folder.
        match = regex.fullmatch(f"{pattern}/?", self.url.path)
        return match and {name: unquote(value) for name, value in match.groupdict().items()}

    def read_json(self):
        members = json.loads(self.body or b"{}")
        return self.converted(members, self.model.input_shape, self.operation)

    def converted(self, value, shape, path):
        """A JSON value as botocore's validator wants it; members that the model does not know are faults."""
        if shape.type_name == "structure" and isinstance(value, dict):
            known = {name: inner for name, inner in value.items() if name in shape.members}
            self.faults += [f"{path}.{name} is no member that the model knows" for name in value if name not in known]
            return {name: self.converted(inner, shape.members[name], f"{path}.{name}") for name, inner in known.items()}
        if shape.type_name == "list" and isinstance(value, list):
            return [self.converted(inner, shape.member, f"{path}[{number}]") for number, inner in enumerate(value)]
        if shape.type_name == "map" and isinstance(value, dict):
            return {key: self.converted(inner, shape.value, f"{path}.{key}") for key, inner in value.items()}
        if shape.type_name == "timestamp" and isinstance(value, (int, float)):
            return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
        return typed(value, shape) if self.service in QUERY_SERVICES else value

    def read_form(self):
        return self.converted(nested(self.form), self.model.input_shape, self.operation)

    def read_rest(self):
        shape, members = self.model.input_shape, self.labels(self.model.http["requestUri"].partition("?")[0])
        given = dict(parse_qsl(self.url.query, keep_blank_values=True))
        fixed = {"x-id", *dict(parse_qsl(self.model.http["requestUri"].partition("?")[2], keep_blank_values=True))}
        taken = set()
        for name, member in shape.members.items():
            where = member.serialization
            location, key = where.get("location"), where.get("name", name)
            if location == "querystring" and key in given:
                taken.add(key)
                members[name] = typed(given[key], member)
            elif location == "header" and key.lower() in self.headers:
                taken.add(key.lower())
                members[name] = typed(self.headers[key.lower()], member)
            elif location == "headers":
                found = {header: value for header, value in self.headers.items() if header.startswith(key)}
                taken |= set(found)
                if found:
                    members[name] = {header.removeprefix(key): value for header, value in found.items()}
        self.faults += [f"{self.operation} has no parameter {key}" for key in given if key not in taken | fixed]
        unknown = [header for header in self.headers if header not in taken | HEADERS]
        self.faults += [f"{self.operation} has no header {header}" for header in unknown]
        payload = shape.serialization.get("payload")
        if self.service == "lambda" and self.body and not payload:
            members |= self.converted(json.loads(self.body), shape, self.operation)
        if payload and self.body:
            member = shape.members[payload]
            is_xml = member.type_name == "structure"
            members[payload] = from_xml(ElementTree.fromstring(self.body), member) if is_xml else self.body
        return members

    def judge(self):
        """What the model has against it."""
        report = ParamValidator().validate(self.members, self.model.input_shape)
        if report.has_errors():
            self.faults.append(report.generate_report())
        self.faults += within(self.members, self.model.input_shape, self.operation)
        return [f"{self.service} {self.operation}: {fault}" for fault in self.faults]

    def shown(self):
        """As golden files have it: no blob, no length, no time."""
        members = dict(self.members)
        if members.get("ContentEncoding") == "aws-chunked":
            # The SDK's way to send a checksum behind the body.
            del members["ContentEncoding"]
        for name in ("ContentLength", "ChecksumAlgorithm", "ChecksumMode"):
            members.pop(name, None)
        if "Payload" in members:
            members["Payload"] = as_text(members["Payload"])
        if "Body" in members:
            members["Body"] = as_text(members["Body"]) if self.service == "sagemaker-runtime" else "BYTES"
        return {"service": self.service, "operation": self.operation, "request": members}

    def planned(self):
        """As `unspsc plan` prints it."""
        if self.service == "sagemaker-runtime":
            return {"service": "sagemaker", "operation": self.operation, "request": {"Path": self.url.path}}
        if self.service in QUERY_SERVICES:
            request = nested(self.form)
            if "TemplateBody" in request:
                request["TemplateBody"] = f"({len(request['TemplateBody'].encode())} bytes)"
            return {"service": self.service, "operation": self.operation, "request": request}
        if self.service == "lambda":
            return {"service": self.service, "operation": self.operation, "request": self.members}
        if self.service != "s3":
            return {"service": self.service, "operation": self.operation, "request": json.loads(self.body or b"{}")}
        key = f"/{self.members['Key']}" if "Key" in self.members else ""
        request = {"Uri": f"s3://{self.members['Bucket']}{key}"}
        if self.operation == "UploadPart":
            request["PartNumber"] = self.members["PartNumber"]
        if self.operation in ("PutObject", "UploadPart"):
            length = self.headers.get("x-amz-decoded-content-length") or self.headers.get("content-length")
            request["Bytes"] = int(length)
        return {"service": self.service, "operation": self.operation, "request": request}


def nested(form):
    """The members of a form, lists and structures as such and all else as text."""
    members = {}
    for key, value in form.items():
        place, path = members, key.split(".")
        for name, following in zip(path, path[1:] + [None]):
            if name == "member":
                continue
            if name.isdigit():
                index = int(name) - 1
                place.extend({} for _ in range(index + 1 - len(place)))
                if following is None:
                    place[index] = value
                place = place[index]
            elif following is None:
                place[name] = value
            else:
                place = place.setdefault(name, [] if following == "member" else {})
    return members


def typed(text, shape):
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return int(text) if shape.type_name in ("integer", "long") else text


def as_text(body):
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def from_xml(element, shape):
    """A structure from its XML."""
    if shape.type_name != "structure":
        return typed(element.text or "", shape)
    children = {}
    for child in element:
        children.setdefault(child.tag.partition("}")[2] or child.tag, []).append(child)
    members = {}
    for name, member in shape.members.items():
        found = children.pop(member.serialization.get("name", name), [])
        if found and member.type_name == "list":
            members[name] = [from_xml(child, member.member) for child in found]
        elif found:
            members[name] = from_xml(found[0], member)
    assert not children, f"{shape.name} has no {list(children)}"
    return members


def within(value, shape, path):
    """What of `value` is outside the model's values, patterns, and upper bounds, which botocore does not look at."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            yield from within(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, inner in value.items():
            yield from within(key, shape.key, f"{path}, key {key}")
            yield from within(inner, shape.value, f"{path}.{key}")
    elif shape.type_name == "list" and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from within(inner, shape.member, f"{path}[{number}]")
    elif shape.type_name == "string" and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{path} is {value}, which is none of the values that the model has"
        if (pattern := shape.metadata.get("pattern")) and not regex.fullmatch(of_java(pattern), value):
            yield f"{path} is {value}, which is not of the form {pattern}"
    bounds = shape.metadata.get("max")
    if bounds is not None and isinstance(value, (str, bytes, list, dict, int, float)):
        size = value if isinstance(value, (int, float)) else len(value)
        if size > bounds:
            yield f"{path} has {size}, and at most {bounds} are allowed"


def of_java(pattern):
    """Java writes what lies beyond 16 bits as pairs of halves."""
    return pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")


# A whole hash, or the digits of one at the end of a name.
HASH = r"(?<![0-9a-z])[0-9a-f]{64}(?![0-9a-z])|(?<=(?:unspsc-[a-z-]+|catalogue|serverless|asynchronous|updated)-)[0-9a-f]{10}(?![0-9a-z])"


class Names:
    """Names for what is another at the next run or with the next version."""

    def __init__(self):
        self.hashes = []

    def hash(self, match):
        """One number for a hash and for the digits that it begins with."""
        digits = match[0]
        for number, known in enumerate(self.hashes, 1):
            if known.startswith(digits) or digits.startswith(known):
                self.hashes[number - 1] = max(known, digits, key=len)
                return f"HASH-{number}"
        self.hashes.append(digits)
        return f"HASH-{len(self.hashes)}"

    def text(self, text):
        text = regex.sub(HASH, self.hash, text)
        text = regex.sub(r"(?<=-\d{3}-)[0-9a-f]{8}(?![0-9a-z])", "TRIAL", text)
        # A stack's id, which has its name within.
        text = regex.sub(r"arn:aws:cloudformation:[a-z0-9-]+:\d{12}:stack/([^/]+)/[0-9a-f-]+", r"\1", text)
        text = regex.sub(r"(?<=/)algo-1-\d+", "algo-1-TIME", text)
        text = regex.sub(r"(?<=arn:aws:sagemaker:[a-z0-9-]+:)\d{12}(?=:)", "ACCOUNT", text)
        text = regex.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
        return regex.sub(r"(?<=/)i-[0-9a-f]{6,}(-\d+)?", "i-INSTANCE", text)

    @staticmethod
    def without(shown):
        """The same without its hashes."""
        return json.loads(regex.sub(HASH, "HASH", json.dumps(shown, default=str)))

    def value(self, value, name=""):
        if name in ("CodeSha256", "TemplateBody", "UploadId", "VersionId", "NextToken", "nextToken", "ETag", "InferenceId"):
            return name.upper()
        if isinstance(value, datetime.datetime) or name == "startTime":
            return "TIME"
        if isinstance(value, dict):
            if value.get("Key") == "unspsc:version":
                return {**value, "Value": "VERSION"}
            # sagemaker-local gives no checksums of parts back, which would be named when they are put together.
            kept = sorted(key for key in value if key != "ChecksumCRC32")
            return {self.text(key): self.value(value[key], key) for key in kept}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value


def golden(requests):
    """Every request that changes something; of those that read, each once between two of the others."""
    names, shown = Names(), [request.shown() for request in requests]
    parallel = [request.operation in PARALLEL for request in requests]
    # Those that come in any order are named last and then sorted, so that nothing depends on it.
    form = lambda number: json.dumps(Names.without(shown[number])) if parallel[number] else ""  # noqa: E731
    for number in sorted(range(len(shown)), key=lambda number: (parallel[number], form(number))):
        shown[number] = names.value(shown[number])
    begin = 0
    for end in range(1, len(shown) + 1):
        if end == len(shown) or requests[end].operation != requests[begin].operation:
            if parallel[begin]:
                shown[begin:end] = sorted(shown[begin:end], key=json.dumps)
            begin = end
    kept, read = [], []
    for one in shown:
        if not is_reading(one["operation"]):
            read = []
        elif one in read:
            continue
        else:
            read.append(one)
        kept.append(one)
    return kept


def differences(requests, plan):
    """Where the requests that were made differ from those that were planned."""
    # A smoke test asks what was deployed; a plan has nothing to ask.
    made = [one.planned() for one in requests if not is_reading(one.operation) and one.operation not in ("Invoke", "InvokeEndpoint")]
    # What goes by another program is no request.
    plan = [one for one in plan if one["service"] != "docker"]
    # Which version is published is known when it is.
    for one in made + plan:
        if one["operation"] == "UpdateAlias":
            one["request"] = {**one["request"], "FunctionVersion": "VERSION"}
    order = lambda one: (one["operation"] in PARALLEL, json.dumps(one) if one["operation"] in PARALLEL else "")  # noqa: E731
    made, plan = sorted(made, key=order), sorted(plan, key=order)
    for number in range(max(len(made), len(plan))):
        sides = [json.dumps(side[number], sort_keys=True) if number < len(side) else "nothing" for side in (plan, made)]
        if sides[0] != sides[1]:
            yield f"planned: {sides[0]}\n   made: {sides[1]}"


def read(raws, faults):
    """The requests; what is no request of a known operation is a fault."""
    requests = []
    for raw in raws:
        # What is made again after a fault of the service is the same request.
        if requests and requests[-1].status >= 500 and requests[-1].raw == (raw["target"], raw["body"]):
            requests.pop()
        try:
            requests.append(Request(raw))
        except ValueError as fault:
            faults.append(str(fault))
    for request in requests:
        faults += request.judge()
    return requests


def judged(given):
    """The answer to a line of the input."""
    faults = []
    requests, looked = read(given["requests"], faults), read(given["looked"], faults)
    if given["plan"] is not None:
        faults += differences(requests, given["plan"])
    faults += [f"the plan makes {one.operation}" for one in looked if not is_reading(one.operation)]
    answers = [{"service": one.service, "operation": one.operation, "status": one.status} for one in requests]
    return {"faults": faults, "requests": golden(requests), "answers": answers}


for line in sys.stdin:
    print(json.dumps(judged(json.loads(line))), flush=True)
