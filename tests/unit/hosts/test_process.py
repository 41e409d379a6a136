"""What only a process of its own can show: its exit, its fork, its signals, its init phase."""

import json

DECLARED = """
import asyncio, os, sys
from warmkit import resource, warm_handler, Invocation

@resource
async def db():
    print("start db", flush=True)
    yield f"db of {os.getpid()}"
    await asyncio.sleep(0)
    print("close db", flush=True)

@resource(db=db)
async def api(db):
    print("start api", flush=True)
    yield f"api on {db}"
    print("close api", flush=True)

"""


def ended(process, *lines):
    """The program ended well, with these lines, and with nothing to complain of."""
    assert (process.stdout.splitlines(), process.stderr, process.returncode) == ([*lines], "", 0)
    return True


def test_the_interpreters_exit_closes_in_dependency_order(program):
    source = """
@warm_handler(api=api)
async def handler(event, context, api):
    return event

print(handler(1), handler(2))
"""
    assert ended(
        program(DECLARED + source), "start db", "start api", "1 2", "close api", "close db"
    )


def test_the_interpreters_exit_closes_what_a_synchronous_handler_used(program):
    source = """
@warm_handler(db=db)
def handler(event, context, db):
    return event

print(handler(1))
"""
    assert ended(program(DECLARED + source), "start db", "1", "close db")


def test_the_interpreters_exit_closes_too_when_a_handler_exits_the_process(program):
    source = """
@warm_handler(db=db)
async def handler(event, context, db):
    sys.exit(0)

handler(1)
"""
    assert ended(program(DECLARED + source), "start db", "close db")


def test_the_end_of_asyncio_run_leaves_nothing_to_complain_of(program):
    source = """
@warm_handler(api=api)
async def handler(event, context, api):
    return event

print(asyncio.run(handler.invoke(1)))
"""
    assert ended(program(DECLARED + source), "start db", "start api", "close api", "close db", "1")


def test_the_end_of_asyncio_run_closes_what_is_held_by_an_invocation_in_flight(program):
    source = """
@warm_handler(api=api)
async def handler(event, context, api):
    try:
        await asyncio.sleep(3600)
    finally:
        print("handler ends", flush=True)

async def main():
    asyncio.ensure_future(handler.invoke(1))
    for _ in range(20):
        await asyncio.sleep(0)

asyncio.run(main())
"""
    assert ended(
        program(DECLARED + source),
        "start db",
        "start api",
        "handler ends",
        "close api",
        "close db",
    )


def test_a_task_that_a_handler_left_behind_does_not_spoil_the_exit(program):
    source = """
@warm_handler
async def handler(event):
    handler.task = asyncio.create_task(asyncio.sleep(3600))

handler(1)
"""
    assert ended(program(DECLARED + source))


def test_closing_what_hangs_does_not_keep_the_interpreter_from_its_exit(program):
    source = """
@resource
async def stuck():
    yield "stuck"
    await asyncio.Event().wait()

@warm_handler(db=db, stuck=stuck)
async def handler(event, context, db, stuck):
    return event

print(handler(1))
"""
    process = program(DECLARED + source)
    assert (process.stdout.splitlines(), process.returncode) == (["start db", "1", "close db"], 0)
    assert "resource 'stuck' did not close" in process.stderr


def test_a_signal_while_a_handler_waits_interrupts_it_and_everything_is_closed(program):
    source = """
import signal

@warm_handler(db=db)
async def handler(event, context, db):
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(3600)
    finally:
        print("handler ends", flush=True)

try:
    handler(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    assert ended(program(DECLARED + source), "start db", "handler ends", "interrupted", "close db")


FORK = """
@warm_handler(db=db)
async def handler(event, context, db, facts: Invocation):
    return db, facts.environment_id, facts.number

def serve(who, count=1):
    for _ in range(count):
        db, environment, number = handler(who)
        print(who, db == f"db of {os.getpid()}", environment == first, number, flush=True)

parent = os.getpid()
first = handler("first")[1]
child = os.fork()
if child:
    os.waitpid(child, 0)
    serve("parent")
else:
    serve("child", 2)
    END
"""


def test_a_forked_child_has_an_environment_of_its_own_and_leaves_its_parents_alone(program):
    assert ended(
        program(DECLARED + FORK.replace("END", "sys.exit(0)")),
        "start db",
        "start db",
        "child True False 1",
        "child True False 2",
        "close db",
        "parent True True 2",
        "close db",
    )


def test_a_forked_child_that_uses_nothing_closes_nothing(program):
    source = """
@resource
def connection():
    try:
        yield "connection"
    finally:
        print("closed by", "parent" if os.getpid() == parent else "child", flush=True)

