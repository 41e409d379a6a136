"""Ready-made resources. Each imports its third party only when it starts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmkit.resources.aws.s3 import s3_client
    from warmkit.resources.aws.service import aws_client
    from warmkit.resources.breaker.breaker import CircuitBreaker
    from warmkit.resources.breaker.circuit import circuit_breaker
    from warmkit.resources.errors import (
        BucketError,
        CircuitOpenError,
        DsnError,
        IamTokenError,
        MissingPackageError,
        NotCommittedError,
        PoolExhaustedError,
        PostgresConnectError,
        ServiceError,
    )
    from warmkit.resources.otel.faas import faas_attributes
    from warmkit.resources.otel.observer import otel_observer
    from warmkit.resources.otel.tracer import tracer
    from warmkit.resources.postgres.pool import postgres_pool
    from warmkit.resources.postgres.transaction import postgres_transaction
    from warmkit.resources.sockets import is_quiet

__all__ = [
    "BucketError",
    "CircuitBreaker",
    "CircuitOpenError",
    "DsnError",
    "IamTokenError",
    "MissingPackageError",
    "NotCommittedError",
    "PoolExhaustedError",
    "PostgresConnectError",
    "ServiceError",
    "aws_client",
    "circuit_breaker",
    "faas_attributes",
    "is_quiet",
    "otel_observer",
    "postgres_pool",
    "postgres_transaction",
    "s3_client",
    "tracer",
]

_MODULES = {
    "BucketError": "errors",
    "CircuitBreaker": "breaker.breaker",
    "CircuitOpenError": "errors",
    "DsnError": "errors",
    "IamTokenError": "errors",
    "MissingPackageError": "errors",
    "NotCommittedError": "errors",
    "PoolExhaustedError": "errors",
    "PostgresConnectError": "errors",
    "circuit_breaker": "breaker.circuit",
    "ServiceError": "errors",
    "aws_client": "aws.service",
    "faas_attributes": "otel.faas",
    "otel_observer": "otel.observer",
    "is_quiet": "sockets",
    "postgres_pool": "postgres.pool",
    "postgres_transaction": "postgres.transaction",
    "s3_client": "aws.s3",
    "tracer": "otel.tracer",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'warmkit.resources' has no attribute {name!r}")
    from importlib import import_module  # a function that needs one resource loads one

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
