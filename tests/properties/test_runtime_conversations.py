"""Whatever the platform and the network do to exchanges, each invocation is answered with its own result, and it ends."""

import asyncio
import logging
from collections import Counter
from itertools import pairwise

import pytest
from hostile_platform import NONSENSE, TAKEN, HostilePlatform, reset
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from warmkit.runtime import api as api_module
from warmkit.runtime import http, lines
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.failure import Failure
from warmkit.runtime.http import ExchangeError, Parser
from warmkit.runtime.lines import BlockingLine, LoopLine, at_once

PATIENCE = 60
"""Seconds: only a hang takes that long."""
EVIL = (
    f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {NONSENSE}\r\n"
    "Lambda-Runtime-Deadline-Ms: 4000000000000\r\nContent-Length: 2\r\n\r\n{}"
).encode()


def end(connection):
    connection.close()


fractions = st.floats(0, 1)
ways = st.sampled_from([reset, end])
exchanges = st.one_of(
    st.just(("well",)),
    st.tuples(st.just("well"), fractions, fractions, fractions),
    st.tuples(st.just("lose_request"), ways),
    st.tuples(st.just("lose_answer"), ways, fractions),
    st.tuples(st.just("stall"), fractions),
    st.tuples(st.just("say"), st.sampled_from([204, 301, 400, 403, 404, 410, 413, 429, 500, 503])),
    st.tuples(st.just("garbage"), st.binary(max_size=30)),
    st.tuples(st.just("announce"), st.integers(1, 3)),
    st.tuples(st.just("chunk"), st.integers(1, 9)),
    st.just(("part",)),
    st.tuples(st.just("end_after"), ways),
    st.tuples(st.just("add"), st.sampled_from([EVIL, TAKEN, b"\0", b"HTTP/1.1 2"])),
    st.tuples(st.just("misname"), st.sampled_from([None, "", "a/../b", "\xe9", "id-0, id-1"])),
    st.tuples(st.just("inflate"), st.just(5000)),
)
scripts = st.lists(exchanges, max_size=12)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The same number of attempts, without the pauses; small limits."""
    monkeypatch.setattr(api_module, "PAUSES", (0.0,) * len(api_module.PAUSES))
    monkeypatch.setattr(api_module, "POST_TIMEOUT", 0.1)
    monkeypatch.setattr(lines, "REST", 0.1)
    monkeypatch.setattr(http, "MAX_HEADERS", 4000)


async def serve(api):
    """Serves as the runtime does, until the platform is gone; returns the request ids that it was given."""
    served = []
    try:
        while True:
            received = await api.next()
            served.append(received.request_id)
            if len(served) % 3:
                await api.respond(received, f"for {received.request_id}".encode(), "text/plain")
            else:
                await api.fail(received, Failure("Function.Oops", "Oops", received.request_id))
    except ApiGoneError as gone:
        logging.getLogger("warmkit").error("%s", gone)  # noqa: TRY400  as the process does
        return served
    finally:
        api.close()


def converse(kind, address):
    api = RuntimeApi(kind(address))
    if kind is BlockingLine:
        return at_once(serve(api))
    return asyncio.run(asyncio.wait_for(serve(api), PATIENCE))


@pytest.mark.parametrize("kind", [BlockingLine, LoopLine])
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(invocations=st.integers(1, 5), script=scripts)
@example(invocations=1, script=[("well",), ("lose_answer", reset, 0.5), ("well",)])
@example(invocations=2, script=[("well",), ("lose_request", end), ("lose_request", reset)])
@example(invocations=2, script=[("add", EVIL), ("add", TAKEN), ("add", EVIL)])
@example(invocations=1, script=[("well",), ("say", 500)])
def test_each_invocation_is_answered_with_its_own_result(kind, invocations, script, caplog):
    caplog.clear()
    caplog.set_level(logging.WARNING)
    with HostilePlatform(invocations, script) as platform:
        served = converse(kind, platform.address)
    assert set(served) <= {f"id-{number}" for number in range(invocations)}
    posted = Counter(request_id for request_id, *_ in platform.posts)
    for request_id, how, body, echo in platform.posts:
        assert echo == f"n\u00f6nce-{request_id}"
        if how == "response":
            assert body == f"for {request_id}".encode()
        else:
            assert f'"errorMessage": "{request_id}"'.encode() in body
    for request_id, often in Counter(served).items():
        assert 1 <= posted[request_id] <= 2 * often, "once, and once more where an exchange broke"
    assert set(posted) <= set(served)
    for request_id, often in platform.given.items():
        assert served.count(request_id) >= often, "what arrived whole is served"
    assert max(Counter(platform.taken).values(), default=1) == 1
    assert len(caplog.records) >= len(platform.faults), platform.faults
    assert all("\n" not in record.getMessage() for record in caplog.records)


# -- the parser


headers = st.lists(
    st.tuples(
        st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(lambda n: f"X-{n}"),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")),
    ),
    max_size=8,
)
NO_BODY = {204, 304}


@st.composite
def messages(draw):
    """A well-formed answer as bytes, and what it says."""
    status = draw(st.integers(200, 599).filter(lambda status: status not in NO_BODY))
    said, body = draw(headers), draw(st.binary(max_size=60))
    head = f"HTTP/1.1 {status} Said\r\n" + "".join(f"{n}: {v}\r\n" for n, v in said)
    size = draw(st.integers(0, 20))
    if size:
        pieces = [body[begin : begin + size] for begin in range(0, len(body), size)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        data = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode("latin-1") + framed + b"0\r\n\r\n"
    else:
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
    early = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.integers(0, 2))
    return early + data, status, said, body


def fed(parser, data, cuts):
    """Feeds the bytes in pieces; returns all answers."""
    ends = sorted({int(cut * len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[a:b] for a, b in pairwise(ends)]
    return [answer for piece in pieces if (answer := parser.feed(piece)) is not None]


@given(message=messages(), cuts=st.lists(fractions, max_size=8), twice=st.booleans())
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(message, cuts, twice):
    data, status, said, body = message
    parser = Parser()
    for _ in range(1 + twice):  # a connection carries many
        (answer,) = fed(parser, data, cuts)
        assert (answer.status, answer.body, parser.keeps_alive) == (status, body, True)
        for name in {name for name, _ in said}:
            values = [value.strip(" \t").encode("latin-1") for n, value in said if n == name]
            got = answer.headers()[name.lower().encode()]
            assert [value.strip() for value in got.split(b", ")] == [
                part.strip() for value in values for part in value.split(b", ")
            ]


@given(message=messages(), cuts=st.lists(fractions, max_size=4), data=st.data())
def test_a_damaged_answer_is_an_answer_an_error_or_incomplete_and_never_more(message, cuts, data):
    whole = bytearray(message[0])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not whole:
            return
    parser = Parser()
    try:
        answers = fed(parser, bytes(whole), cuts)
    except ExchangeError:
        assert not parser.keeps_alive
        return
    for answer in answers:
        assert 200 <= answer.status <= 999
        assert not any(set(b"\r\n\0") & set(value) for value in answer.headers().values())
