"""What OpenTelemetry's conventions for functions call an invocation and its environment.

The one module here that knows what AWS's events, contexts and variables look like; it imports nothing of OpenTelemetry.
Source: https://opentelemetry.io/docs/specs/semconv/faas/aws-lambda/
"""

import os

from warmkit import Call
from warmkit.clock import Reading, gap
from warmkit.resources.otel.shapes import items, mapping, text

INIT_LIMIT = 10.0
"""Seconds that Lambda gives an init on demand, which its invocation follows at once.

A first invocation that comes later was not waited for: the environment was made ahead of it.
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html; the same rule is in
https://github.com/open-telemetry/opentelemetry-js-contrib/pull/2403
"""

_NOBODY_WAITS = ("provisioned-concurrency", "lambda-managed-instances")
_SOURCES = {
    "aws:sqs": "pubsub",
    "aws:sns": "pubsub",
    "aws:kinesis": "pubsub",
    "aws:kafka": "pubsub",
    "SelfManagedKafka": "pubsub",
    "aws:rmq": "pubsub",
    "aws:mq": "pubsub",
    "aws:s3": "datasource",
    "aws:dynamodb": "datasource",
    "aws:docdb": "datasource",
}
_ACCOUNT, _ARN_PARTS = 4, 8  # arn:aws:lambda:region:account:function:name:qualifier
_MEGABYTE = 1_048_576


def is_cold_start(number: int | None, made: Reading, now: Reading) -> bool:
    """Whether somebody waited for the environment that serves this invocation.

    Args:
        number: The invocation's, in its environment.
        made: When the environment's code was loaded.
        now: When the invocation begins.
    """
    initialization = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if number != 1 or initialization in _NOBODY_WAITS:
        return False
    if initialization == "snap-start":  # restored for this invocation, however old its code is
        return True
    return gap(made, now) <= INIT_LIMIT


def span_name(call: Call) -> str:
    """Returns the function's name."""
    name = text(getattr(call.context, "function_name", None))
    return name or os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or "handler"


def trigger_of(event: object) -> str:
    """Returns the kind of what triggered the invocation, by the event's shape."""
    shape = mapping(event)
    if "requestContext" in shape or "httpMethod" in shape:
        return "http"  # API Gateway, a load balancer, a function URL
    if "detail-type" in shape:
        return "timer" if shape["detail-type"] == "Scheduled Event" else "pubsub"
    return _SOURCES.get(source_of(shape), "other")


def source_of(event: object) -> str:
    """Returns the service that a batch of records comes from; empty: it is none."""
    shape = mapping(event)
    first = mapping(next(iter(items(shape.get("Records"))), shape))
    return text(first.get("eventSource")) or text(first.get("EventSource"))  # SNS writes it so


def span_attributes(context: object) -> dict[str, str]:
    """Returns what the host's context says of an invocation; nothing of the event, which may hold secrets."""
    arn = text(getattr(context, "invoked_function_arn", None))
    version = text(getattr(context, "function_version", None))
    found = {
        "faas.invocation_id": text(getattr(context, "aws_request_id", None)),
        "faas.instance": text(getattr(context, "log_stream_name", None)),
        "aws.lambda.invoked_arn": arn,
        "cloud.resource_id": _resolved(arn, version),
        "cloud.account.id": next(iter(arn.split(":")[_ACCOUNT:]), ""),
    }
    return {name: value for name, value in found.items() if value}


def _resolved(arn: str, version: str) -> str:
    """Returns the ARN with the version in place of an alias, so that what ran is named."""
    parts = arn.split(":")
    if len(parts) == _ARN_PARTS and version:
        return ":".join([*parts[:-1], version])
    return arn


def faas_attributes() -> dict[str, str | int]:
    """Returns what AWS Lambda's variables say of the environment, for OpenTelemetry's `Resource.create`.

    ```python
    provider = TracerProvider(resource=Resource.create(faas_attributes()))
    ```

    Nothing outside of AWS Lambda.
    """
    variables = os.environ
    if "AWS_LAMBDA_FUNCTION_NAME" not in variables:
        return {}
    found: dict[str, str | int] = {"cloud.provider": "aws", "cloud.platform": "aws_lambda"}
    for attribute, variable in (
        ("cloud.region", "AWS_REGION"),
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME"),
    ):
        if variables.get(variable):
            found[attribute] = variables[variable]
    memory = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return found | ({"faas.max_memory": int(memory) * _MEGABYTE} if memory.isdecimal() else {})
