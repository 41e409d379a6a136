"""The local Lambda's Runtime API and Extensions API, spoken to over a socket as a runtime does."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from warmkit.local.http import serve
from warmkit.local.runtime_api.app import RuntimeApi
from warmkit.local.runtime_api.extensions import Extensions
from warmkit.local.runtime_api.runtime import Exchange, Runtime
from warmkit.local.runtime_api.values import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

RUNTIME = "/2018-06-01/runtime"
EXTENSION = "/2020-01-01/extension"


class Said(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return str(json.loads(self.body)["errorType"])


async def until(condition: Callable[[], object]) -> None:
    """Let others run until something is so."""
    while not condition():  # noqa: ASYNC110  what is tested has no event for it
        await asyncio.sleep(0.001)


class Platform:
    """The API of one environment, and somebody who talks to it from outside the loop."""

    def __init__(self, port: int, api: RuntimeApi) -> None:
        self.port = port
        self.runtime = api.runtime
        self.extensions = api.extensions

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        """Send a request on a connection of its own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        def exchange() -> Said:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request(method, path, body, named)
                answer = connection.getresponse()
                lowered = {name.lower(): value for name, value in answer.getheaders()}
                return Said(answer.status, lowered, answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(exchange)

    async def raw(self, *pieces: bytes, close: bool = False) -> bytes:
        """Send bytes as they are, and return what comes back first."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()
            await writer.wait_closed()
            return b""
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return answer

    async def open(self, event: object = 1, **facts: Any) -> tuple[Exchange, Said]:
        """Let an invocation be taken."""
        asking = asyncio.create_task(self.ask("GET", f"{RUNTIME}/invocation/next"))
        await until(lambda: self.runtime.ready)
        invocation = Invocation(
            request_id="r-1", event=json.dumps(event).encode(), function_arn="arn", **facts
        )
        return self.runtime.give(invocation), await asking


def spoken(
    concurrency: int = 1, external: tuple[str, ...] = (), *, snap_start: bool = False
) -> Callable[[Callable[[Platform], Coroutine[Any, Any, None]]], None]:
    """Decorator: runs a conversation with a new platform at once."""

    def drive(conversation: Callable[[Platform], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            api = RuntimeApi(snap_start=snap_start, metadata_token="t0ken")
            api.runtime = Runtime(concurrency, lambda: None)
            api.extensions = Extensions(
                external,
                about={"functionName": "f", "functionVersion": "1", "handler": "a.b"},
                account="123",
                concurrency=concurrency,
                changed=lambda: None,
            )
            server = await serve(api)
            try:
                await conversation(Platform(server.port, api))
            finally:
                await server.aclose()

        asyncio.run(main())

    return drive


# -- the runtime


def test_an_invocation_comes_with_everything_that_is_known_of_it_and_nothing_else() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, said = await platform.open({"a": 1}, deadline_ms=42, trace_id="Root=1")
        assert said.status == 200
        assert json.loads(said.body) == {"a": 1}
        named = {name: value for name, value in said.headers.items() if "lambda" in name}
        assert named == {
            "lambda-runtime-aws-request-id": "r-1",
            "lambda-runtime-deadline-ms": "42",
            "lambda-runtime-invoked-function-arn": "arn",
            "lambda-runtime-trace-id": "Root=1",
            "lambda-runtime-invocation-id": exchange.invocation.nonce,
        }


def test_who_asks_again_gets_the_same_invocation_again() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        _, first = await platform.open()
        again = await platform.ask("GET", f"{RUNTIME}/invocation/next")
        assert again.headers["lambda-runtime-aws-request-id"] == "r-1"
        assert again.body == first.body


def test_one_answer_is_taken_and_the_second_refused() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        first = await platform.ask("POST", f"{RUNTIME}/invocation/r-1/response", b'"x"')
        assert (first.status, json.loads(first.body)) == (202, {"status": "OK"})
        assert await exchange.replied.result().read() == b'"x"'
        for end in ("response", "error"):
            second = await platform.ask("POST", f"{RUNTIME}/invocation/r-1/{end}", b'"y"')
            assert (second.status, second.kind) == (403, "InvalidStateTransition")


def test_with_many_at_once_a_second_answer_is_an_unknown_id() -> None:
    @spoken(concurrency=4)
    async def _(platform: Platform) -> None:
        await platform.open()
        await platform.ask("POST", f"{RUNTIME}/invocation/r-1/response", b'"x"')
        second = await platform.ask("POST", f"{RUNTIME}/invocation/r-1/response", b'"y"')
        assert (second.status, second.kind) == (400, "InvalidRequestID")


def test_an_answer_to_nothing_is_refused() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        for path in ("r-1/response", "r-1/error"):
            said = await platform.ask("POST", f"{RUNTIME}/invocation/{path}", b"{}")
            assert (said.status, said.kind) == (400, "InvalidRequestID")
        await platform.open()
        said = await platform.ask("POST", f"{RUNTIME}/invocation/r-2/response", b"{}")
        assert (said.status, said.kind) == (400, "InvalidRequestID")


def test_a_stale_or_late_answer_is_gone() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        path = f"{RUNTIME}/invocation/r-1/response"
        stale = await platform.ask("POST", path, b"{}", Lambda_Runtime_Invocation_Id="another")
        assert (stale.status, stale.kind) == (410, "InvokeTimeout")
        platform.runtime.abandon(exchange)
        late = await platform.ask("POST", path, b"{}")
        assert (late.status, late.kind) == (410, "InvokeTimeout")


def test_the_right_nonce_is_taken() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, said = await platform.open()
        nonce = said.headers["lambda-runtime-invocation-id"]
        path = f"{RUNTIME}/invocation/r-1/response"
        said = await platform.ask("POST", path, b"1", Lambda_Runtime_Invocation_Id=nonce)
        assert said.status == 202
        assert exchange.replied.done()


def test_an_error_keeps_its_payload_and_the_platforms_idea_of_its_type() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        for given, kept in [
            ("Function.Mine", "Function.Mine"),
            ("Function.mine", "Function.Unknown"),
            ("ValueError", "Runtime.Unknown"),
            ("", "Runtime.Unknown"),
        ]:
            exchange, _ = await platform.open()
            headers = {"Lambda_Runtime_Function_Error_Type": given} if given else {}
            path = f"{RUNTIME}/invocation/r-1/error"
            said = await platform.ask("POST", path, b'{"errorType": "E"}', **headers)
            assert said.status == 202
            failure = exchange.replied.result().failure
            assert failure is not None
            assert (failure.kind, failure.told_kind) == (kept, "E")


def test_a_response_that_is_too_large_is_an_error_for_the_caller() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        body = b"x" * (6 * 1024 * 1024 + 101)
        said = await platform.ask("POST", f"{RUNTIME}/invocation/r-1/response", body)
        assert (said.status, said.kind) == (413, "RequestEntityTooLarge")
        failure = exchange.replied.result().failure
        assert failure is not None
        assert failure.kind == "Function.ResponseSizeTooLarge"
        assert "(6291556 bytes)" in failure.payload.decode()


def test_an_unknown_response_mode_is_refused() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        await platform.open()
        path = f"{RUNTIME}/invocation/r-1/response"
        mode = {"Lambda_Runtime_Function_Response_Mode": "poetic"}
        said = await platform.ask("POST", path, b"1", **mode)
        assert (said.status, said.kind) == (400, "InvalidFunctionResponseMode")


def test_a_response_that_breaks_off_is_an_error_for_the_caller() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        head = f"POST {RUNTIME}/invocation/r-1/response HTTP/1.1\r\nHost: x\r\n"
        await platform.raw(head.encode() + b"Content-Length: 100\r\n\r\nhalf", close=True)
        reply = await exchange.replied
        assert reply.failure is not None
        assert reply.failure.kind == "Runtime.TruncatedResponse"


STREAM = (
    f"POST {RUNTIME}/invocation/r-1/response HTTP/1.1\r\nHost: x\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
    "Content-Type: text/plain\r\n"
    "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
).encode()


def test_a_stream_arrives_while_it_is_being_sent() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        writer.write(STREAM + b"3\r\nabc\r\n")
        reply = await exchange.replied
        chunks = reply.chunks()
        assert (reply.streams, reply.content_type) == (True, "text/plain")
        assert await anext(chunks) == b"abc"
        writer.write(b"2\r\nde\r\n0\r\n\r\n")
        assert [chunk async for chunk in chunks] == [b"de"]
        assert reply.failure is None
        assert (await reader.readline()).startswith(b"HTTP/1.1 202 ")
        writer.close()
        await writer.wait_closed()


def test_what_went_wrong_in_the_middle_of_a_stream_stands_in_its_trailers() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        said = base64.b64encode(b'{"errorType": "E"}')
        trailers = (
            b"Lambda-Runtime-Function-Error-Type: Function.Mine\r\n"
            b"Lambda-Runtime-Function-Error-Body: " + said + b"\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        writer.write(STREAM + b"3\r\nabc\r\n")
        reply = await exchange.replied
        writer.write(b"0\r\n" + trailers)
        assert await reply.read() == b"abc"
        assert b" 202 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert reply.failure is not None
        assert (reply.failure.kind, reply.failure.told_kind) == ("Function.Mine", "E")


def test_a_stream_that_breaks_off_has_failed() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        exchange, _ = await platform.open()
        await platform.raw(STREAM + b"3\r\nabc\r\n", close=True)
        reply = await exchange.replied
        assert await reply.read() == b"abc"
        assert reply.failure is not None
        assert reply.failure.kind == "Runtime.TruncatedResponse"


def test_an_init_error_is_taken_once_and_only_before_the_first_invocation() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        path = f"{RUNTIME}/init/error"
        kind = {"Lambda_Runtime_Function_Error_Type": "Runtime.ImportModuleError"}
        assert (await platform.ask("POST", path, b"{}", **kind)).status == 202
        failure = platform.runtime.init_failure
        assert failure is not None
        assert failure.kind == "Runtime.ImportModuleError"
        again = await platform.ask("POST", path, b"{}")
        assert (again.status, again.kind) == (403, "InvalidStateTransition")
        asked = await platform.ask("GET", f"{RUNTIME}/invocation/next")
        assert (asked.status, asked.kind) == (403, "InvalidStateTransition")

    @spoken()
    async def _(platform: Platform) -> None:
        await platform.open()
        late = await platform.ask("POST", f"{RUNTIME}/init/error", b"{}")
        assert (late.status, late.kind) == (403, "InvalidStateTransition")


def test_a_poller_that_leaves_is_not_given_an_invocation() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        writer.write(f"GET {RUNTIME}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: platform.runtime.ready)
        writer.close()
        await until(lambda: not platform.runtime.ready)
        await platform.open()


def test_restore_exists_only_where_snapshots_do() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        said = await platform.ask("GET", f"{RUNTIME}/restore/next")
        assert (said.status, said.body) == (404, b"404 page not found\n")

    @spoken(snap_start=True)
    async def _(platform: Platform) -> None:
        waiting = asyncio.create_task(platform.ask("GET", f"{RUNTIME}/restore/next"))
        await until(lambda: platform.runtime.restoring)
        platform.runtime.restored.set()
        said = await waiting
        assert (said.status, said.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/2018-06-01/ping", 200, b"pong"),
        ("GET", "/", 404, b"404 page not found\n"),
        ("GET", f"{RUNTIME}/nothing", 404, b"404 page not found\n"),
        ("POST", f"{RUNTIME}/invocation/next", 405, b""),
        ("GET", f"{RUNTIME}/invocation/r-1/response", 405, b""),
        ("GET", f"{EXTENSION}/register", 405, b""),
    ],
)
def test_other_paths_and_methods(method: str, path: str, status: int, body: bytes) -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        said = await platform.ask(method, path)
        assert (said.status, said.body) == (status, body)


def test_the_metadata_are_for_who_has_the_token() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        path = "/2026-01-15/metadata/execution-environment"
        assert (await platform.ask("GET", path)).status == 401
        said = await platform.ask("GET", path, Authorization="Bearer t0ken")
        assert json.loads(said.body) == {"AvailabilityZoneID": "use1-az1"}


# -- extensions


async def register(platform: Platform, name: str, body: bytes = b"{}", **headers: str) -> Said:
    path = f"{EXTENSION}/register"
    return await platform.ask("POST", path, body, Lambda_Extension_Name=name, **headers)


def test_a_registered_extension_is_told_of_the_function() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        said = await register(platform, "a", Lambda_Extension_Accept_Feature="x, accountId")
        assert said.status == 200
        assert said.headers["lambda-extension-identifier"]
        assert json.loads(said.body) == {
            "functionName": "f",
            "functionVersion": "1",
            "handler": "a.b",
            "accountId": "123",
        }
        assert "accountId" not in json.loads((await register(platform, "b")).body)


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("", b"{}", "Extension.InvalidExtensionName"),
        ("a", b"", "InvalidRequestFormat"),
        ("a", b"[]", "InvalidRequestFormat"),
        ("a", b'{"events": "INVOKE"}', "InvalidRequestFormat"),
        ("a", b'{"events": [1]}', "InvalidRequestFormat"),
        ("a", b'{"events": ["invoke"]}', "Extension.InvalidEventType"),
        ("a", b'{"events": ["SHUTDOWN"]}', "Extension.InvalidEventType"),
        ("a", b'{"configurationKeys": ["k"]}', "InvalidRequestFormat"),
        ("known", b'{"events": ["NIGHT"]}', "Extension.InvalidEventType"),
    ],
)
def test_what_is_wrong_with_a_registration(name: str, body: bytes, kind: str) -> None:
    @spoken(external=("known",))
    async def _(platform: Platform) -> None:
        said = await register(platform, name, body)
        assert (said.status, said.kind) == (403, kind)


def test_names_are_unique_and_ten_are_enough() -> None:
    @spoken(external=("known",))
    async def _(platform: Platform) -> None:
        both = b'{"events": ["INVOKE", "SHUTDOWN"]}'
        assert (await register(platform, "known", both)).status == 200
        assert (await register(platform, "known", both)).kind == "Extension.InvalidExtensionState"
        assert (await register(platform, "n0")).status == 200
        assert (await register(platform, "n0")).kind == "Extension.InvalidExtensionState"
        for number in range(1, 9):
            assert (await register(platform, f"n{number}")).status == 200
        said = await register(platform, "n9")
        assert (said.status, said.kind) == (403, "Extension.TooManyExtensions")


def test_with_many_at_once_no_extension_hears_of_invocations() -> None:
    @spoken(concurrency=2, external=("known",))
    async def _(platform: Platform) -> None:
        for name in ("a", "known"):
            said = await register(platform, name, b'{"events": ["INVOKE"]}')
            assert (said.status, said.kind) == (403, "Extension.InvalidEventType")
        assert (await register(platform, "known", b'{"events": ["SHUTDOWN"]}')).status == 200


def test_registration_closes_when_the_runtime_is_there() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        platform.extensions.close_registration()
        said = await register(platform, "a")
        assert (said.status, said.kind) == (403, "Extension.RegistrationClosed")


def test_events_go_to_who_wants_them() -> None:
    @spoken(external=("known",))
    async def _(platform: Platform) -> None:
        said = await register(platform, "known", b'{"events": ["INVOKE", "SHUTDOWN"]}')
        mine = {"Lambda_Extension_Identifier": said.headers["lambda-extension-identifier"]}
        said = await register(platform, "silent")
        silent = {"Lambda_Extension_Identifier": said.headers["lambda-extension-identifier"]}
        path = f"{EXTENSION}/event/next"
        asking = asyncio.create_task(platform.ask("GET", path, **mine))
        never = asyncio.create_task(platform.ask("GET", path, **silent))
        await until(lambda: platform.extensions.all_ready)
        platform.extensions.tell_invoke({"requestId": "r-1"})
        assert not platform.extensions.all_ready
        said = await asking
        assert json.loads(said.body) == {"eventType": "INVOKE", "requestId": "r-1"}
        assert said.headers["lambda-extension-event-identifier"]
        platform.extensions.tell_shutdown({"shutdownReason": "spindown"})  # kept until it asks
        said = await platform.ask("GET", path, **mine)
        assert json.loads(said.body)["eventType"] == "SHUTDOWN"
        assert "lambda-extension-event-identifier" not in said.headers
        assert not never.done()
        platform.extensions.internal[0].tell({"eventType": "INVOKE"})  # lets the thread end
        await never


@pytest.mark.parametrize("path", ["event/next", "init/error", "exit/error"])
@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("", "Extension.MissingExtensionIdentifier"),
        ("nonsense", "Extension.InvalidExtensionIdentifier"),
        ("00000000-0000-4000-8000-000000000000", "Extension.UnknownExtensionIdentifier"),
    ],
)
def test_who_is_not_registered_is_refused(path: str, identifier: str, kind: str) -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        headers = {"Lambda_Extension_Function_Error_Type": "Extension.Mine"}
        if identifier:
            headers["Lambda_Extension_Identifier"] = identifier
        method = "GET" if path == "event/next" else "POST"
        said = await platform.ask(method, f"{EXTENSION}/{path}", **headers)
        assert (said.status, said.kind) == (403, kind)


def test_an_extension_may_give_up() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        said = await register(platform, "a")
        headers = {"Lambda_Extension_Identifier": said.headers["lambda-extension-identifier"]}
        path = f"{EXTENSION}/init/error"
        said = await platform.ask("POST", path, b"{}", **headers)
        assert (said.status, said.kind) == (403, "Extension.MissingHeader")
        headers["Lambda_Extension_Function_Error_Type"] = "Extension.Mine"
        assert (await platform.ask("POST", path, b"{}", **headers)).status == 202
        failed = platform.extensions.failed
        assert failed is not None
        assert failed.failure == "Extension.Mine"
        said = await platform.ask("GET", f"{EXTENSION}/event/next", **headers)
        assert (said.status, said.kind) == (403, "Extension.InvalidExtensionState")


def test_a_connection_is_kept_however_long_nothing_is_said() -> None:
    @spoken()
    async def _(platform: Platform) -> None:
        with socket.create_connection(("127.0.0.1", platform.port)) as connection:
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            for _ in range(2):
                await loop.sock_sendall(
                    connection, b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n"
                )
                answer = b""
                while not answer.endswith(b"pong"):
                    answer += await loop.sock_recv(connection, 1000)
                assert b"connection: close" not in answer.lower()
