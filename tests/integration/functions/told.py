"""A Lambda function that is told of its end in all sorts of situations, and says what happens to it."""

import asyncio
import atexit
import hashlib
import logging
import logging.handlers
import multiprocessing
import os
import signal
import sys
import threading
import time

from windows import LONG

from warmkit import resource, warm_handler


def say(*words):
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


def in_c_code():
    say("waits")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30)  # it releases the GIL, and no signal ends it


def in_python():
    say("waits")
    time.sleep(3600)


def users(number, frame):
    say("the user's handler is called")
    if "EXITS" in os.environ:
        sys.exit(3)
    if "FAILS" in os.environ:
        signal.signal(number, signal.SIG_DFL)  # in the main thread only
    time.sleep(0.05)
    say("the user's handler is done")


WHERE = os.environ.get("USERS_HANDLER")
if WHERE == "before":
    signal.signal(signal.SIGTERM, users)


IN_INIT = os.environ.get("TOLD_IN_INIT", "")


@resource(start="eager" if IN_INIT else "auto")
async def connection():
    yield "connection"
    say("closed")


@resource(start="eager" if IN_INIT == "starts" else "auto")
async def slow_start():
    say("waits")
    try:
        await asyncio.sleep(3600)
    finally:
        say("its start is over")


@resource(scope="invocation", connection=connection)
async def transaction(connection):
    try:
        yield "transaction"
    except BaseException:
        say("rolled back")
        raise


@warm_handler(connection=connection)
async def fine(event, context, connection):
    return connection


@warm_handler(connection=connection)
def plain_in_python(event, context, connection):
    try:
        in_python()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # another one changes nothing
        say("left")


@warm_handler(connection=connection)
def plain_in_c_code(event, context, connection):
    in_c_code()


went_on = threading.Event()


@resource(close_timeout=LONG)
async def patient_connection():
    yield "connection"
    await asyncio.to_thread(went_on.wait)
    say("closed")


@warm_handler(connection=patient_connection)
def plain_that_goes_on(event, context, connection):
    say("waits")
    while True:
        try:
            time.sleep(3600)
        except BaseException as error:  # noqa: BLE001  what is not to be done
            say("went on after", type(error).__name__)
            went_on.set()


@warm_handler(connection=connection, transaction=transaction)
async def waiting(event, context, connection, transaction):
    say("waits")
    try:
        await asyncio.sleep(3600)
    finally:
        say("left")


@warm_handler(connection=connection, transaction=transaction)
def plain_waiting(event, context, connection, transaction):
    in_python()


@warm_handler(connection=patient_connection)
async def that_goes_on(event, context, connection):
    say("waits")
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException as error:  # noqa: BLE001  what is not to be done
            say("went on after", type(error).__name__)
            went_on.set()


def keep_busy(loop):
    try:
        for _ in range(10_000):
            pass
    except BaseException as error:  # noqa: BLE001  it is what is looked for
        say("hit by", type(error).__name__)
    loop.call_soon(keep_busy, loop)


@warm_handler(connection=connection)
async def that_is_busy(event, context, connection):
    keep_busy(asyncio.get_running_loop())
    say("waits")
    try:
        await asyncio.sleep(3600)
    finally:
        say("left")


@warm_handler(connection=connection)
async def that_holds_the_loop(event, context, connection):
    in_python()


@warm_handler(connection=connection)
async def that_holds_the_loop_in_c_code(event, context, connection):
    in_c_code()


@warm_handler(connection=connection)
async def that_finishes(event, context, connection):
    loop = asyncio.get_running_loop()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)  # the second changes nothing
    await asyncio.sleep(0.02)
    assert loop is asyncio.get_running_loop()
    return "finished" * 500_000  # it takes a moment to send


heard = asyncio.Event()


@warm_handler(connection=connection)
async def with_a_signal_handler(event, context, connection):
    loop = asyncio.get_running_loop()
    if event == "listen":
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        return "listens"
    os.kill(os.getpid(), signal.SIGUSR1)
    await heard.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    heard.clear()
    return "heard"


def _idle_child(ready):
    ready.send(str(signal.getsignal(signal.SIGTERM)))
    time.sleep(3600)


@warm_handler(connection=connection)
def with_a_child(event, context, connection):
    forking = multiprocessing.get_context("fork")
    here, there = forking.Pipe()
    child = forking.Process(target=_idle_child, args=(there,))
    child.start()
    told = here.recv()
    if event == "terminate":
        child.terminate()
        child.join()
    return [told, child.exitcode]


own_loop = asyncio.new_event_loop()


def on_a_loop_of_its_own(event, context):
    return own_loop.run_until_complete(fine.invoke(event, context))


@warm_handler(connection=connection)
async def with_what_is_on_its_way(event, context, connection):
    memory = logging.handlers.MemoryHandler(100, target=logging.StreamHandler(sys.stdout))
    logging.getLogger("kept").addHandler(memory)
    logging.getLogger("kept").propagate = False
    logging.getLogger("kept").warning("kept until the end")
    atexit.register(say, "an exit handler is called")
    return "fine"


@resource
async def counting_turns():
    yield
    say(f"closed in turns of {sys.getswitchinterval():g}")


@warm_handler(counting_turns=counting_turns)
async def among_threads(event, context, counting_turns):
    return sys.getswitchinterval()


@resource
async def hanging():
    yield
    say("closing")
    await asyncio.sleep(3600)


@warm_handler(hanging=hanging)
async def hanging_at_its_end(event, context, hanging):
    say("serves")


@warm_handler(connection=connection, slow_start=slow_start)
async def slow(event, context, connection, slow_start):
    return connection


if WHERE == "after":
    signal.signal(signal.SIGTERM, users)

if IN_INIT == "in C code":
    in_c_code()
if IN_INIT == "starts":
    say("not to be reached")
