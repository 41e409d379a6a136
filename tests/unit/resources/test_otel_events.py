"""What is read from an event, a context and the environment's variables: names, triggers, parents, links."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from opentelemetry import propagate, trace
from opentelemetry.baggage import get_baggage
from opentelemetry.propagators.textmap import TextMapPropagator

from warmkit import Call
from warmkit.clock import Reading
from warmkit.resources import faas_attributes
from warmkit.resources.otel.faas import is_cold_start, span_attributes, span_name, trigger_of
from warmkit.resources.otel.parents import MOST_LINKS, links_of, parent_of

TRACE, SPAN = 0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8
TRACEPARENT = f"00-{TRACE:032x}-{SPAN:016x}-01"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"


# -- triggers


@pytest.mark.parametrize(
    ("event", "trigger"),
    [
        ({"httpMethod": "GET", "headers": {}, "requestContext": {"stage": "prod"}}, "http"),
        ({"version": "2.0", "requestContext": {"http": {"method": "GET"}}}, "http"),
        ({"requestContext": {"elb": {}}, "httpMethod": "GET"}, "http"),
        ({"requestContext": {"connectionId": "x", "eventType": "MESSAGE"}}, "http"),
        ({"Records": [{"eventSource": "aws:sqs"}]}, "pubsub"),
        ({"Records": [{"EventSource": "aws:sns"}]}, "pubsub"),
        ({"Records": [{"eventSource": "aws:kinesis"}]}, "pubsub"),
        ({"eventSource": "aws:kafka", "records": {}}, "pubsub"),
        ({"eventSource": "aws:rmq"}, "pubsub"),
        ({"Records": [{"eventSource": "aws:s3"}]}, "datasource"),
        ({"Records": [{"eventSource": "aws:dynamodb"}]}, "datasource"),
        ({"source": "aws.events", "detail-type": "Scheduled Event"}, "timer"),
        ({"source": "orders", "detail-type": "order placed"}, "pubsub"),
        ({"Records": []}, "other"),
        ({"Records": ["text"]}, "other"),
        ({"Records": [{"eventSource": ["aws:sqs"]}]}, "other"),
        ({"id": 1}, "other"),
        ([1, 2], "other"),
        ("text", "other"),
        (None, "other"),
    ],
)
def test_the_trigger_is_told_by_the_events_shape(event, trigger):
    assert trigger_of(event) == trigger


# -- what the context says


def context(**attributes):
    return SimpleNamespace(
        **{
            "function_name": "orders",
            "function_version": "7",
            "aws_request_id": "8f5b9e6e",
            "log_stream_name": "2026/01/01/[7]abc",
            "invoked_function_arn": ARN,
            **attributes,
        }
    )


@pytest.mark.parametrize(
    ("invoked", "ran"),
    [
        (ARN, ARN),
        (f"{ARN}:live", f"{ARN}:7"),
        (f"{ARN}:7", f"{ARN}:7"),
    ],
)
def test_an_alias_is_replaced_by_the_version_that_ran(invoked, ran):
    assert span_attributes(context(invoked_function_arn=invoked)) == {
        "faas.invocation_id": "8f5b9e6e",
        "faas.instance": "2026/01/01/[7]abc",
        "aws.lambda.invoked_arn": invoked,
        "cloud.resource_id": ran,
        "cloud.account.id": "123456789012",
    }


@pytest.mark.parametrize(
    "strange", [None, object(), MagicMock(), SimpleNamespace(aws_request_id=5)]
)
def test_a_context_that_says_nothing_leaves_nothing_behind(strange, monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    assert span_attributes(strange) == {}
    assert span_name(Call(None, strange)) == "handler"


def test_a_malformed_arn_is_passed_on_as_it_is():
    found = span_attributes(SimpleNamespace(invoked_function_arn="orders"))
    assert found == {"aws.lambda.invoked_arn": "orders", "cloud.resource_id": "orders"}


def test_a_span_is_named_by_its_function(monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "from-variable")
    assert span_name(Call(None, context())) == "orders"
    assert span_name(Call(None, None)) == "from-variable"


def test_the_environment_describes_itself(monkeypatch):
    for name, value in {
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    assert faas_attributes() == {
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": "eu-west-1",
        "faas.name": "orders",
        "faas.version": "7",
        "faas.instance": "stream",
        "faas.max_memory": 134_217_728,
    }
    monkeypatch.delenv("AWS_LAMBDA_LOG_STREAM_NAME")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much")
    assert not {"faas.instance", "faas.max_memory"} & set(faas_attributes())


def test_outside_of_lambda_there_is_nothing_to_describe(monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert faas_attributes() == {}


# -- cold starts


def at(seconds):
    return Reading(seconds, seconds, seconds)


@pytest.mark.parametrize(
    ("number", "after", "kind", "cold"),
    [
        (1, 0.5, None, True),
        (1, 0.5, "on-demand", True),
        (1, 10.0, "on-demand", True),
        (1, 10.1, "on-demand", False),  # initialized ahead of it
        (2, 0.5, "on-demand", False),
        (1, 0.5, "provisioned-concurrency", False),
        (1, 0.5, "lambda-managed-instances", False),
        (1, 0.5, "snap-start", True),
        (1, 200_000.0, "snap-start", True),  # restored for it, from a snapshot of days ago
        (2, 0.5, "snap-start", False),
        (None, 0.5, None, False),
    ],
)
def test_a_start_is_cold_if_somebody_waited_for_it(monkeypatch, number, after, kind, cold):
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    if kind is not None:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    assert is_cold_start(number, at(1000.0), at(1000.0 + after)) is cold


def test_a_freeze_between_init_and_the_first_invocation_counts_though_a_clock_stood_still():
    assert not is_cold_start(1, at(1000.0), Reading(1600.0, 1000.1, 1000.1))


# -- parents


def parent(event, carrier=None):
    found = trace.get_current_span(parent_of(Call(event, "the context"), carrier))
    sent = found.get_span_context()
    return (sent.trace_id, sent.span_id) if sent.is_valid else None


@pytest.mark.parametrize(
    "event",
    [
        {"headers": {"traceparent": TRACEPARENT}},
        {"headers": {"TraceParent": TRACEPARENT, "Accept": "*/*"}},
        {"headers": None, "multiValueHeaders": {"Traceparent": [TRACEPARENT]}},
        {"headers": {"traceparent": "broken"}, "multiValueHeaders": {"traceparent": [TRACEPARENT]}},
    ],
)
def test_the_parent_is_in_the_events_headers(event):
    assert parent(event) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "event",
    [
        None,
        "text",
        {},
        {"headers": None},
        {"headers": []},
        {"headers": {"traceparent": None}},
        {"headers": {"traceparent": []}},
        {"headers": {"traceparent": 5}},
        {"headers": {5: TRACEPARENT}},
        {"headers": {"traceparent": "broken"}},
        {"multiValueHeaders": {"traceparent": "x", "y": [None]}},
    ],
)
def test_what_says_nothing_of_a_parent_has_none(event):
    assert parent(event) is None


def test_the_parent_is_never_what_happens_to_be_current():
    other = trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(other)):
        assert parent({}) is None
        assert parent({"headers": {"traceparent": TRACEPARENT}}) == (TRACE, SPAN)


def test_a_carrier_finds_the_parent_elsewhere():
    seen = []

    def carrier(event, context):
        seen.append(context)
        return event["detail"]

    assert parent({"detail": {"Traceparent": TRACEPARENT}}, carrier) == (TRACE, SPAN)
    assert seen == ["the context"]


def test_a_carrier_that_fails_costs_the_parent_and_no_more(caplog):
    assert parent({}, lambda event, context: event["detail"]) is None
    assert [record.exc_info[0] for record in caplog.records] == [KeyError]


def test_baggage_comes_along():
    found = parent_of(Call({"headers": {"Baggage": "shop=7"}}, None), None)
    assert get_baggage("shop", found) == "7"


@pytest.fixture
def _own_propagator():
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


@pytest.mark.usefixtures("_own_propagator")
def test_the_configured_propagator_is_asked_whatever_the_headers_are():
    """As X-Ray's must be, which reads an environment variable."""
    asked = []

    class Other(TextMapPropagator):
        def extract(self, carrier, context=None, getter=None):
            asked.append((getter.get(carrier, "X-Amzn-Trace-Id"), getter.keys(carrier)))
            return context

        def inject(self, carrier, context=None, setter=None):
            raise AssertionError

        fields = frozenset()

    propagate.set_global_textmap(Other())
    parent({"headers": {"x-amzn-trace-id": XRAY}})
    parent(None)
    assert asked == [([XRAY], ["x-amzn-trace-id"]), (None, [])]


