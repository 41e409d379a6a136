"""Runs a local stand-in for Amazon S3 on 127.0.0.1, and tells what its clients asked of it.

The server is moto's, in a process of its own: clients talk to it over the network as they would
to S3. Objects live in its memory and are gone when it stops.
"""

from __future__ import annotations

import http.client
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from warmkit.local.processes import HOST, ChildProcess, Output, ServerError
from warmkit.local.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"

_ADMIN = "warmkit-admin"
# Overwriting an object takes a signed request, but the server does not check signatures.
_SIGNED = {
    "Authorization": (
        f"AWS4-HMAC-SHA256 Credential=testing/20000101/{REGION}/s3/aws4_request, "
        "SignedHeaders=host, Signature=testing"
    )
}
_TIMEOUT_S = 30.0
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_ACCESS = re.compile(r'^\S+ - - \[[^]]*\] "([A-Z]+) ([^ ?"]*)(?:\?([^ "]*))? HTTP/', re.MULTILINE)


class S3Server(Server):
    """An S3 server that forgets everything when it stops, for demonstrations and tests."""

    def __init__(self) -> None:
        """Start nothing yet."""
        super().__init__()
        self._requests: Output | None = None

    @property
    def endpoint_url(self) -> str:
        """The URL that clients must use instead of Amazon's."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead a client here, and to nobody's real account."""
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "AWS_CONFIG_FILE": str(self.home / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def put_objects(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Create a bucket, if it is not there, and put objects into it.

        This does not count among the `requests`.

        Raises:
            ServerError: The server refused.
        """
        self._put(f"/{bucket}", b"")
        for key, body in objects.items():
            self._put(f"/{bucket}/{quote(key)}", body)

    def requests(self) -> list[str]:
        """Return the requests since `forget_requests`, as "GET /bucket/key", without queries."""
        lines = _STYLE.sub("", self._access_log.text())
        return [
            f"{method} {path}" for method, path, query in _ACCESS.findall(lines) if query != _ADMIN
        ]

    def forget_requests(self) -> None:
        """Let `requests` start anew."""
        self._access_log.skip()

    @property
    def _access_log(self) -> Output:
        if self._requests is None:
            raise self._not_started(what="log")
        return self._requests

    def _prepare(self) -> None:
        self._requests = Output(self.home / "log")

    def _spawn(self) -> ChildProcess:
        # The home directory is the working directory, as python -m would import what lies there.
        return ChildProcess(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)],
            home=self.home,
            last_signal=self._last_signal,
        )

    def _is_ready(self, output: str) -> bool:
        return f"Running on {self.endpoint_url}" in output

    def _put(self, path: str, body: bytes) -> None:
        # Plain HTTP, as a client of AWS's takes longer to import than the server to start.
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("PUT", f"{path}?{_ADMIN}", body, _SIGNED)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            message = (
                f"Expected the S3 server to create {path}, "
                f"but it answered {response.status}: {answer!r}"
            )
            raise ServerError(message)
