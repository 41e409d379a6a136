"""A Lambda function that is traced as a user would set it up."""

import asyncio

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from warmkit import resource, warm_handler
from warmkit.resources import faas_attributes, otel_observer, tracer

provider = TracerProvider(resource=Resource.create(faas_attributes()), shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

tracing = otel_observer(flush_timeout=30.0)  # on a busy machine, too
tracing_briefly = otel_observer()


@resource
async def model():
    await asyncio.sleep(0)
    return "model"


@warm_handler(model=model, trace=tracer("orders"), observers=[tracing])
async def handler(event, context, model, trace):
    with trace.start_as_current_span("count"):
        return event["n"]


@warm_handler(model=model, trace=tracer("orders"), observers=[tracing])
def synchronous(event, context, model, trace):
    with trace.start_as_current_span("count"):
        return event["n"]


@warm_handler(model=model, observers=[tracing_briefly])
async def brief(event, context, model):
    return event["n"]
