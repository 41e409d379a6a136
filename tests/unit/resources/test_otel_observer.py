"""Spans and metrics of handlers of every colour, with the real SDK in memory."""

import asyncio
import logging
import sys
import threading
from collections import Counter
from contextlib import suppress
from contextvars import copy_context
from types import SimpleNamespace

import pytest
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode
from otel_sdk import Sdk

from warmkit import (
    DefinitionError,
    Environment,
    Event,
    EventKind,
    StartError,
    TeardownError,
    resource,
    warm_handler,
)
from warmkit.resources import MissingPackageError, otel_observer, tracer
from warmkit.resources.otel.observer import OtelObserver
from warmkit.testing import FakeResource, run

TRACE, SPAN = 0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8
TRACEPARENT = f"00-{TRACE:032x}-{SPAN:016x}-01"
CONTEXT = SimpleNamespace(function_name="orders", aws_request_id="8f5b9e6e")


@pytest.fixture
def sdk(monkeypatch):
    return Sdk(monkeypatch)


def current():
    return trace.get_current_span().get_span_context().span_id


def handlers(**arguments):
    """The same handler in each colour: it makes a span of its own, and returns its parent."""

    def work():
        with trace.get_tracer("user").start_as_current_span("own"):
            return contexts.get_current()

    @warm_handler(**arguments)
    async def asynchronous(event, context, **values):
        await asyncio.sleep(0)
        return work()

    @warm_handler(**arguments)
    def plain(event, context, **values):
        return work()

    return {"async": asynchronous, "plain": plain}


def inside(main, **environment):
    async def enter():
        async with Environment(**environment) as entered:
            return await main(entered)

    return asyncio.run(enter())


# -- spans


def test_a_first_invocation_as_a_tree(sdk):
    sdk.trace()
    db, s3 = FakeResource("db"), FakeResource("s3")
    handler = handlers(observers=[otel_observer()], db=db.resource, s3=s3.resource)["async"]

    async def main(environment):
        for _ in range(2):
            await handler.invoke({"requestContext": {}}, CONTEXT)
        return environment.id

    environment_id = inside(main)
    invocations = [
        ("start db", "orders"),
        ("start s3", "orders"),
        ("own", "orders"),
        ("orders", None),
    ]
    assert sorted(sdk.tree()[:4]) == sorted(invocations)
    assert sdk.tree()[4:6] == [("own", "orders"), ("orders", None)]
    assert sorted(sdk.tree()[6:]) == [("close db", None), ("close s3", None)]
    first, second = [span for span in sdk.spans if span.name == "orders"]
    assert first.kind is SpanKind.SERVER
    assert first.instrumentation_scope.name == "warmkit"
    assert dict(first.attributes) == {
        "faas.trigger": "http",
        "faas.coldstart": True,
        "faas.invocation_id": "8f5b9e6e",
        "warmkit.environment.id": environment_id,
    }
    assert second.attributes["faas.coldstart"] is False
    assert second.attributes["warmkit.gap"] > 0
    assert first.context.trace_id != second.context.trace_id
    start = next(span for span in sdk.spans if span.name == "start db")
    assert start.kind is SpanKind.INTERNAL
    assert dict(start.attributes) == {
        "warmkit.resource.name": "db",
        "warmkit.environment.id": environment_id,
    }


def test_a_span_lasts_as_long_as_what_it_tells_of(sdk, clock):
    sdk.trace()
    db = FakeResource("db", starts=[0.5], checks=[0.25], check_after=10)
    handler = handlers(observers=[otel_observer(clock=clock)], db=db.resource)["async"]

    async def main():
        async with Environment(clock=clock):
            await handler.invoke(None, CONTEXT)
            clock.advance(20)
            await handler.invoke(None, CONTEXT)

    run(main, clock=clock)
    lasted = [(span.name, round((span.end_time - span.start_time) / 1e9, 3)) for span in sdk.spans]
    assert [item for item in lasted if item[0] != "own"] == [
        ("start db", 0.5),
        ("orders", 0.5),
        ("check db", 0.25),
        ("orders", 0.25),
        ("close db", 0.0),
    ]
    start, _, first, *_ = sdk.spans
    assert first.start_time <= start.start_time < start.end_time <= first.end_time
    check = next(span for span in sdk.spans if span.name == "check db")
    assert check.attributes["warmkit.gap"] == pytest.approx(20)


