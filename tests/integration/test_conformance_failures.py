"""The kit can fail: for each mistake in a resource, the right rule is broken, and says what to write instead."""

import asyncio
import gc
import tempfile
import threading
import types
import warnings

import pytest
from lines import Lines, careful, line_server

from warmkit import resource
from warmkit.resources import is_quiet
from warmkit.testing import RULES, ConformanceError, Standing, check_resource
from warmkit.testing.conformance import examine, leaks

SECRET = "open-sesame"
kept: list = []
"""What a mistake keeps, until the test is over."""


@pytest.fixture(scope="module")
def server():
    with line_server() as address:
        yield address


@pytest.fixture(autouse=True)
def _collected(monkeypatch):
    """A leak is a leak at once; and what the mistakes of a test leave open is not the next one's."""
    monkeypatch.setattr(leaks, "SETTLE", 0.2)
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        kept.clear()
        gc.collect()


@pytest.fixture
def broken(server):
    """Tries rules, and returns what came of those that are broken, by name."""

    def check(make, *rules, use=Lines.ask, secrets=()):
        found = {}
        for rule in rules:
            with pytest.raises(ConformanceError) as caught:
                check_resource(make, use=use, server=server, secrets=secrets, only=rule)
            (outcome,) = caught.value.report.outcomes
            found[rule] = outcome.came
        return found

    return check


def text_of(make, server, *, only, **options):
    with pytest.raises(ConformanceError) as caught:
        check_resource(make, use=Lines.ask, server=server, only=only, **options)
    return str(caught.value)


def variant(address, *, alive=True, check=True, **options):
    """A decorator: the resource of a factory that takes an address, looked after like the careful one."""

    def decorate(factory):
        async def lines():
            async for value in factory(address):
                yield value

        made = resource(name="lines", **options)(lines)
        if alive:
            made.alive(lambda client: is_quiet(client.writer.transport))
        if check:
            made.check(lambda client: client.ask("ping"))
        return made

    return decorate


def test_a_careful_resource_obeys_all_rules(server, monkeypatch):
    monkeypatch.undo()
    report = check_resource(careful, use=Lines.ask, server=server, secrets=[SECRET])
    assert str(report) == (
        "resource 'lines'\n"
        "  starts                  obeyed\n"
        "  starts once             obeyed\n"
        "  starts on another loop  obeyed\n"
        "  shares nothing          obeyed\n"
        "  sleeps well             obeyed\n"
        "  passes its check        obeyed\n"
        "  fails its check         obeyed\n"
        "  survives resets         obeyed\n"
        "  survives farewells      obeyed\n"
        "  survives silence        obeyed\n"
        "  survives a refusal      obeyed\n"
        "  closes                  obeyed\n"
        "  closes in silence       obeyed\n"
        "  gives up a start        obeyed\n"
        "  keeps secrets           obeyed"
    )


def test_it_works_inside_a_running_loop(server):
    async def scenario():
        return check_resource(careful, use=Lines.ask, server=server, only="starts")

    assert asyncio.run(scenario()).of(Standing.OBEYED)


# -- it starts


def test_another_address_than_the_given_one(broken, server):
    came = broken(lambda address: careful(server), "starts")
    assert came == {"starts": "nothing connected to the address that `make` was given"}


def test_a_value_that_does_not_work(server):
    def make(address):
        @resource
        async def lines():
            raise LookupError("no such index")
            yield

        return lines

    assert text_of(make, server, only="starts") == (
        "resource 'lines' breaks a rule\n"
        "\n"
        "starts\n"
        "  expected: The first invocation starts it, and `use` works with its value.\n"
        "  came:     StartError: resource 'lines' did not start after 0.000 s: LookupError: no such index\n"
        "  write:    make the resource, or `use`, work against the server as it is: nothing is broken yet."
    )


def test_an_alive_that_is_never_true(broken):
    def make(address):
        made = careful(address)
        made.alive(lambda client: False)

        @made.check
        def _(client):
            raise OSError("dead")

        return made

    assert broken(make, "starts once") == {"starts once": "3 starts, and 3 values"}


def test_a_client_of_the_module(broken):
    kept = {}

    def make(address):
        @variant(address)
        async def lines(address):
            if "client" not in kept:
                kept["client"] = await Lines.connect(address)
            yield kept["client"]

        return lines

    came = broken(make, "starts on another loop")["starts on another loop"]
    assert "RuntimeError" in came


