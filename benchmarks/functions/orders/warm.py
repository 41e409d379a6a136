"""With warmkit, under AWS's runtime and under warmkit's."""

from lookup import look_up

from warmkit import warm_handler
from warmkit.resources import circuit_breaker, postgres_pool, s3_client, tracer


@warm_handler(
    db=postgres_pool(),
    s3=s3_client(),
    breaker=circuit_breaker(fail_max=5, reset_timeout=30),
    trace=tracer("orders"),
)
async def handler(event, context, db, s3, breaker, trace):  # noqa: PLR0917  with four resources
    return await look_up(event, db, s3, breaker, trace)
