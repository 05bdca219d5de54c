"""What schemathesis has to know of /openapi.json that JSON Schema cannot say."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes sure that there is something to classify: a statement names a good, and a body of lines has a record."""
    body = case.body
    if isinstance(body, str) and body:
        case.body = body + "\ncoffee"
    if isinstance(body, dict) and isinstance(body.get("statement"), str) and body["statement"]:
        case.body = body | {"statement": body["statement"] + "; coffee"}


@schemathesis.serializer("application/jsonlines", "text/csv")
def as_it_is(context, value):
    """Bytes of a text; what is no text cannot be in such a body, so that there is none."""
    return value.encode() if isinstance(value, str) else None
