"""With SnapStart credentials come over HTTP, for a time; the AWS session that a snapshot keeps renews them."""

import json
import queue
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from warmkit.resources import aws_client
from warmkit.resources.aws.session import aws_session


@pytest.fixture
def credentials(monkeypatch):
    """The platform's credentials endpoint; returns the queue of keys that it hands out, each valid for a minute."""
    keys = queue.Queue()

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.headers["Authorization"] == "token"
            expires = datetime.now(UTC) + timedelta(minutes=1)
            told = {
                "AccessKeyId": keys.get(timeout=10),
                "SecretAccessKey": "secret",
                "Token": "token",
            }
            body = json.dumps({**told, "Expiration": expires.isoformat()}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        for name in (
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_PROFILE",
        ):
            monkeypatch.delenv(name, raising=False)
        url = f"http://127.0.0.1:{server.server_port}/2021-04-23/credentials"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")
        yield keys
        server.shutdown()
        thread.join()


def test_a_client_of_a_restored_copy_signs_with_new_credentials(really, credentials):
    sqs = aws_client("sqs", region="eu-west-1")

    @really
    async def _(environment):
        credentials.put("of the init phase")
        await environment.get(sqs)
        session = await environment.get(aws_session)
        await environment.before_snapshot()
        environment.after_restore()
        credentials.put("of the copy")
        await environment.get(sqs)
        assert await environment.get(aws_session) is session
        signer = await (await session.get_credentials()).get_frozen_credentials()
        assert signer.access_key == "of the copy"
