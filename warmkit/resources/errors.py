"""What the ready-made resources raise: each arrives as the cause of a `ResourceError`, or in the handler.

No text here holds a secret, and none is chained to a third party's error that might.
"""

import inspect
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from http import HTTPStatus

from warmkit import DefinitionError, WarmkitError


class MissingPackageError(WarmkitError, ImportError):
    """The package behind a resource is not installed.

    Attributes:
        package: The package.
        extra: The extra of warmkit that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return (
            f"the package {self.package} is not installed.\n"
            f"  Write: pip install 'warmkit[{self.extra}]'"
        )


@contextmanager
def needing(package: str, *, extra: str) -> Generator[None]:
    """Around an import: says what to install if the package is missing.

    Raises:
        MissingPackageError: It is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingPackageError(package, extra) from None


def refuse_misspelt(called: str, options: Iterable[str], function: Callable[..., object]) -> None:
    """Refuses options for the third party whose names are almost those of the function's own.

    Raises:
        DefinitionError: One is.
    """
    own = list(inspect.signature(function).parameters)
    for option in options:
        close = _close(option, own, n=1, cutoff=0.8)
        if close:
            raise DefinitionError(f"{called} takes no {option}.\n  Did you mean {close[0]!r}?")


class DsnError(WarmkitError, ValueError):
    """There is no DSN, or it cannot be read. It is never quoted: a password may stand anywhere in it."""


class PostgresConnectError(WarmkitError, ConnectionError):
    """A connection to PostgreSQL could not be opened.

    Attributes:
        resource: The name of the pool's resource.
        server: Where: "host:port", or several, separated by commas.
        user: As whom.
        reason: What went wrong, in the words of the server or of the network.
        advice: What to do about it; may be empty.
        tries: How often it was tried: more than once only where the server was full.
        seconds: How long it was tried.
    """

    def __init__(  # noqa: PLR0917  an error is raised with names, and pickled by position
        self,
        resource: str,
        server: str,
        user: str,
        reason: str,
        advice: str = "",
        tries: int = 1,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(resource, server, user, reason, advice, tries, seconds)
        self.resource = resource
        self.server = server
        self.user = user
        self.reason = reason
        self.advice = advice
        self.tries = tries
        self.seconds = seconds

    def __str__(self) -> str:
        advice = f"\n  {self.advice}" if self.advice else ""
        tried = f" (tried {self.tries} times in {self.seconds:.1f} s)" if self.tries > 1 else ""
        return (
            f"{self.resource!r} could not connect to PostgreSQL at {self.server} as user {self.user!r}: "
            f"{self.reason}{tried}{advice}"
        )


class PoolExhaustedError(WarmkitError, TimeoutError):
    """No connection of a pool became free in time.

    Attributes:
        resource: The name of the pool's resource.
        size: How many connections the pool may have.
        seconds: How long it was waited for.
    """

    def __init__(self, resource: str, size: int, seconds: float) -> None:
        super().__init__(resource, size, seconds)
        self.resource = resource
        self.size = size
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"no connection of {self.resource!r} became free within {self.seconds:g} s: it may have {self.size}, and all are in use.\n"
            "  A transaction of the invocation holds one until the handler returns. Use that one for every statement, "
            f"or write postgres_pool(max_size={self.size + 1})."
        )


class NotCommittedError(WarmkitError):
    """PostgreSQL rolled a transaction back when it was to be committed, because a statement in it had failed."""

    def __str__(self) -> str:
        return (
            "the transaction was rolled back, not committed: a statement in it had failed, and the handler went on.\n"
            "  Let the error out of the handler, or put what may fail into a savepoint: async with connection.transaction(): ..."
        )


class IamTokenError(WarmkitError):
    """No token for IAM authentication could be made.

    Attributes:
        reason: Why not.
        advice: What to do about it.
    """

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"no token for IAM authentication: {self.reason}.\n  {self.advice}"


class BucketError(WarmkitError):
    """A bucket is not there, or cannot be asked for.

    Attributes:
        bucket: Its name.
        region: The client's region.
        status: The HTTP status of S3's answer.
    """

    def __init__(self, bucket: str, region: str, status: int) -> None:
        super().__init__(bucket, region, status)
        self.bucket = bucket
        self.region = region
        self.status = status

    def __str__(self) -> str:
        missing = "Create it, or write the name of one that exists: s3_client(bucket=...)."
        other = "Check its region, s3_client(region=...), and the credentials."
        return (
            f"S3 answered {self.status} when asked for the bucket {self.bucket!r} from region {self.region!r}.\n"
            f"  {missing if self.status == HTTPStatus.NOT_FOUND else other}"
        )


class CircuitOpenError(WarmkitError):
    """A circuit breaker let a call not through. The service was not asked. Also pybreaker's `CircuitBreakerError`.

    Attributes:
        breaker: The breaker's name.
        failure: The last failure, as far as it can hold no secret; empty: this process has seen none.
        retry_in: Seconds until a call is let through on trial; 0.0 while one is under way.
    """

    def __init__(self, breaker: str, failure: str, retry_in: float) -> None:
        super().__init__(breaker, failure, retry_in)
        self.breaker = breaker
        self.failure = failure
        self.retry_in = retry_in

    def __str__(self) -> str:
        failure = f"; the last failure was {self.failure}" if self.failure else ""
        state, when = (
            ("open", f"It lets a trial call through in {round(self.retry_in, 1):g} s.")
            if self.retry_in
            else ("half-open", "A trial call is under way.")
        )
        return (
            f"circuit {self.breaker!r} is {state}{failure}. {when}\n"
            "  Until it closes, answer without the service, or tell your caller when to come back: error.retry_in."
        )


class ServiceError(WarmkitError, ValueError):
    """AWS has no service of this name, as far as the installed botocore knows.

    Attributes:
        service: The name.
        close: The names of services that are almost the same; may be empty.
    """

    def __init__(self, service: str, known: Iterable[str]) -> None:
        known = list(known)
        super().__init__(service, known)
        self.service = service
        self.close = _close(service.lower(), known, n=3, cutoff=0.65)
        self._count = len(known)

    def __str__(self) -> str:
        meant = " or ".join(map(repr, self.close))
        advice = (
            f"Did you mean {meant}?"
            if self.close
            else "Write the name that boto3.client() takes; for a newer service, update aiobotocore."
        )
        return f"AWS has no service {self.service!r} among the {self._count} that botocore knows.\n  {advice}"


def _close(word: str, known: Iterable[str], *, n: int, cutoff: float) -> list[str]:
    import difflib  # only an error pays for it

    return difflib.get_close_matches(word, list(known), n=n, cutoff=cutoff)