def test_a_value_that_is_replaced_is_a_rebuild_and_noted_on_the_invocation(sdk, clock):
    sdk.trace()
    db = FakeResource("db", max_age=5)
    handler = handlers(observers=[otel_observer(clock=clock)], db=db.resource)["async"]

    async def main():
        async with Environment(clock=clock) as environment:
            await handler.invoke(None, CONTEXT)
            clock.advance(6)
            await handler.invoke(None, CONTEXT)
            await environment.settle()

    run(main, clock=clock)
    assert [item for item in sdk.tree() if item[0] != "own"] == [
        ("start db", "orders"),
        ("orders", None),
        ("rebuild db", "orders"),
        ("close db", "orders"),
        ("orders", None),
        ("close db", None),
    ]
    noted = [[(item.name, dict(item.attributes)) for item in span.events] for span in sdk.spans]
    assert [item for item in noted if item] == [
        [
            (
                "warmkit.resource.retired",
                {"warmkit.resource.name": "db", "warmkit.reason": "its time was over"},
            )
        ]
    ]


def test_what_is_done_ahead_of_any_invocation_is_a_trace_of_its_own(sdk):
    sdk.trace()
    db = FakeResource("db")
    handler = handlers(observers=[otel_observer()], db=db.resource)["async"]

    async def main(environment):
        environment.observe(handler._observers[0])
        with trace.get_tracer("user").start_as_current_span("somebody else's"):
            await environment.prewarm(db.resource)
        await handler.invoke(None, CONTEXT)

    inside(main)
    assert sdk.tree()[0] == ("start db", None)


def test_a_resource_of_invocation_scope_belongs_to_its_invocation(sdk):
    sdk.trace()

    @resource(scope="invocation")
    async def transaction():
        yield 1

    handler = handlers(observers=[otel_observer()], transaction=transaction)["async"]

    async def main(environment):
        await handler.invoke(None, CONTEXT)

    inside(main)
    assert sdk.tree() == [
        ("start transaction", "orders"),
        ("own", "orders"),
        ("close transaction", "orders"),
        ("orders", None),
    ]


# -- failures


def test_a_handler_that_fails_is_an_error_with_its_exception(sdk):
    sdk.trace()

    @warm_handler(observers=[otel_observer()])
    async def handler(event):
        raise KeyError("no such order") from ValueError("its cause, which is not what went wrong")

    async def main(environment):
        with pytest.raises(KeyError):
            await handler.invoke(None, CONTEXT)

    inside(main)
    (span,) = sdk.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "KeyError"
    (event,) = span.events
    assert event.attributes["exception.message"] == "'no such order'"


def test_an_exception_that_cannot_be_shown_is_an_error_all_the_same(sdk, caplog):
    sdk.trace()

    class UnspeakableError(Exception):
        def __str__(self):
            raise RuntimeError("no")

    @warm_handler(observers=[otel_observer()])
    async def handler(event):
        raise UnspeakableError

    async def main(environment):
        with pytest.raises(UnspeakableError):
            await handler.invoke(None, CONTEXT)

    inside(main)
    (span,) = sdk.spans
    assert span.status.status_code is StatusCode.ERROR
    assert [record.name for record in caplog.records] == ["warmkit"]


def test_a_resource_that_fails_says_by_what_and_quotes_nothing(sdk):
    sdk.trace()

    class DriverError(Exception):
        pass

    @resource
    async def db():
        raise DriverError("cannot parse postgres://u:s3ntinel@host")

    handler = handlers(observers=[otel_observer()], db=db)["async"]

    async def main(environment):
        with pytest.raises(StartError):
            await handler.invoke(None, CONTEXT)

    inside(main)
    start, invocation = sdk.spans
    assert (start.name, start.status.status_code) == ("start db", StatusCode.ERROR)
    for span in (start, invocation):
        assert span.attributes["error.type"].endswith(".DriverError")
    assert "s3ntinel" not in start.to_json()
    assert start.events == ()


@pytest.mark.parametrize("kind", ["check", "close"])
def test_failed_checks_and_closes_are_errors_of_their_own_spans_alone(sdk, clock, kind):
    sdk.trace()
    failing = {"check": {"checks": [OSError("gone")]}, "close": {"closes": [OSError("gone")]}}[kind]
    db = FakeResource("db", check_after=1, **failing)
    handler = handlers(observers=[otel_observer(clock=clock)], db=db.resource)["async"]

    async def main():
        async with Environment(clock=clock):
            await handler.invoke(None, CONTEXT)
            clock.advance(5)
            await handler.invoke(None, CONTEXT)

    with suppress(TeardownError):  # of the one that does not close
        run(main, clock=clock)
    failed = [span for span in sdk.spans if span.status.status_code is StatusCode.ERROR]
    assert [(span.name, span.attributes["error.type"]) for span in failed] == [
        (f"{kind} db", "OSError")
    ]