def test_a_lock_of_the_recipe(broken):
    def make(address):
        lock = asyncio.Lock()

        @variant(address)
        async def lines(address):
            client = await Lines.connect(address)
            client._turn = lock
            yield client
            client.abort()

        return lines

    came = broken(make, "starts on another loop")["starts on another loop"]
    assert "is bound to a different event loop" in came


def test_a_value_of_the_recipe(server):
    def make(address):
        kept = []

        @variant(address)
        async def lines(address):
            if not kept:
                kept.append(await Lines.connect(address))
            yield kept[0]
            kept.pop().abort()

        return lines

    assert text_of(make, server, only="shares nothing") == (
        "resource 'lines' breaks a rule\n"
        "\n"
        "shares nothing\n"
        "  expected: Two environments use the same recipe side by side, and one of them goes on when the other has ended.\n"
        "  came:     the other environment's value was dead as well, and had to be made anew\n"
        "  write:    make a value of its own for each start: what one environment closes must not be another's."
    )


# -- it stays fresh


def test_a_refresh_that_never_works(broken):
    def make(address):
        made = careful(address)

        @made.refresh
        async def _(client):
            raise OSError("nobody renews")

        return made

    came = broken(make, "sleeps well")["sleeps well"]
    assert came.startswith("after a gap of 301 s: RefreshError")


def test_a_check_that_asks_for_too_much(broken):
    def make(address):
        made = careful(address)

        @made.check
        async def _(client):
            raise PermissionError("only for administrators")

        return made

    came = broken(make, "passes its check", "sleeps well")
    assert "PermissionError: only for administrators" in came["passes its check"]
    assert "PermissionError: only for administrators" in came["sleeps well"]


def test_a_check_that_lies(server):
    def make(address):
        made = careful(address)
        made.check(lambda client: None)
        return made

    assert text_of(make, server, only="fails its check") == (
        "resource 'lines' breaks a rule\n"
        "\n"
        "fails its check\n"
        "  expected: The check fails when the server is gone: connections reset, new ones refused.\n"
        "  came:     the check passed\n"
        "  write:    let the check send a request on the way that `use` takes, and raise what goes wrong:\n"
        "            @lines.check\n"
        "            async def _(client): await client.ping()"
    )
    came = text_of(make, server, only="survives resets")
    assert "just after use, with its connections reset" in came


def test_nothing_says_that_a_connection_is_dead(server):
    def make(address):
        @variant(address, alive=False)
        async def lines(address):
            client = await Lines.connect(address)
            yield client
            client.abort()

        return lines

    assert text_of(make, server, only="survives farewells") == (
        "resource 'lines' breaks a rule\n"
        "\n"
        "survives farewells\n"
        "  expected: An invocation works after the server closed idle connections in order, however short the gap.\n"
        "  came:     just after use, with its connections closed by the server: ConnectionError: the server has gone\n"
        "  write:    say when a connection is dead, without a round trip; then it is made anew in time:\n"
        "            @lines.alive\n"
        "            def _(client): return is_quiet(client.transport)  # from warmkit.resources\n"
        "            Or let the client try again by itself."
    )


def test_an_alive_that_knows_only_what_the_loop_has_noticed(broken):
    def make(address):
        made = careful(address)
        made.alive(lambda client: not client._reader.at_eof() and not client.writer.is_closing())
        return made

    came = broken(make, "survives resets", "survives farewells")
    assert came["survives farewells"].endswith("ConnectionError: the server has gone")
    assert "ConnectionResetError" in came["survives resets"]


def test_a_start_that_takes_its_time_to_be_cancelled(broken):
    def make(address):
        @variant(address)
        async def lines(address):
            client = await Lines.connect(address)
            try:
                await client._reader.readline()  # nobody has asked for anything
                yield client
            except asyncio.CancelledError:
                await asyncio.sleep(20)
                raise
            finally:
                client.abort()

        return lines

    assert broken(make, "survives silence") == {
        "survives silence": "at its first use it took 25.0 s to fail, of 6 s"
    }


def test_a_failed_start_that_leaves_its_connection(broken):
    def make(address):
        @variant(address)
        async def lines(address):
            kept.append(await Lines.connect(address))
            await kept[-1].ask()
            yield kept[-1]
            kept[-1].abort()

        return lines

    came = broken(make, "survives silence")["survives silence"]
    assert came == "after the start that failed: a connection to the server is open"


