"""The function in `functions/orders` in the style that STYLE names, with moments of its cold start noted. Its handler is the style's own."""

# ruff: noqa: E402  the first line is noted before anything is imported
import moments

moments.note("function")

import asyncio
import builtins
import importlib
import os
from contextlib import contextmanager

import lookup

imports = moments.Around(
    (builtins, "__import__"),
    (importlib, "import_module"),
    context=lambda: moments.timed("importing late"),
)
plain = lookup.look_up


@contextmanager
def starting():
    """Something of the function runs on an event loop while it is loaded: what it starts in the init phase."""
    with moments.timed("starting"):
        imports.begin()
        yield
        imports.end()


async def look_up(*arguments):
    """Notes that the resources are at hand, and when they have been used."""
    imports.end()
    moments.note("at hand")
    answer = await plain(*arguments)
    moments.write()
    return answer


lookup.look_up = look_up  # before the style imports it
loops = moments.Around((asyncio.BaseEventLoop, "run_forever"), context=starting)
loops.begin()
handler = importlib.import_module(os.environ["STYLE"]).handler
loops.end()
moments.note("loaded")
imports.begin()
