"""A Lambda function that can take longer than it may, in every colour; it tells whether its environment survived."""

import asyncio
import os
import time

from warmkit import Invocation, after_response, clock, resource, warm_handler
from warmkit.resources import postgres_pool, postgres_transaction

clock.SHARE = 0.5  # of two seconds a tenth is too little where the machine is busy with tests

db = postgres_pool()
transaction = postgres_transaction(db)


def say(word):
    print(word, flush=True)


@resource
async def connection():
    say("open")
    return "connection"


@warm_handler(connection=connection)
async def warm(event, context, connection, facts: Invocation):
    if event == "sleep":
        await asyncio.sleep(3600)
    return {"process": os.getpid(), "number": facts.number}


@warm_handler(connection=connection)
def warm_plain(event, context, connection, facts: Invocation):
    if event == "sleep":
        time.sleep(3600)
    return {"process": os.getpid(), "number": facts.number}


async def asynchronous(event, context):
    if event == "sleep":
        await asyncio.sleep(3600)
    return {"process": os.getpid(), "number": None}


def plain(event, context):
    if event == "sleep":
        time.sleep(3600)
    return {"process": os.getpid(), "number": None}


@warm_handler(transaction=transaction)
async def writing(event, context, transaction):
    if event == "count":
        return await transaction.fetchval("SELECT count(*) FROM slow_orders")
    await transaction.execute("INSERT INTO slow_orders VALUES (1)")
    if event == "sleep":
        await transaction.execute("SELECT pg_sleep(3600)")
    return "written"


@warm_handler(connection=connection)
async def chunks(event, context, connection):
    yield "one "
    if event == "sleep":
        await asyncio.sleep(3600)
    yield connection


@warm_handler
async def afterwards(event, context):
    async def later():
        await asyncio.sleep(0)
        say(f"later {event}")

    after_response(later())
    say(f"answered {event}")
    return event
