"""A Lambda function of which many invocations run at once."""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

from warmkit import warm_handler
from warmkit.resources import postgres_pool
from warmkit.runtime import current


async def at_the_gate():
    host, port = os.environ["GATE"].split(":")
    reader, writer = await asyncio.open_connection(host, port)
    await reader.read()
    writer.close()


def meet(event, context):
    """A plain one, for both runtimes."""
    print(f"here comes {event}.")
    host, port = os.environ["GATE"].split(":")
    with socket.create_connection((host, port)) as connection:
        connection.recv(1)
    return {"event": event, "process": os.getpid()}


async def behave(event, context):
    match event["how"]:
        case "raise":
            raise LookupError("no such order")
        case "exit":
            sys.exit(3)
        case "wait":
            await at_the_gate()
        case "unwritable":
            return {event["n"]}
    await asyncio.sleep(0)
    return {"n": event["n"], "id": current.request_id.get() == context.aws_request_id}


async def speak(event, context):
    """Says who it is before and after all others are there."""
    logger = logging.getLogger("crowd")
    logger.warning("come %s", event, extra={"own": context.aws_request_id})
    await at_the_gate()
    print(f"print {context.aws_request_id} {'x' * 5000}")
    logger.warning("gone %s", event, extra={"own": context.aws_request_id})


def half_a_line(event, context):
    print("a line of", event)
    print("half of", event, end="")


def look(event, context):
    return {
        "var": [path.name for path in Path("/var").iterdir()],
        "task": [path.name for path in Path("/var/task").iterdir()],
        "directory": str(Path.cwd()),
        "can_read": os.access(sys.executable, os.X_OK),
    }


@warm_handler(db=postgres_pool())
async def ask(event, context, db):
    number = await db.fetchval("SELECT $1::int * 2 FROM pg_sleep(0.01)", event)
    return {"number": number, "starts": ask.environment.statistics.resources["db"].starts}