def test_a_cancelled_invocation_ends_as_an_error(sdk):
    sdk.trace()
    started = asyncio.Event()

    @warm_handler(observers=[otel_observer()])
    async def handler(event):
        started.set()
        await asyncio.get_running_loop().create_future()

    async def main(environment):
        task = asyncio.create_task(handler.invoke(None, CONTEXT))
        await started.wait()
        task.cancel()
        await asyncio.wait([task])

    inside(main)
    (span,) = sdk.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


# -- parents and what is current


def test_an_invocation_continues_its_callers_trace(sdk):
    sdk.trace()
    handler = handlers(observers=[otel_observer()])["async"]

    async def main(environment):
        with trace.get_tracer("user").start_as_current_span("somebody else's"):
            await handler.invoke({"headers": {"Traceparent": TRACEPARENT}}, CONTEXT)
            await handler.invoke({}, CONTEXT)

    inside(main)
    assert sdk.tree() == [
        ("own", "orders"),
        ("orders", "remote"),
        ("own", "orders"),
        ("orders", None),
        ("somebody else's", None),
    ]
    assert sdk.spans[1].context.trace_id == TRACE
    assert sdk.spans[1].parent.span_id == SPAN


def test_the_messages_of_a_batch_are_linked(sdk):
    sdk.trace()
    record = {
        "eventSource": "aws:sqs",
        "attributes": {
            "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8"
        },
    }
    handler = handlers(observers=[otel_observer()])["async"]

    async def main(environment):
        await handler.invoke({"Records": [record]}, CONTEXT)

    inside(main)
    span = sdk.spans[-1]
    assert [link.context.trace_id for link in span.links] == [TRACE]
    assert span.parent is None


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_handlers_own_spans_are_children_under_a_synchronous_host(sdk, kind, caplog):
    sdk.trace()
    handler = handlers(observers=[otel_observer()], db=FakeResource("db").resource)[kind]
    before = contexts.get_current()
    for _ in range(3):
        handler(None, CONTEXT)
        assert contexts.get_current() == before
    assert [item for item in sdk.tree() if item[0] != "start db"] == [
        ("own", "orders"),
        ("orders", None),
    ] * 3
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_so_it_is_where_a_loop_runs_and_the_callers_context_comes_back(sdk, kind, caplog):
    sdk.trace()
    handler = handlers(observers=[otel_observer()], db=FakeResource("db").resource)[kind]

    async def main(environment):
        with trace.get_tracer("user").start_as_current_span("caller's"):
            before = contexts.get_current()
            for _ in range(2):
                await handler.invoke(None, CONTEXT)
                assert contexts.get_current() is before

    inside(main)
    assert sdk.tree() == [
        ("start db", "orders"),
        *[("own", "orders"), ("orders", None)] * 2,
        ("caller's", None),
        ("close db", None),
    ]
    assert caplog.records == []


@pytest.mark.parametrize("failing", [ValueError("no"), asyncio.CancelledError()])
def test_nothing_leaks_into_the_next_invocation_of_the_same_task(sdk, failing, caplog):
    sdk.trace()

    @warm_handler(observers=[otel_observer()])
    async def handler(event):
        contexts.attach(contexts.Context({"left": "behind"}))
        raise failing

    async def main(environment):
        for _ in range(2):
            with pytest.raises(type(failing)):
                await handler.invoke(None, CONTEXT)
            assert contexts.get_current() == {}

    inside(main)
    assert sdk.tree() == [("orders", None)] * 2
    assert caplog.records == []


def test_handlers_that_call_handlers_come_back_to_themselves(sdk):
    sdk.trace()
    observer = otel_observer()
    inner = handlers(observers=[observer])["async"]

    @warm_handler(observers=[observer])
    async def outer(event):
        before = current()
        await inner.invoke(None, SimpleNamespace(function_name="inner"))
        assert current() == before
        return before

    async def main(environment):
        assert await outer.invoke(None, CONTEXT) != 0
        assert current() == 0

    inside(main)
    assert sdk.tree() == [("own", "inner"), ("inner", None), ("orders", None)]


