"""Ready-made resources. Each imports its third party only when it starts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmkit.resources.aws.s3 import s3_client
    from warmkit.resources.errors import (
        BucketError,
        DsnError,
        MissingPackageError,
        PostgresConnectError,
    )
    from warmkit.resources.postgres.pool import postgres_pool
    from warmkit.resources.sockets import is_quiet

__all__ = [
    "BucketError",
    "DsnError",
    "MissingPackageError",
    "PostgresConnectError",
    "is_quiet",
    "postgres_pool",
    "s3_client",
]

_MODULES = {
    "BucketError": "errors",
    "DsnError": "errors",
    "MissingPackageError": "errors",
    "PostgresConnectError": "errors",
    "is_quiet": "sockets",
    "postgres_pool": "postgres.pool",
    "s3_client": "aws.s3",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'warmkit.resources' has no attribute {name!r}")
    from importlib import import_module  # a function that needs one resource loads one

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
