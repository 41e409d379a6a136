"""Spans and metrics at a real collector, over OTLP: before the call returns, whatever the collector does."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otlp_sink import Sink

from warmkit import Environment, StartError, resource, warm_handler
from warmkit.local.processes import free_port
from warmkit.resources import otel_observer, postgres_pool, tracer

FUNCTIONS = Path(__file__).parent / "functions"
PATIENT = 30.0
"""Seconds for a flush that is to succeed, on a busy machine too."""
SERVER = 2
CONTEXT = SimpleNamespace(function_name="orders")
NEVER_BY_ITSELF = 3_600_000.0  # milliseconds


@pytest.fixture
def sink():
    with Sink() as running:
        yield running


@pytest.fixture
def export(sink, monkeypatch):
    """Configures the SDK to export to an endpoint, and only when it is told to."""
    # For good: what a thread that is left behind says of a collector would be found by other tests.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporters, batches = [], []

    def configure(endpoint):
        spans = OTLPSpanExporter(f"{endpoint}/v1/traces")
        numbers = OTLPMetricExporter(f"{endpoint}/v1/metrics")
        exporters.extend([spans, numbers])
        batch = BatchSpanProcessor(spans, schedule_delay_millis=NEVER_BY_ITSELF)
        batches.append(batch)
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(batch)
        reader = PeriodicExportingMetricReader(numbers, export_interval_millis=NEVER_BY_ITSELF)
        measuring = MeterProvider([reader], shutdown_on_exit=False)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracing)
        monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", measuring)
        return tracing

    yield configure
    sink.answers.set()
    for exporter in exporters:
        exporter.shutdown()  # which ends its attempts
    for batch in batches:
        batch.shutdown()


@resource
async def model():
    await asyncio.sleep(0)
    return "model"


def traced(observer):
    """The same handler in each colour."""

    @warm_handler(model=model, trace=tracer("orders"), observers=[observer])
    async def asynchronous(event, context, model, trace):
        with trace.start_as_current_span("count"):
            await asyncio.sleep(0)
            return event

    @warm_handler(model=model, trace=tracer("orders"), observers=[observer])
    def plain(event, context, model, trace):
        with trace.start_as_current_span("count"):
            return event

    return {"async": asynchronous, "plain": plain}


@pytest.fixture
def host(monkeypatch):
    """The persistent loop of a new process."""
    from warmkit.hosts import loop

    kept = []
    monkeypatch.setattr(loop, "_kept", kept)
    yield
    while kept:
        kept.pop().close()


# -- under AWS's own runtime


@pytest.mark.parametrize("function", ["handler", "synchronous"])
def test_under_awss_runtime_every_span_has_arrived_when_the_answer_comes(emulator, sink, function):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "AWS_LAMBDA_FUNCTION_NAME": "orders"}
    lambda_ = emulator(f"traced.{function}", task_root=FUNCTIONS, env=variables)
    per_invocation = [("count", "orders"), ("orders", None)]
    first = [("start model", "orders"), ("start trace", "orders")]
    for n in range(10):
        assert lambda_.invoke({"n": n}) == (200, n), lambda_.log
        assert sorted(sink.tree, key=str) == sorted(first + per_invocation * (n + 1), key=str)
    servers = [span for span in sink.spans if span.name == "orders"]
    assert [span.attributes["faas.coldstart"] for span in servers] == [True] + [False] * 9
    assert {span.kind for span in servers} == {SERVER}
    assert len({span.attributes["faas.invocation_id"] for span in servers}) == 10
    for span in servers:
        assert span.attributes["faas.trigger"] == "other"
        assert span.attributes["faas.instance"]
        assert span.attributes["cloud.resource_id"].startswith("arn:aws:lambda:")
        assert span.resource["faas.name"] == "orders"
        assert span.resource["cloud.platform"] == "aws_lambda"


def test_under_awss_runtime_a_collector_that_hangs_fails_nothing(emulator, sink):
    sink.answers.clear()
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "600",  # seconds: it does not try again
    }
    lambda_ = emulator("traced.brief", task_root=FUNCTIONS, env=variables)
    assert [lambda_.invoke({"n": n}) for n in range(10)] == [(200, n) for n in range(10)]
    assert sink.requests == 1  # it was not waited for again


def test_what_starts_in_the_init_phase_has_been_told_when_that_is_over(sink, program):
    done = program(
        f"""
import os
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from warmkit import resource, warm_handler
from warmkit.resources import otel_observer

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("{sink.endpoint}/v1/traces")))
trace.set_tracer_provider(provider)

@resource
async def model():
    return "model"

@warm_handler(model=model, observers=[otel_observer(flush_timeout={PATIENT})])
async def handler(event, model):
    os._exit(0)  # as if frozen for ever

