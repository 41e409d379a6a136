"""A Lambda function that says what it does, for tests of its end."""

import asyncio
import os
import signal
import time
from typing import Annotated

import windows  # noqa: F401  makes them long

from warmkit import Lazy, after_response, resource, warm_handler


def say(word):
    print(word, flush=True)


@resource
async def connection():
    say("open")
    yield "connection"
    say("closed")


@warm_handler(connection=connection)
async def waiting(event, context, connection):
    say("begun")
    try:
        if event == "wait":
            await asyncio.sleep(3600)
    finally:
        say("left")
    return connection


@warm_handler(connection=connection)
def blocking(event, context, connection):
    say("begun")
    try:
        if event == "wait":
            time.sleep(3600)
    finally:
        say("left")
    return connection


@warm_handler(connection=connection)
async def streaming(event, context, connection):
    say("begun")
    try:
        yield connection
        if event == "wait":
            await asyncio.sleep(3600)
    finally:
        say("left")


@warm_handler(connection=connection)
async def afterwards(event, context, connection):
    async def work():
        say("begun")
        try:
            await asyncio.sleep(3600)
        finally:
            say("left")

    after_response(work(), limit=3600)


@resource
async def stubborn():
    yield "connection"
    raise OSError("not now")


@warm_handler(stubborn=stubborn)
async def failing_close(event, context, stubborn):
    return stubborn


@resource
async def exit_at_start():
    raise SystemExit(3)


@warm_handler
async def exiting(event, context, leave: Annotated[Lazy[None], exit_at_start]):
    if event == "exit":
        await leave
    return "fine"


if os.environ.get("END_IN_INIT"):
    waiting(None, None)
    os.kill(os.getpid(), signal.SIGTERM)