def test_a_client_without_timeouts(broken):
    def make(address):
        @variant(address, alive=False, check=False)
        async def lines(address):
            yield types.SimpleNamespace(address=address)

        return lines

    async def use(value):
        client = await Lines.connect(value.address)
        try:
            client.writer.write(b"hello\n")
            return await client._reader.readline()
        finally:
            client.abort()

    came = broken(make, "survives silence", use=use)
    assert came == {"survives silence": "it had not ended after 66 s"}


def test_a_start_that_goes_on_after_its_cancellation(broken):
    def make(address):
        @variant(address)
        async def lines(address):
            client = await Lines.connect(address)
            try:
                while True:
                    try:
                        await client.ask("welcome")
                        break
                    except (TimeoutError, asyncio.CancelledError):
                        continue
                yield client
            finally:
                client.abort()

        return lines

    came = broken(make, "survives silence", "gives up a start")
    assert came["survives silence"] == "it had not ended after 66 s"
    assert came["gives up a start"].startswith("it went on although it was cancelled: the task")


def test_a_failure_that_is_kept(broken):
    def make(address):
        kept = []

        @variant(address)
        async def lines(address):
            try:
                client = await Lines.connect(address)
            except OSError as error:
                kept.append(error)
            if kept:
                raise kept[0]
            yield client
            client.abort()

        return lines

    came = broken(make, "survives a refusal")["survives a refusal"]
    assert came.startswith("the server refused connections, and when it answered again: StartError")


def test_an_answer_that_is_remembered(broken):
    answers = []

    async def use(client):
        if not answers:
            answers.append(await client.ask())
        return answers[0]

    def make(address):
        @variant(address, alive=False, check=False)
        async def lines(address):
            client = await Lines.connect(address)
            yield client
            client.abort()

        return lines

    came = broken(make, "survives silence", use=use)["survives silence"]
    assert (
        came
        == "although the server was silent when it was in use already, the invocation succeeded"
    )


def test_an_answer_that_changes(broken):
    asked = []

    async def use(client):
        asked.append(None)
        return await client.ask(str(len(asked)))

    came = broken(careful, "starts once", use=use)["starts once"]
    assert came.startswith("`use` returned '")


# -- it ends


def ending(body, **options):
    """What makes a resource that ends as the body says."""

    def make(address):
        @variant(address, **options)
        async def lines(address):
            client = await Lines.connect(address)
            yield client
            await body(client)

        return lines

    return make


async def nothing(client):
    pass


async def leave_a_task(client):
    client.abort()
    client.task = asyncio.create_task(asyncio.sleep(3600), name="heartbeat")


async def leave_a_file(client):
    client.abort()
    files.append(tempfile.TemporaryFile())  # noqa: SIM115  the mistake


async def leave_a_thread(client):
    client.abort()
    threading.Thread(target=released.wait, name="poller").start()


async def forget_to_await(client):
    client.abort()
    client.ask()


async def hang(client):
    client.abort()
    await asyncio.sleep(3600)


async def fail(client):
    client.abort()
    raise OSError("already closed")


async def fail_in_a_callback(client):
    client.abort()
    asyncio.get_running_loop().call_soon(int, "x")


files: list = []
released = threading.Event()


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (nothing, "a connection to the server is open"),
        (leave_a_task, "the task 'heartbeat' (sleep) runs"),
        (leave_a_file, "is open"),
        (leave_a_thread, "the thread 'poller' runs"),
        (forget_to_await, "a warning: coroutine 'Lines.ask' was never awaited"),
        (hang, "the close took longer than close_timeout = 0.25 s"),
        (fail, "CloseError: resource 'lines' did not close after 0.000 s: OSError: already closed"),
        (fail_in_a_callback, "the event loop was told: Exception in callback int("),
    ],
    ids=lambda item: getattr(item, "__name__", None),
)
def test_what_is_not_closed_is_found(broken, body, came):
    try:
        assert came in broken(ending(body), "closes")["closes"]
    finally:
        released.set()
        while files:
            files.pop().close()
        released.clear()