def test_a_coroutine_that_is_closed_elsewhere_logs_nothing_and_leaves_others_alone(sdk, caplog):
    """As the garbage collector does it: OpenTelemetry's own `detach` would log an error."""
    sdk.trace()
    observer = otel_observer()
    started = Event(EventKind.INVOCATION_STARTED, "e", 1)

    def begin():
        observer(started)
        return contexts.get_current()

    copy_context().run(begin)
    with trace.get_tracer("user").start_as_current_span("another"):
        before = contexts.get_current()
        observer(Event(EventKind.INVOCATION_FINISHED, "e", 1, error=GeneratorExit()))
        assert contexts.get_current() is before
    assert [span.name for span in sdk.spans] == ["handler", "another"]
    assert caplog.records == []


@pytest.mark.usefixtures("host")
def test_threads_that_call_side_by_side_each_have_a_tree_of_their_own(sdk):
    sdk.trace()
    of_each_colour = handlers(observers=[otel_observer()], db=FakeResource("db").resource)
    together = threading.Barrier(8)

    def call(n):
        together.wait()
        context = SimpleNamespace(function_name=f"orders {n}")
        with trace.get_tracer("user").start_as_current_span(f"thread {n}"):
            for handler in [*of_each_colour.values()] * 5:
                handler({"requestContext": n}, context)
            assert trace.get_current_span().name == f"thread {n}"

    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = Counter({f"orders {n}": 10 for n in range(8)})
    tree = sdk.tree()
    assert Counter(parent for name, parent in tree if name == "own") == expected
    assert Counter(name for name, parent in tree if parent is None) == expected + Counter(
        f"thread {n}" for n in range(8)
    )


def test_a_hundred_at_once_are_a_hundred_trees(sdk):
    sdk.trace()
    db = FakeResource("db")
    handler = handlers(observers=[otel_observer()], db=db.resource)["async"]

    async def main(environment):
        invocations = [
            handler.invoke(
                {"headers": {"traceparent": f"00-{n + 1:032x}-{n + 1:016x}-01"}}, CONTEXT
            )
            for n in range(100)
        ]
        await asyncio.gather(*invocations)

    inside(main)
    by_id = {span.context.span_id: span for span in sdk.spans}
    roots = [span for span in sdk.spans if span.name == "orders"]
    assert sorted(span.parent.span_id for span in roots) == list(range(1, 101))
    assert all(span.context.trace_id == span.parent.span_id for span in roots)
    own = [span for span in sdk.spans if span.name == "own"]
    assert {by_id[span.parent.span_id] for span in own} == set(roots)
    assert all(span.context.trace_id == by_id[span.parent.span_id].context.trace_id for span in own)
    assert sum(span.attributes["faas.coldstart"] for span in roots) == 1


# -- whether anybody listens


def test_without_an_sdk_nobody_observes(sdk):
    handler = handlers(observers=[otel_observer()], db=FakeResource("db").resource)["async"]

    async def main(environment):
        await handler.invoke(None, CONTEXT)
        return environment.live.observers

    assert inside(main) == ()


def test_a_provider_that_does_nothing_is_none(sdk, monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", NoOpTracerProvider())
    assert not otel_observer().listens()


@pytest.mark.parametrize("configure", [Sdk.trace, Sdk.measure])
def test_one_that_is_configured_makes_it_listen(sdk, configure):
    observer = otel_observer()
    assert not observer.listens()
    configure(sdk)
    assert observer.listens()


def test_an_sdk_that_is_configured_later_is_told_from_then_on(sdk):
    handler = handlers(observers=[otel_observer()], db=FakeResource("db").resource)["async"]

    async def main(environment):
        await handler.invoke(None, CONTEXT)
        sdk.trace()
        await handler.invoke(None, CONTEXT)

    inside(main)
    assert sdk.tree() == [("own", "orders"), ("orders", None), ("close db", None)]
    assert sdk.spans[1].attributes["faas.coldstart"] is False


def test_what_is_needed_is_loaded_in_the_init_phase_if_an_sdk_is_configured_by_then(program):
    done = program("""
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from warmkit.resources import otel_observer

before = otel_observer()
print("warmkit.resources.otel.spans" in sys.modules)
trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
print(before.listens(), "warmkit.resources.otel.spans" in sys.modules)
after = otel_observer()
print(after.listens(), "warmkit.resources.otel.spans" in sys.modules)
""")
    assert (done.stdout, done.stderr) == ("False\nTrue False\nTrue True\n", "")


def test_a_propagator_that_is_not_there_fails_no_import_and_no_invocation(program):
    source = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from warmkit import warm_handler
from warmkit.resources import otel_observer

trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))

