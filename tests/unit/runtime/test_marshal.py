"""Events and results as bytes."""

import datetime as dt
import json
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmkit.runtime import marshal
from warmkit.runtime.failure import RuntimeFailureError
from warmkit.runtime.marshal import read_event, write_result

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_json_can_say_is_said_exactly(value):
    body, content_type = write_result(value)
    assert (json.loads(body), content_type) == (value, "application/json")
    assert read_event(body, content_type) == value


def test_text_is_utf_8_and_half_a_surrogate_pair_is_escaped():
    assert write_result("café") == ('"café"'.encode(), "application/json")
    assert write_result("\ud800") == (b'"\\ud800"', "application/json")


def test_a_decimal_is_written_as_the_number_it_is():
    exact = Decimal("1234567890.123456789012345678901234567890")
    assert write_result({"total": exact})[0] == f'{{"total": {exact}}}'.encode()


class Pair(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Pair(1, 2), '{"x": 1, "y": 2}'),
        ({"pairs": [(1, Pair(1, 2))]}, '{"pairs": [[1, {"x": 1, "y": 2}]]}'),
        ({b"key": [b"caf\xc3\xa9"]}, '{"key": ["café"]}'),
    ],
)
def test_named_tuples_are_objects_and_bytes_within_are_text_as_under_aws_s_runtime(value, written):
    assert write_result(value)[0].decode() == written


@given(values)
def test_what_is_written_quickly_is_written_as_aws_s_encoder_writes_it(value):
    body = write_result(value)[0]
    beside = write_result([value, Decimal(1)])[0]
    assert beside == b"[%b, 1]" % body


@pytest.mark.parametrize("value", [b"\x00\xff", bytearray(b"\x00\xff")])
def test_bytes_are_sent_as_they_are(value):
    assert write_result(value) == (b"\x00\xff", "application/octet-stream")


class Loop(list):
    def __init__(self):
        super().__init__([self])


DEEP = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "response is of type object"),
        (
            {"a": [1, {"b": float("nan")}]},
            "response['a'][1]['b'] is nan, which is no number in JSON",
        ),
        ([Decimal("sNaN")], "response[0] is sNaN, which is no number in JSON"),
        ({"total": Decimal(1), "body": b"\xff"}, "response['body'] is of type bytes, and no UTF-8"),
        ({"total": Decimal(1), b"\xff": 1}, "a key of response is of type bytes, and no UTF-8"),
        ((1, Pair({1}, 2)), "response[1]['x'] is of type set"),
        ([Decimal("Infinity")], "response[0] is Infinity, which is no number in JSON"),
        ([Decimal(1), {1, 2}], "response[1] is of type set"),
        ({"at": dt.date(2026, 1, 1)}, "response['at'] is of type date"),
        ({(1, 2): 3}, "response has a key of type tuple"),
        (Loop(), "response[0] contains itself"),
        (DEEP, "it is nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_json_cannot_say_is_an_error_that_says_where(value, message):
    with pytest.raises(RuntimeFailureError) as raised:
        write_result(value)
    assert raised.value.failure.kind == "Runtime.MarshalError"
    assert raised.value.failure.message.startswith(f"Unable to marshal response: {message}")


def test_a_response_that_is_too_large_is_refused_before_it_is_sent(monkeypatch):
    monkeypatch.setattr(marshal, "MAX_RESPONSE", 10)
    assert write_result("x" * 8)[0] == b'"xxxxxxxx"'
    with pytest.raises(RuntimeFailureError, match="has 11 bytes, and Lambda takes 10") as raised:
        write_result("x" * 9)
    assert raised.value.failure.kind == "Runtime.ResponseSizeTooLarge"


@pytest.mark.parametrize("said", ["", "application/json", "Application/JSON; charset=utf-8"])
def test_json_is_read_whatever_parameters_it_is_announced_with(said):
    assert read_event(b'{"a": 1}', said) == {"a": 1}


def test_what_is_announced_as_something_else_arrives_as_bytes():
    assert read_event(b"\x00", "application/x-protobuf") == b"\x00"


@given(values, st.text(" \t\n\r"), st.text(" \t\n\r"))
def test_json_may_stand_between_spaces(value, before, after):
    assert read_event(f"{before}{json.dumps(value)}{after}".encode(), "") == value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b"{} {}", b"1,", b"\x0c1", "\u00a01".encode()]
)
def test_an_event_that_is_no_json_is_an_error(body):
    with pytest.raises(RuntimeFailureError, match="Unable to unmarshal input") as raised:
        read_event(body, "application/json")
    assert raised.value.failure.kind == "Runtime.UnmarshalError"