def test_what_is_left_is_listed_with_what_to_write(server):
    assert text_of(ending(nothing), server, only="closes") == (
        "resource 'lines' breaks a rule\n"
        "\n"
        "closes\n"
        "  expected: Closed with its environment, within close_timeout, it leaves nothing open and nothing running.\n"
        "  came:     a connection to the server is open\n"
        "  write:    close after the yield, and await it:\n"
        "            client = Client(...)\n"
        "            try:\n"
        "                yield client\n"
        "            finally:\n"
        "                await client.aclose()"
    )


def test_a_farewell_that_nobody_hears(broken):
    async def wait_for_the_server(client):
        client.writer.write(b"bye\n")
        await client._reader.readline()
        client.abort()

    came = broken(ending(wait_for_the_server), "closes in silence")["closes in silence"]
    assert "a connection to the server is open" in came


def test_a_start_that_is_given_up_half_way(broken):
    def make(address):
        @variant(address)
        async def lines(address):
            client = await Lines.connect(address)
            await client.ask("welcome")  # a cancellation here closes nothing
            yield client
            client.abort()

        return lines

    came = broken(make, "gives up a start")["gives up a start"]
    assert (
        "unclosed" in came or "a connection to the server is open" in came
    )  # as the collector finds it


def test_a_start_that_is_given_up_late(broken):
    def make(address):
        @variant(address)
        async def lines(address):
            client = await Lines.connect(address)
            try:
                await client.ask("who are you?")
            except BaseException:
                client.abort()
                raise
            await client.ask("welcome")  # a cancellation here closes nothing
            yield client
            client.abort()

        return lines

    came = broken(make, "gives up a start")["gives up a start"]
    assert "unclosed" in came or "a connection to the server is open" in came


def test_what_was_left_open_is_not_blamed_on_the_next_test(server):
    with pytest.raises(ConformanceError):
        check_resource(
            ending(nothing, alive=False), use=Lines.ask, server=server, only="survives farewells"
        )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(item.message) for item in told] == []


def test_code_that_blocks_its_thread(broken, monkeypatch):
    monkeypatch.setattr(examine, "REAL_LIMIT", 0.3)
    released = threading.Event()

    def use(client):
        released.wait()

    try:
        came = broken(careful, "starts", use=use)["starts"]
    finally:
        released.set()
    assert came.startswith("it had not ended after 0.3 s; it blocks in wait, ")


# -- secrets


class Address:
    def __init__(self, url):
        self.url = url

    def __repr__(self):
        return f"Address({self.url})"


@pytest.mark.parametrize("where", ["repr", "error", "log"])
def test_a_shown_secret_is_found_and_not_shown_again(broken, where, caplog):
    def make(address):
        @resource(name=f"lines of {SECRET}" if where == "repr" else "lines")
        async def lines():
            try:
                client = await Lines.connect(address)
            except OSError as error:
                if where == "error":
                    raise ConnectionError(f"no answer from lines://me:{SECRET}@there") from error
                raise
            try:
                yield client
            finally:
                client.abort()
                if where == "log":
                    import logging

                    logging.getLogger("lines").error("closed %s", SECRET)

        return lines

    came = broken(make, "keeps secrets", secrets=[SECRET])["keeps secrets"]
    assert {"repr": "repr(resource)", "error": "str(ConnectionError)", "log": "a log line"}[
        where
    ] in came
    assert "***" in came
    assert SECRET not in came


@pytest.mark.parametrize("rule", ["starts", "passes its check"])
def test_what_came_shows_no_secret(broken, rule):
    def make(address):
        made = careful(address)

        @made.check
        async def _(client):
            raise PermissionError(f"{SECRET} is wrong")

        return made

    async def use(client):
        if rule == "starts":
            raise PermissionError(f"{SECRET} is wrong")

    came = broken(make, rule, use=use, secrets=[SECRET])[rule]
    assert came.endswith("PermissionError: *** is wrong")


# -- several


def test_all_broken_rules_are_in_one_error(server):
    with pytest.raises(ConformanceError) as caught:
        check_resource(ending(nothing, alive=False), use=Lines.ask, server=server)
    report = caught.value.report
    broken = [outcome.rule for outcome in report.of(Standing.BROKEN)]
    assert str(caught.value).startswith(
        f"resource 'lines' breaks {len(broken)} of the {len(RULES)} rules"
    )
    assert {"survives resets", "survives farewells", "closes", "closes in silence"} <= set(broken)
    assert "starts" not in broken
    assert "keeps secrets" in [outcome.rule for outcome in report.of(Standing.NOT_APPLICABLE)]
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)