@warm_handler(observers=[otel_observer()])
async def handler(event):
    return event

print(handler(1))
"""
    done = program(source, OTEL_PROPAGATORS="nonsense")
    assert (done.stdout, done.returncode) == ("1\n", 0)
    assert "Propagator nonsense not found" in done.stderr


def test_an_environments_own_observer_waits_for_an_sdk_too(sdk):
    observer = otel_observer()
    handler = handlers(db=FakeResource("db").resource)["async"]

    async def main(environment):
        await handler.invoke(None, CONTEXT)
        await environment.settle()
        assert vars(observer).keys() & {"_spans", "_meters"} == set()
        assert observer._flusher._worker is None
        sdk.trace()
        await handler.invoke(None, CONTEXT)

    inside(main, observers=[observer])
    assert sdk.tree()[:2] == [("own", "orders"), ("orders", None)]


def test_an_invocation_whose_beginning_was_not_seen_is_left_out(sdk):
    sdk.trace()
    sdk.measure()
    observer = otel_observer()
    observer(Event(EventKind.INVOCATION_FINISHED, "e", 1))
    assert sdk.spans == []
    assert sdk.measured() == {}


# -- metrics


def test_invocations_and_resources_are_measured(sdk, clock):
    sdk.measure()
    db = FakeResource("db", max_age=5, check_after=1, checks=[OSError("gone")])

    @warm_handler(observers=[otel_observer(clock=clock)], db=db.resource)
    async def handler(event, db):
        if event == "fail":
            raise ValueError(event)

    async def main():
        async with Environment(clock=clock) as environment:
            await handler.invoke(None, CONTEXT)
            await handler.invoke(None, CONTEXT)
            clock.advance(3)
            await handler.invoke(None, CONTEXT)  # its check fails
            clock.advance(6)
            with pytest.raises(ValueError, match="fail"):
                await handler.invoke("fail", CONTEXT)
            await environment.settle()

    run(main, clock=clock)
    of_db = {"warmkit.resource.name": "db"}
    other = {"faas.trigger": "other"}
    measured = sdk.measured()
    seconds = measured.pop("warmkit.resource.duration")
    assert sorted((point["warmkit.operation"], count) for point, count in seconds) == [
        ("check", 1),
        ("close", 3),
        ("rebuild", 2),
        ("start", 1),
    ]
    assert measured == {
        "faas.coldstarts": [(other, 1)],
        "faas.invocations": [(other, 3)],
        "faas.errors": [({**other, "error.type": "ValueError"}, 1)],
        "faas.invoke_duration": [(other, 4)],
        "warmkit.resource.starts": [(of_db, 3)],
        "warmkit.resource.rebuilds": [(of_db, 2)],
        "warmkit.resource.reuses": [(of_db, 1)],
        "warmkit.resource.checks": [(of_db, 1)],
        "warmkit.resource.failures": [({**of_db, "warmkit.operation": "check"}, 1)],
        "warmkit.resource.closes": [(of_db, 3)],
    }
    assert sdk.spans == []


def test_a_meter_provider_that_comes_after_the_tracer_provider_is_told_too(sdk):
    sdk.trace()
    handler = handlers(observers=[otel_observer()])["async"]

    async def main(environment):
        await handler.invoke(None, CONTEXT)
        assert sdk.measured() == {}
        sdk.measure()
        await handler.invoke(None, CONTEXT)

    inside(main)
    assert set(sdk.measured()) == {"faas.invocations", "faas.invoke_duration"}


# -- before a freeze


class Sending:
    """A provider's `force_flush`."""

    def __init__(self, name, sent, error=None):
        self.name, self.sent, self.error = name, sent, error

    def __call__(self):
        self.sent.append(self.name)
        if self.error is not None:
            raise self.error


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_both_providers_send_before_a_synchronous_call_returns(sdk, monkeypatch, kind, caplog):
    sent = []
    monkeypatch.setattr(sdk.trace(), "force_flush", Sending("traces", sent, OSError("down")))
    monkeypatch.setattr(sdk.measure(), "force_flush", Sending("metrics", sent))
    handler = handlers(observers=[otel_observer(flush_timeout=60.0)])[kind]
    for count in (1, 2):
        handler(None, CONTEXT)
        assert sent == ["traces", "metrics"] * count
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_a_provider_that_cannot_be_told_to_send_is_left_alone(sdk, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "warmkit")

    class Other(trace.TracerProvider):
        def get_tracer(self, *names, **more):
            return trace.NoOpTracer()

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", Other())
    handler = handlers(observers=[otel_observer(flush_timeout=60.0)])["async"]

    async def main(environment):
        await handler.invoke(None, CONTEXT)
        await environment.settle()

    inside(main)
    assert caplog.records == []


