"""While aiohttp is imported another thread works, where it has a core; what it has read is used, and nothing depends on it."""

import sys
import threading
from types import SimpleNamespace

import pytest
from botocore.loaders import Loader

from warmkit.resources.aws import side_by_side
from warmkit.resources.aws.models import QuickLoader
from warmkit.resources.aws.reading import DATA, read_ahead
from warmkit.resources.aws.side_by_side import beside_aiohttp

CONNECTOR = SimpleNamespace(BaseConnector=object)


@pytest.fixture
def importing(monkeypatch):
    """A process with two cores that is about to import aiohttp."""
    monkeypatch.delitem(sys.modules, "aiohttp", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp.connector", SimpleNamespace())
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", raising=False)
    monkeypatch.setattr(side_by_side.os, "sched_getaffinity", lambda pid: {0, 1})
    return monkeypatch


def worked(importing):
    """Whether the work was done, in which thread, and whether time was up before and after."""
    done, told = threading.Event(), []

    def work(is_over):
        told.extend([threading.current_thread().name, is_over()])
        done.set()
        while not is_over():
            pass
        told.append(is_over())

    with beside_aiohttp(work):
        importing.setitem(sys.modules, "aiohttp.connector", CONNECTOR)
        if [thread for thread in threading.enumerate() if thread.name == "warmkit:imports"]:
            done.wait()
    return told


def test_a_thread_works_meanwhile_and_is_waited_for(importing):
    assert worked(importing) == ["warmkit:imports", False, True]
    assert "warmkit:imports" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(("memory", "works"), [("128", False), ("3537", False), ("3538", True)])
def test_in_lambda_only_where_the_memory_brings_two_cores(importing, memory, works):
    importing.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)
    assert bool(worked(importing)) is works


def test_one_core_does_one_thing_after_the_other(importing):
    importing.setattr(side_by_side.os, "sched_getaffinity", lambda pid: {0})
    assert worked(importing) == []


def test_where_aiohttp_is_there_already_nothing_is_to_be_won(importing):
    importing.setitem(sys.modules, "aiohttp", SimpleNamespace())
    assert worked(importing) == []


def test_if_the_moment_does_not_come_nothing_is_done(importing):
    told = []
    with beside_aiohttp(told.append):
        pass
    assert told == []


def test_what_it_raises_is_dropped_and_what_the_import_raises_is_not(importing):
    def fail(is_over):
        raise OSError("no such service")

    importing.setitem(sys.modules, "aiohttp.connector", CONNECTOR)
    with pytest.raises(ImportError, match="broken"), beside_aiohttp(fail):
        raise ImportError("broken")


def test_what_is_read_ahead_is_what_botocore_would_find():
    found = {}
    read_ahead("s3", found)
    stock = Loader()
    names = ("endpoints", "s3/2006-03-01/service-2", "s3/2006-03-01/endpoint-rule-set-1")
    assert found == {str(DATA / name): stock.load_data(name) for name in names}


def test_what_was_read_ahead_is_used_if_it_is_asked_for_under_that_path():
    path = str(DATA / "s3" / "2006-03-01" / "waiters-2")
    ours = QuickLoader.like(Loader(), {path: {"read": "ahead"}, "/elsewhere": {}})
    assert ours.load_data("s3/2006-03-01/waiters-2") == {"read": "ahead"}
    assert "waiters" in QuickLoader.like(Loader()).load_data("s3/2006-03-01/waiters-2")


SOURCE = """
import sys

from warmkit import warm_handler
from warmkit.resources import s3_client


@warm_handler(s3=s3_client(region="eu-west-1"))
async def handler(event, context, s3):
    return s3.meta.endpoint_url


print(handler(1))
print(*sorted(name for name in sys.modules if not name.startswith("warmkit")))
"""


def test_with_and_without_a_second_thread_the_same_modules_are_loaded(program):
    beside, alone = (
        program(SOURCE, AWS_LAMBDA_FUNCTION_MEMORY_SIZE=memory) for memory in ("4096", "128")
    )
    assert (beside.stdout, beside.stderr) == (alone.stdout, "")
    assert alone.stdout.startswith("https://s3.eu-west-1.amazonaws.com\n")