# -- links


def message(header=None, **attributes):
    return {
        "eventSource": "aws:sqs",
        "attributes": {} if header is None else {"AWSTraceHeader": header},
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in attributes.items()
        },
    }


def links(*records):
    return [
        (link.context.trace_id, link.context.span_id, int(link.context.trace_flags))
        for link in links_of({"Records": list(records)})
    ]


def test_messages_are_linked_to_their_senders():
    second = XRAY.replace("Sampled=1", "Sampled=0").replace("Parent=5", "Parent=6")
    found = links(message(XRAY), message(), message(second), message(traceparent=TRACEPARENT))
    assert found == [(TRACE, SPAN, 1), (TRACE, SPAN + (1 << 60), 0), (TRACE, SPAN, 1)]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8",
        "Parent=53995c3f42cd8ad8",
        "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
        ";;=;",
        5,
    ],
)
def test_a_header_that_names_no_span_is_no_link(header):
    assert links(message(header)) == []


@pytest.mark.parametrize(
    "event",
    [
        None,
        {"eventSource": "aws:sqs"},
        {"eventSource": "aws:sqs", "Records": "text"},
        {"Records": [{**message(XRAY), "eventSource": "aws:sns"}]},
        {"Records": [message(), None, "text", {"attributes": [], "messageAttributes": "x"}]},
    ],
)
def test_what_is_no_batch_of_messages_has_no_links(event):
    assert links_of(event) == []


def test_a_batch_of_thousands_has_as_many_links_as_a_span_can_have():
    assert len(links(*[message(XRAY)] * 3000)) == MOST_LINKS
