"""A streamed response as bytes: its chunks, its prelude, and the trailers that tell of a failure in the middle.

It opens nothing and waits for nothing.
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

import json
from base64 import b64encode
from typing import NamedTuple, cast

from warmkit.runtime.failure import Failure, RuntimeFailureError
from warmkit.runtime.marshal import BINARY
from warmkit.stream import HttpPrelude

HTTP = "application/vnd.awslambda.http-integration-response"
_END_OF_PRELUDE = bytes(8)


class First(NamedTuple):
    """How a streamed response begins.

    Attributes:
        content_type: Of the whole.
        data: Its first bytes.
    """

    content_type: str
    data: bytes


def first(chunk: object) -> First:
    """Returns how a response begins whose first chunk this is.

    Raises:
        RuntimeFailureError: It is no chunk.
    """
    if not isinstance(chunk, HttpPrelude):
        return First(BINARY, data_of(chunk))
    try:
        prelude = json.dumps(
            {
                "statusCode": int(chunk.status),
                "headers": dict(chunk.headers),
                "cookies": _cookies(chunk),
            },
            allow_nan=False,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_chunk(f"the HttpPrelude cannot be written: {error}") from None
    return First(HTTP, prelude.encode() + _END_OF_PRELUDE)


def _cookies(prelude: HttpPrelude) -> list[str]:
    if isinstance(prelude.cookies, str):
        raise TypeError("cookies takes a list, and got one text")
    return list(prelude.cookies)


def data_of(chunk: object) -> bytes:
    """Returns the bytes of one chunk.

    Raises:
        RuntimeFailureError: It is no chunk.
    """
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(cast("bytes", chunk))
    if isinstance(chunk, str):
        return chunk.encode("utf-8", "surrogatepass")
    if isinstance(chunk, HttpPrelude):
        raise _no_chunk("an HttpPrelude must be the first that is yielded")
    raise _no_chunk(
        f"a streamed response is yielded as bytes or str, not {type(chunk).__name__}.\n"
        "  Write, for one JSON text a line: yield json.dumps(chunk) + '\\n'"
    )


def framed(data: bytes) -> bytes:
    """Returns a chunk as it is sent; nothing for an empty one, which would end the response."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def ending(failure: Failure | None, request_id: str) -> bytes:
    """Returns what ends the response: with trailers, if it failed in the middle."""
    if failure is None:
        return b"0\r\n\r\n"
    body = b64encode(failure.body(request_id)).decode()
    return (
        f"0\r\nLambda-Runtime-Function-Error-Type: {failure.kind}\r\n"
        f"Lambda-Runtime-Function-Error-Body: {body}\r\n\r\n"
    ).encode()


def _no_chunk(why: str) -> RuntimeFailureError:
    return RuntimeFailureError("MarshalError", f"Unable to marshal response: {why}")
