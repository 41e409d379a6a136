"""One handler with N resources, as users of each library write it, timed in one process.

The same N asynchronous generators make the resources for all, once; the same handler takes them. What differs is who hands
them over, and each library does it in the cheapest way that its documentation has for what lives as long as the process.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import jinja2

from benchmarks.harness.timing import Call, interleave, time_block
from benchmarks.parts.context import Context
from warmkit import resource, warm_handler

BLOCK = 50
BY_HAND, BY_HAND_AGAIN = "by hand", "by hand, again"
WARMKIT, UNGUARDED = "warmkit", "warmkit, no deadline"
LOOKED_AT = "warmkit, each looked at"
GUARDED_PEER = "wireup, guarded by hand"
PEERS = (
    "wireup",
    "dishka",
    "dishka, a scope a call",
    "svcs",
    "svcs, a container a call",
    "that-depends",
)

RESOURCES = """
{% if turns %}import asyncio{% endif %}
from collections.abc import AsyncIterator

started = []

{% for n in numbers %}
class R{{ n }}: ...

async def start_r{{ n }}() -> AsyncIterator[R{{ n }}]:
    started.append({{ n }})
    yield R{{ n }}()

{% endfor %}
"""

BODY = """
    assert {{ names | join(" and ") }}
{%- for turn in range(turns) %}
    await asyncio.sleep(0)
{%- endfor %}
    return event["id"]
"""

TAKEN_BY_NAME = (
    """
async def handler(event, context, {{ names | join(", ") }}):
"""
    + BODY
)

USERS = {
    BY_HAND: """
{{ names | join(" = ") }} = None

async def start():
    global {{ names | join(", ") }}
{%- for n in numbers %}
    r{{ n }} = await anext(start_r{{ n }}())
{%- endfor %}

async def handler(event, context):
"""
    + BODY,
    "wireup": """
from wireup import Injected, create_async_container, inject_from_container, injectable

container = create_async_container(injectables=[
{%- for n in numbers %}
    injectable(start_r{{ n }}),
{%- endfor %}
])

@inject_from_container(container)
async def handler(event, context, {% for n in numbers %}r{{ n }}: Injected[R{{ n }}], {% endfor %}):
"""
    + BODY,
    GUARDED_PEER: """
import asyncio, time
from wireup import Injected, create_async_container, inject_from_container, injectable

container = create_async_container(injectables=[
{%- for n in numbers %}
    injectable(start_r{{ n }}),
{%- endfor %}
])
used = time.time()

@inject_from_container(container)
async def handler(event, context, {% for n in numbers %}r{{ n }}: Injected[R{{ n }}], {% endfor %}):
    global used
    if time.time() - used > 60:
        raise AssertionError("it is fresh, so nobody checks it")
    left = context.get_remaining_time_in_millis() / 1000
    try:
        async with asyncio.timeout(left - min(0.5, left / 10)):
            return await work(event, {{ names | join(", ") }})
    finally:
        used = time.time()

async def work(event, {{ names | join(", ") }}):
"""
    + BODY,
    "dishka": """
from dishka import FromDishka, Provider, Scope, make_async_container
from dishka.integrations.base import wrap_injection

provider = Provider(scope=Scope.APP)
{% for n in numbers %}
provider.provide(start_r{{ n }})
{%- endfor %}
container = make_async_container(provider, lock_factory=None)

def inject(function):
    return wrap_injection(func=function, container_getter=lambda args, kwargs: container, is_async=True)

@inject
async def handler(event, context, {% for n in numbers %}r{{ n }}: FromDishka[R{{ n }}], {% endfor %}):
"""
    + BODY,
    "dishka, a scope a call": """
from dishka import FromDishka, Provider, Scope, make_async_container
from dishka.integrations.base import wrap_injection

provider = Provider(scope=Scope.APP)
{% for n in numbers %}
provider.provide(start_r{{ n }})
{%- endfor %}
container = make_async_container(provider)

def inject(function):
    return wrap_injection(
        func=function, container_getter=lambda args, kwargs: container, is_async=True, manage_scope=True
    )

