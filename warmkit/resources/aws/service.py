"""The recipe of a client of any AWS service."""

import re
from typing import TYPE_CHECKING, Any, Literal

from warmkit import DefinitionError, Resource
from warmkit.resources.aws.client import IDLE, ClientFactory, client_resource, refuse_wrong
from warmkit.resources.aws.session import START_TIMEOUT

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig

_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it becomes a part of a path


def aws_client(
    service: str,
    *,
    name: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    start_timeout: float = START_TIMEOUT,
    close_timeout: float = 0.25,
    max_gap: float = IDLE,
    max_age: float | None = None,
    start: Literal["lazy", "eager", "auto"] = "auto",
    config: "AioConfig | None" = None,
    **client_options: Any,
) -> Resource[Any]:
    """Returns the recipe of an aiobotocore client of any AWS service.

    All clients of an environment share one AWS session, so that the second costs milliseconds. Credentials come from
    the default chain, which renews them by itself. Idle sockets that AWS has closed are noticed for free before the
    handler runs, and after a gap above `max_gap` all idle ones are dropped; requests that other invocations have in
    flight are left alone. No request is ever ours.

    ```python
    dynamodb = aws_client("dynamodb")

    @warm_handler
    async def handler(event, context, dynamodb: Annotated[DynamoDBClient, dynamodb]):
        await dynamodb.put_item(TableName="orders", Item={"id": {"S": event["id"]}})
    ```

    Args:
        service: As `boto3.client` calls it: "dynamodb", "sqs". Whether there is one is known when it starts.
        name: What it is called in events and errors; default: the first parameter that takes it.
        region: Default: what the AWS configuration says; Lambda sets it.
        endpoint_url: Default: what the AWS configuration says, else Amazon's.
        start_timeout: Seconds for a start.
        close_timeout: Seconds for a close.
        max_gap: Seconds of gap above which idle sockets are dropped.
        max_age: Seconds after its start at which the client is rebuilt.
        start: "lazy", "eager" or "auto", as for every resource.
        config: An `AioConfig`, whose options go before ours: 2 s to connect, three attempts in standard mode,
            `warmkit.concurrency()` connections, but at least 10, and to wait for data: 10 s where the service answers
            at once (DynamoDB, S3, SNS, SSM and others of the kind), 30 s for SQS, which waits for messages up to 20 s,
            310 s for Step Functions, 70 s for SWF, 910 s for Lambda and Bedrock, whose requests take as long as the
            work behind them, and 60 s, as botocore does, for all others.
        **client_options: Passed to `AioSession.create_client`.

    Raises:
        DefinitionError: An argument can never work.

    What goes wrong at a start is the cause of its `StartError`: `ServiceError`, `MissingPackageError`, or botocore's.
    """
    _refuse_service(service)
    refuse_wrong(
        aws_client, {"region": region, "endpoint_url": endpoint_url}, config, client_options
    )
    options = {**client_options, "region_name": region, "endpoint_url": endpoint_url}
    return client_resource(
        ClientFactory(service, config, options),
        max_gap=max_gap,
        max_age=max_age,
        name=name,
        start=start,
        start_timeout=start_timeout,
        close_timeout=close_timeout,
    )


def _refuse_service(service: object) -> None:
    if not isinstance(service, str) or not _SERVICE.fullmatch(service):
        came = "another text" if isinstance(service, str) else type(service).__name__
        raise DefinitionError(
            f'service must be a name such as "dynamodb", as boto3.client() takes it, not {came}'
        )