@pytest.mark.usefixtures("host")
def test_sending_can_be_left_to_the_sdk(sdk, monkeypatch):
    sent = []
    monkeypatch.setattr(sdk.trace(), "force_flush", Sending("traces", sent))
    handlers(observers=[otel_observer(flush_timeout=None)])["async"](None, CONTEXT)
    assert (sent, len(sdk.spans)) == ([], 2)


# -- the tracer


def test_an_injected_tracer_works_without_an_sdk_and_uses_one_that_comes_later(sdk):
    ours = tracer("orders", version="1.2", attributes={"team": "shop"})

    @warm_handler(trace=ours)
    async def handler(event, trace):
        with trace.start_as_current_span("count"):
            return trace

    async def main(environment):
        first = await handler.invoke(None)
        assert sdk.spans == []
        sdk.trace()
        assert await handler.invoke(None) is first
        assert environment.statistics.resources["trace"].starts == 1

    inside(main)
    (span,) = sdk.spans
    scope = span.instrumentation_scope
    assert (span.name, scope.name, scope.version) == ("count", "orders", "1.2")
    assert dict(scope.attributes) == {"team": "shop"}


def test_a_tracer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    ours = tracer("orders")

    async def main(environment):
        with pytest.raises(StartError) as caught:
            await environment.get(ours)
        return caught.value.__cause__

    cause = inside(main)
    assert isinstance(cause, MissingPackageError)
    assert "pip install 'warmkit[otel]'" in str(cause)


# -- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"flush_timeout": -1},
            "flush_timeout must be a number of seconds, 0 or more, or None, not -1",
        ),
        (
            {"flush_timeout": float("nan")},
            "flush_timeout must be a number of seconds, 0 or more, or None, not nan",
        ),
        (
            {"flush_timeout": float("inf")},
            "flush_timeout must be a number of seconds, 0 or more, or None, not inf",
        ),
        (
            {"flush_timeout": True},
            "flush_timeout must be a number of seconds, 0 or more, or None, not True",
        ),
        (
            {"flush_timeout": "1"},
            "flush_timeout must be a number of seconds, 0 or more, or None, not '1'",
        ),
        (
            {"carrier": {}},
            (
                "carrier must be a function of the event and the context, not dict.\n"
                '  Write: carrier=lambda event, context: event["headers"]'
            ),
        ),
        ({"clock": 5}, "clock must have a method read, and int has none"),
    ],
)
def test_an_observer_that_cannot_work_is_refused_at_import(arguments, message):
    with pytest.raises(DefinitionError) as caught:
        otel_observer(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": ""},
            "a tracer's name must be a str, not an empty one.\n  Write: tracer(__name__)",
        ),
        ({"name": 5}, "a tracer's name must be a str, not int.\n  Write: tracer(__name__)"),
        ({"name": "x", "version": 1}, "version must be a str, or None, not int"),
        ({"name": "x", "schema_url": b"x"}, "schema_url must be a str, or None, not bytes"),
        ({"name": "x", "attributes": ["a"]}, "attributes must be a mapping, not list"),
    ],
)
def test_a_tracer_that_cannot_work_is_refused_at_import(arguments, message):
    with pytest.raises(DefinitionError) as caught:
        tracer(**arguments)
    assert str(caught.value) == message


def test_misspelt_options_are_refused_at_import():
    with pytest.raises(TypeError, match="flush_timout"):
        otel_observer(flush_timout=1)
    with pytest.raises(TypeError, match="vresion"):
        tracer("x", vresion="1")


def test_it_is_the_same_observer_for_all_handlers_of_an_environment(sdk):
    sdk.trace()
    observer = otel_observer()
    assert isinstance(observer, OtelObserver)
    one = handlers(observers=[observer])["async"]
    other = handlers(observers=[observer])["plain"]

    async def main(environment):
        await one.invoke(None, CONTEXT)
        await other.invoke(None, CONTEXT)

    inside(main)
    assert sdk.tree() == [("own", "orders"), ("orders", None)] * 2