@warm_handler(connection=connection)
async def handler(event, context, connection):
    return connection

parent = os.getpid()
handler(1)
child = os.fork()
if child:
    os.waitpid(child, 0)
print("parent" if child else "child", "ends", flush=True)
"""
    assert ended(program(DECLARED + source), "child ends", "parent ends", "closed by parent")


def test_a_forked_child_cannot_use_an_environment_of_its_parent(program):
    source = """
from warmkit import Environment, EnvironmentClosedError

async def use(environment):
    try:
        await environment.get(db)
    except EnvironmentClosedError as error:
        print(str(error).partition(environment.id)[2], flush=True)
    await environment.aclose()

async def main():
    async with Environment() as environment:
        await environment.get(db)
        child = os.fork()
        if not child:
            asyncio.run(use(environment))
            os._exit(0)
        os.waitpid(child, 0)
        print((await environment.get(db)) == f"db of {os.getpid()}", flush=True)

asyncio.run(main())
"""
    assert ended(
        program(DECLARED + source),
        "start db",
        " was made by the parent of this process, whose connections it holds.",
        "  Make another: async with Environment() as environment: ...",
        "True",
        "close db",
    )


INIT = """
from warmkit.testing import EventRecorder

@resource(start="eager")
async def eager():
    print("start eager", flush=True)
    return "eager"

@resource(start="lazy")
async def lazy():
    print("start lazy", flush=True)
    return "lazy"

@warm_handler(db=db, eager=eager, lazy=lazy)
async def handler(event, context, db, eager, lazy, facts: Invocation):
    return facts.number, facts.cold

print("init is over", flush=True)
print(handler(1), flush=True)
"""


def test_without_the_runtimes_variable_nothing_starts_at_import(program):
    assert program(DECLARED + INIT).stdout.splitlines()[0] == "init is over"


def test_what_is_eager_starts_in_the_init_phase(program):
    process = program(DECLARED + INIT, AWS_LAMBDA_RUNTIME_API="127.0.0.1:1")
    assert process.stdout.splitlines()[:2] == ["start eager", "init is over"]
    assert (process.stdout.splitlines()[-2:], process.stderr) == (["(1, True)", "close db"], "")


def test_what_is_auto_starts_in_an_init_phase_that_nobody_waits_for(program):
    process = program(
        DECLARED + INIT,
        AWS_LAMBDA_RUNTIME_API="127.0.0.1:1",
        AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency",
    )
    lines = process.stdout.splitlines()
    assert (sorted(lines[:2]), lines[2:]) == (
        ["start db", "start eager"],
        ["init is over", "start lazy", "(1, True)", "close db"],
    )


def test_a_start_that_fails_in_the_init_phase_is_tried_again_by_the_first_use(program):
    source = """
attempts = []

@resource(start="eager")
async def flaky():
    attempts.append(1)
    if len(attempts) == 1:
        raise OSError("refused")
    return len(attempts)

@warm_handler(flaky=flaky)
async def handler(event, context, flaky):
    return flaky

print(handler(1))
"""
    process = program(DECLARED + source, AWS_LAMBDA_RUNTIME_API="127.0.0.1:1")
    assert (process.stdout, process.returncode) == ("2\n", 0)
    assert process.stderr == (
        "not started in the init phase, tried again on first use: "
        "resource 'flaky' did not start after 0.000 s: OSError: refused\n"
    )


def test_observers_that_listen_are_told_of_the_init_phase_and_settled_before_it_is_over(program):
    source = """
class Telling:
    def __init__(self, listening):
        self.listening = listening

    def listens(self):
        return self.listening

    def __call__(self, event):
        print(event.kind, event.resource, event.invocation, flush=True)

    async def settle(self):
        print("settled", flush=True)

@resource(start="eager")
async def eager():
    return "eager"

@warm_handler(eager=eager, observers=[Telling(True), Telling(False)])
async def handler(event, context, eager):
    return event

print("init is over", flush=True)
handler(1)
"""
    process = program(DECLARED + source, AWS_LAMBDA_RUNTIME_API="127.0.0.1:1")
    assert ended(
        process,
        "started eager None",
        "settled",
        "init is over",
        "invocation started None 1",
        "reused eager 1",
        "invocation finished None 1",
        "settled",
        "retired eager None",
        "closed eager None",
        "settled",
    )


def test_importing_warmkit_starts_no_loop_and_no_thread(program):
    source = """
import json, threading, warmkit, warmkit.testing
from warmkit import warm_handler

@warm_handler
async def handler(event): ...

import sys
print(json.dumps(["warmkit.hosts.loop" in sys.modules, threading.active_count()]))
"""
    assert json.loads(program(source).stdout) == [False, 1]