handler(1)
""",
        AWS_LAMBDA_RUNTIME_API="127.0.0.1:1",
        AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency",
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert sink.tree == [("start model", None)]


# -- in this process


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_spans_and_metrics_have_arrived_when_a_synchronous_call_returns(sink, export, kind):
    export(sink.endpoint)
    handler = traced(otel_observer(flush_timeout=PATIENT))[kind]
    for n in range(5):
        assert handler({"n": n}, CONTEXT) == {"n": n}
        assert sink.tree.count(("orders", None)) == n + 1
        assert sink.tree.count(("count", "orders")) == n + 1
        assert sink.metrics.count("faas.invoke_duration") == n + 1
    assert {"faas.coldstarts", "faas.invocations", "warmkit.resource.starts"} <= set(sink.metrics)


def test_a_hundred_invocations_at_once_arrive_as_a_hundred_trees(sink, export):
    export(sink.endpoint)
    handler = traced(otel_observer(flush_timeout=PATIENT))["async"]

    async def main():
        async with Environment() as environment:
            sent = [{"headers": {"traceparent": f"00-{n:032x}-{n:016x}-01"}} for n in range(1, 101)]
            await asyncio.gather(*(handler.invoke(event, CONTEXT) for event in sent))
            await environment.settle()

    asyncio.run(main())
    by_id = {span.span_id: span for span in sink.spans}
    servers = [span for span in sink.spans if span.name == "orders"]
    assert sorted(int(span.parent_id, 16) for span in servers) == list(range(1, 101))
    assert all(int(span.trace_id, 16) == int(span.parent_id, 16) for span in servers)
    own = [span for span in sink.spans if span.name == "count"]
    assert len({by_id[span.parent_id].span_id for span in own}) == 100
    assert all(by_id[span.parent_id].trace_id == span.trace_id for span in own)


def test_the_end_of_an_environment_is_told_before_it_is_over(sink, export):
    export(sink.endpoint)
    observer = otel_observer(flush_timeout=PATIENT)

    @resource
    async def pool():
        yield 1

    @warm_handler(pool=pool, observers=[observer])
    async def handler(event, context, pool):
        return event

    async def main():
        environment = Environment()
        async with environment:
            await handler.invoke(1, CONTEXT)
            await environment.aclose(budget=PATIENT)

    asyncio.run(main())
    assert sink.tree == [("start pool", "orders"), ("orders", None), ("close pool", None)]


# -- a collector that does not work


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("trouble", ["down", "silent", "overloaded"])
def test_a_collector_in_trouble_fails_no_invocation_and_is_waited_for_once(sink, export, trouble):
    endpoint = f"http://127.0.0.1:{free_port()}" if trouble == "down" else sink.endpoint
    sink.status = 503 if trouble == "overloaded" else 200
    if trouble == "silent":
        sink.answers.clear()
    export(endpoint)
    handler = traced(otel_observer(flush_timeout=0.05))["async"]
    assert [handler(n, CONTEXT) for n in range(50)] == list(range(50))
    handler.close()
    assert sink.requests <= 2  # the one that hangs, or is tried again
    assert sink.spans == []


@pytest.mark.usefixtures("host")
def test_a_collector_that_refuses_what_it_gets_fails_no_invocation(sink, export):
    export(sink.endpoint)
    sink.status = 500  # which the exporter does not try again
    handler = traced(otel_observer(flush_timeout=PATIENT))["async"]
    assert [handler(n, CONTEXT) for n in range(5)] == list(range(5))
    sink.status = 200
    handler(5, CONTEXT)
    assert sink.tree.count(("orders", None)) == 1


@pytest.mark.usefixtures("host")
def test_a_slow_collector_gets_everything_when_it_comes_round(sink, export):
    tracing = export(sink.endpoint)
    sink.answers.clear()
    handler = traced(otel_observer(flush_timeout=0.05))["async"]
    for n in range(20):
        handler(n, CONTEXT)
    sink.answers.set()
    tracing.force_flush()
    assert sink.tree.count(("orders", None)) == 20


def test_a_collector_that_hangs_does_not_hold_up_the_interpreters_exit(sink, program):
    sink.answers.clear()
    done = program(
        f"""
import logging
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from warmkit import resource, warm_handler
from warmkit.resources import otel_observer

logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("{sink.endpoint}/v1/traces")))
trace.set_tracer_provider(provider)

@resource
async def pool():
    yield 1
    print("closed", flush=True)

@warm_handler(pool=pool, observers=[otel_observer()])
async def handler(event, pool):
    return event

print(handler(1), flush=True)
"""
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1\nclosed\n", "", 0)


# -- secrets


@pytest.mark.usefixtures("host")
def test_no_secret_leaves_the_process(sink, export, postgres, bucket, monkeypatch):
    export(sink.endpoint)
    secret = "s3ntinel-passw0rd"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    observer = otel_observer(flush_timeout=PATIENT)
    wrong = postgres.dsn.replace(postgres.dsn.split(":")[2].split("@")[0], secret)
    assert secret in wrong
    nowhere = f"postgresql://user:{secret}@127.0.0.1:{free_port()}/db"
    event = {"headers": {"Authorization": secret}, "requestContext": {}, "body": secret}
    for dsn in (wrong, nowhere, f"postgresql://user:{secret}@[broken/db"):

        @warm_handler(db=postgres_pool(dsn), observers=[observer])
        async def handler(event, context, db):
            raise AssertionError

        with pytest.raises(StartError):
            handler(event, CONTEXT)
    assert [span.failed for span in sink.spans] == [True] * 6
    assert b"PostgresConnectError" in sink.content  # the bytes are not packed
    assert secret.encode() not in sink.content


def test_no_secret_of_a_driver_leaves_in_a_span_of_ours(sink, export):
    """A handler's own exception is recorded with its text, as everywhere; those that no handler sees are not."""
    export(sink.endpoint)

    @resource(check_after=0)
    async def pool():
        yield 1
        raise OSError("cannot close postgres://u:s3ntinel@host")

    @pool.check
    async def _(value):
        raise OSError("cannot reach postgres://u:s3ntinel@host")

    observer = otel_observer(flush_timeout=PATIENT)

    @warm_handler(pool=pool, observers=[observer])
    async def handler(event, context, pool):
        return event

    async def main():
        async with Environment() as environment:
            await handler.invoke(1, CONTEXT)
            await handler.invoke(2, CONTEXT)
            await environment.settle()

    with pytest.raises(BaseExceptionGroup):
        asyncio.run(main())
    assert ("check pool", "orders") in sink.tree
    assert b"s3ntinel" not in sink.content
