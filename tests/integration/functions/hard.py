"""A Lambda function whose handler makes it hard to tell what went wrong."""

import asyncio
import inspect
import os
import tempfile

from warmkit import warm_handler


class UntellableError(Exception):
    def __str__(self):
        raise ValueError("no text")


def surrogate():
    raise ValueError("\ud83d")


def no_text():
    raise UntellableError


def no_folder():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
    raise ValueError("where am I?")


def stop_iteration():
    return next(iter([]))


async def cancels_itself():
    asyncio.current_task().cancel()
    return "fine"


async def cancels_later():
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    return "fine"


async def stops_the_loop():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "fine"


@warm_handler
async def asynchronous(event, context):
    return await globals()[event]()


def handler(event, context):
    """A plain one, which may return something to await."""
    if event == "go":
        return "fine"
    is_async = inspect.iscoroutinefunction(globals()[event])
    return asynchronous.invoke(event, context) if is_async else globals()[event]()
