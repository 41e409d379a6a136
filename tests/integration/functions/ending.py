"""A Lambda function that says what it does, for tests of its end."""

import asyncio
import os
import signal
import time

from warmkit import resource, warm_handler


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
    if event == "wait":
        await asyncio.sleep(3600)
    return connection


@warm_handler(connection=connection)
def blocking(event, context, connection):
    say("begun")
    if event == "wait":
        time.sleep(3600)
    return connection


if os.environ.get("END_IN_INIT"):
    waiting(None, None)
    os.kill(os.getpid(), signal.SIGTERM)