@inject
async def handler(event, context, {% for n in numbers %}r{{ n }}: FromDishka[R{{ n }}], {% endfor %}):
"""
    + BODY,
    "svcs": """
from svcs import Container, Registry

registry = Registry()
{% for n in numbers %}
registry.register_factory(R{{ n }}, start_r{{ n }})
{%- endfor %}
container = Container(registry)

async def handler(event, context):
    {{ names | join(", ") }} = await container.aget({% for n in numbers %}R{{ n }}, {% endfor %})
"""
    + BODY,
    "svcs, a container a call": """
from svcs import Container, Registry

registry = Registry()

async def start():
{%- for n in numbers %}
    registry.register_value(R{{ n }}, await anext(start_r{{ n }}()))
{%- endfor %}

async def handler(event, context):
    async with Container(registry) as container:
        {{ names | join(", ") }} = await container.aget({% for n in numbers %}R{{ n }}, {% endfor %})
    """
    + BODY,
    "that-depends": """
from that_depends import BaseContainer, Provide, inject
from that_depends.providers import Resource

class Resources(BaseContainer):
{%- for n in numbers %}
    r{{ n }} = Resource(start_r{{ n }})
{%- endfor %}

@inject(scope=None)
async def handler(event, context, {% for n in numbers %}r{{ n }}=Provide[Resources.r{{ n }}], {% endfor %}):
"""
    + BODY,
}
"""Without the resources, which are the same for all. `start` is awaited once, if there is one."""

Handler = Callable[[object, object], Coroutine[Any, Any, object]]


def trial(resources: int, turns: int, rounds: int) -> dict[str, list[float]]:
    """Returns each contender's samples: the microseconds of one invocation, whose handler waits for so many turns of the loop."""
    event, context, loop = {"id": 1}, Context(), asyncio.new_event_loop()
    names = [f"r{number}" for number in range(resources)]
    modules = {name: run(source, resources, turns) for name, source in USERS.items()}
    cases: dict[str, Call] = {
        name: serve_with(loop, module["handler"], event, context)
        for name, module in modules.items()
    }
    cases[BY_HAND_AGAIN] = serve_with(loop, modules[BY_HAND]["handler"], event, context)
    ours: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        WARMKIT: ({}, {}),
        UNGUARDED: ({"deadline_margin": None}, {}),
        LOOKED_AT: ({}, {"alive": is_there}),
    }
    for name, (options, hooks) in ours.items():
        module = modules[name] = run(TAKEN_BY_NAME, resources, turns)
        recipes = {name: resource(**hooks)(module[f"start_{name}"]) for name in names}
        handler = warm_handler(**options, **recipes)(module["handler"])
        cases[name] = serve(handler, event, context)
    for module in modules.values():
        if "start" in module:
            loop.run_until_complete(module["start"]())
    for call in cases.values():  # cold start, and the interpreter's own warm-up
        time_block(call, 20 * BLOCK)
        assert call() == 1
    samples = interleave(cases, rounds=rounds, block=BLOCK)
    for name, module in modules.items():
        assert sorted(module["started"]) == list(range(resources)), f"{name}: {module['started']}"
    return samples


def run(source: str, resources: int, turns: int) -> dict[str, Any]:
    """Returns the namespace of a module that was written for so many resources."""
    namespace: dict[str, Any] = {}
    exec(render(source, resources, turns), namespace)
    return namespace


def render(source: str, resources: int, turns: int) -> str:
    """Returns the source of a module for so many resources."""
    numbers = range(resources)
    names = [f"r{number}" for number in numbers]
    return jinja2.Template(RESOURCES + source).render(names=names, numbers=numbers, turns=turns)


def is_there(value: object) -> bool:
    return value is not None


def serve_with(
    loop: asyncio.AbstractEventLoop, handler: Handler, event: object, context: object
) -> Call:
    return lambda: loop.run_until_complete(handler(event, context))


def serve(handler: Callable[..., object], event: object, context: object) -> Call:
    return lambda: handler(event, context)
