"""What the kit says before it tries anything, and its own small parts."""

import asyncio
import os
import socket
import time
import warnings

import pytest

from warmkit import UsageError, resource
from warmkit.testing import RULES, check_resource
from warmkit.testing.conformance.leaks import Ledger, open_files, sockets_to
from warmkit.testing.conformance.loop import PacedLoop
from warmkit.testing.conformance.secrets import masked


def model():
    return resource(lambda: [1, 2], name="model")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"make": model()},
            "make must be a function, not Resource.\n  Write a function: make=lambda address: it",
        ),
        (
            {"make": lambda: 3},
            (
                "make returned int, which is no resource.\n"
                "  Write: make=lambda address: search_client(f'http://{address}'), where search_client returns what "
                "@resource made."
            ),
        ),
        (
            {"make": lambda: resource(scope="invocation", name="work")(list)},
            (
                "resource 'work' ends with its invocation, so it has nothing to survive.\n"
                "  Check the resource of environment scope that it is built on."
            ),
        ),
        ({"use": "ping"}, "use must be a function, not str.\n  Write a function, use=..."),
        (
            {"secrets": "open-sesame"},
            "secrets must be texts that are not empty.\n  Write: secrets=[password]",
        ),
        (
            {"secrets": [""]},
            "secrets must be texts that are not empty.\n  Write: secrets=[password]",
        ),
        (
            {"only": "survive resets"},
            "there is no rule 'survive resets'.\n  Did you mean 'survives resets'?",
        ),
        *[
            (
                {"server": wrong},
                (
                    "server must be a host and a port.\n"
                    "  Write: server=('127.0.0.1', 6379), or server='127.0.0.1:6379', without scheme and path."
                ),
            )
            for wrong in ("redis://:open-sesame@there:6379/0", "there", ("there",), ("", 1), 6379)
        ],
    ],
)
def test_wrong_arguments_are_refused(arguments, text):
    with pytest.raises(UsageError) as caught:
        check_resource(**{"make": model, "use": sum, **arguments})
    assert str(caught.value) == text


def test_an_unknown_rule_is_answered_with_all_of_them():
    with pytest.raises(UsageError, match=", ".join(map(str, RULES))):
        check_resource(model, use=sum, only="?")


def test_every_rule_says_what_it_asks_for_and_what_to_write():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert [rule.name for rule in RULES if not (rule.expected and rule.write)] == []


def test_a_loop_in_a_hurry_skips_its_timers():
    loop = PacedLoop()
    loop.hurried = True
    begun, real = loop.time(), time.thread_time()
    loop.run_until_complete(asyncio.sleep(3600))
    assert 3600 <= loop.time() - begun < 3700
    assert time.thread_time() - real < 60  # CPU time: it did not spin through the hour either
    loop.close()


def test_a_loop_in_a_hurry_waits_for_its_threads():
    loop = PacedLoop()
    loop.hurried = True

    async def scenario():
        async with asyncio.timeout(5):
            return await asyncio.to_thread(time.sleep, 0.1)

    begun = loop.time()
    loop.run_until_complete(scenario())
    assert loop.time() - begun < 5
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_open_files_and_sockets_are_seen():
    before = open_files()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client:
            assert sockets_to(address) == [client.fileno()]
            assert {server.fileno(), client.fileno()} <= open_files().keys() - before.keys()
        assert sockets_to(address) == []
    assert open_files() == before


def test_what_is_no_complaint_is_passed_on():
    with pytest.warns(FutureWarning, match="soon"):
        assert complaints_of(FutureWarning("soon"), ResourceWarning("open")) == ["a warning: open"]


def complaints_of(*given):
    with Ledger() as ledger:
        for warning in given:
            warnings.warn(warning, stacklevel=1)
        return ledger.left_behind()


def test_a_file_is_named_by_its_path(tmp_path):
    with Ledger() as ledger:
        descriptor = os.open(tmp_path / "left.txt", os.O_CREAT | os.O_WRONLY)
        try:
            (line,) = [text for text in ledger.left_behind() if "is open" in text]
        finally:
            os.close(descriptor)
    assert line in {f"{tmp_path / 'left.txt'} is open", f"file descriptor {descriptor} is open"}


def test_secrets_are_masked_as_they_are_and_as_urls_write_them():
    assert masked("a p@ss/word b", ["p@ss/word"]) == "a *** b"
    assert masked("redis://:p%40ss%2Fword@there", ["p@ss/word"]) == "redis://:***@there"
