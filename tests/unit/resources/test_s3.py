"""What of s3_client needs no server: what is refused, and what is missing."""

from typing import Any

import pytest

from warmkit import DefinitionError
from warmkit.resources import s3_client
from warmkit.resources.errors import BucketError

SENTINEL = "s3ntinel"


class OtherSession:
    """Some http_session_cls of the user's."""


class ConfigWithSession:
    http_session_cls = OtherSession

    def merge(self, other: object) -> object:
        return other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bucket": ""}, "bucket must be a str, or None, not an empty one"),
        ({"region": 5}, "region must be a str, or None, not int"),
        ({"endpoint_url": b"x"}, "endpoint_url must be a str, or None, not bytes"),
        ({"config": {}}, "config must be an AioConfig, not dict"),
        ({"check_after": -1}, "check_after must be a number of seconds, 0 or more, not -1"),
        (
            {"config": ConfigWithSession()},
            (
                "config has an http_session_cls of its own, but warmkit needs one that can drop idle sockets.\n"
                "  Write the AioConfig without it."
            ),
        ),
    ],
)
def test_what_cannot_work_is_refused_at_import(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        s3_client(**arguments)
    assert str(caught.value) == message


def test_it_is_named_by_its_parameter_unless_it_has_a_name() -> None:
    client = s3_client()
    client.seal("files")
    assert client.name == "files"
    assert s3_client(name="invoices").name == "invoices"


def test_nothing_that_can_be_printed_shows_a_secret() -> None:
    client = s3_client(aws_access_key_id="id", aws_secret_access_key=SENTINEL)
    shown = [repr(client), repr(client.factory), repr(client.options), repr(client.hooks)]
    assert SENTINEL not in "".join(shown)


def test_by_default_no_request_is_spent_on_freshness() -> None:
    limits = s3_client().limits
    assert (limits.can_check, limits.can_refresh, limits.max_gap) == (False, True, 5.0)


def test_with_check_after_a_request_is_spent_on_it() -> None:
    limits = s3_client(check_after=60).limits
    assert (limits.can_check, limits.check_after, limits.max_gap) == (True, 60, 300.0)


def test_a_bucket_error_says_what_to_write() -> None:
    assert str(BucketError("invoices", "eu-west-1", 404)) == (
        "S3 answered 404 when asked for the bucket 'invoices' from region 'eu-west-1'.\n"
        "  Create it, or write the name of one that exists: s3_client(bucket=...)."
    )
    assert str(BucketError("invoices", "eu-west-1", 400)) == (
        "S3 answered 400 when asked for the bucket 'invoices' from region 'eu-west-1'.\n"
        "  Check its region, s3_client(region=...), and the credentials."
    )
