"""One event at a time, on real sockets."""

import selectors
import socket
from contextlib import ExitStack, closing

import pytest

from warmkit.runtime.selector import OneByOne, loop_of_many


@pytest.fixture
def pairs():
    """Sockets on which something has arrived, and their other ends."""
    with ExitStack() as stack:
        made = [socket.socketpair() for _ in range(3)]
        for here, there in made:
            stack.enter_context(closing(here))
            stack.enter_context(closing(there))
            there.send(b"x")
        yield made


@pytest.fixture
def selector():
    with closing(OneByOne()) as selector:
        yield selector


def test_what_an_event_brings_about_begins_before_the_next_event_is_looked_at(pairs):
    story = []

    def read(name, here):
        here.recv(1)
        story.append(f"read {name}")
        loop.call_soon(story.append, f"served {name}")

    with closing(loop_of_many()) as loop:
        for name, (here, _) in enumerate(pairs):
            loop.add_reader(here, read, name, here)
        while len(story) < 6:
            loop.call_soon(loop.stop)
            loop.run_forever()
    order = [name.split()[1] for name in story[::2]]
    assert sorted(order) == ["0", "1", "2"]
    assert story == [f"{what} {name}" for name in order for what in ("read", "served")]


def test_each_is_handed_out_once_before_any_is_again(pairs, selector):
    for here, _ in pairs:
        selector.register(here, selectors.EVENT_READ)
    rounds = [[selector.select(0)[0][0].fileobj for _ in pairs] for _ in range(2)]
    assert [set(found) for found in rounds] == [{here for here, _ in pairs}] * 2


def test_nothing_is_handed_out_where_nothing_has_arrived(pairs, selector):
    here, there = pairs[0]
    selector.register(there, selectors.EVENT_READ)
    assert selector.select(0) == []
    here.send(b"y")
    assert [key.fileobj for key, _ in selector.select()] == [there]


def test_what_is_awaited_no_more_is_not_handed_out(pairs, selector):
    for here, _ in pairs:
        selector.register(here, selectors.EVENT_READ)
    ((first, _),) = selector.select(0)
    gone, changed = [here for here, _ in pairs if here is not first.fileobj]
    selector.unregister(gone)
    selector.modify(changed, selectors.EVENT_WRITE)
    ((first.fileobj).recv(1))
    found = selector.select(0)
    assert [(key.fileobj, events) for key, events in found] == [(changed, selectors.EVENT_WRITE)]


def test_a_descriptor_that_means_another_socket_by_now_is_not_taken_for_the_old_one(selector):
    old, other = socket.socketpair(), socket.socketpair()
    for here, there in (old, other):
        there.send(b"x")
        selector.register(here.fileno(), selectors.EVENT_READ)
    ((first, _),) = selector.select(0)
    waiting = old if first.fd == other[0].fileno() else other
    descriptor = waiting[0].fileno()
    selector.unregister(descriptor)
    waiting[0].close()
    new, its_other = socket.socketpair()
    with closing(new), closing(its_other):
        assert descriptor in {new.fileno(), its_other.fileno()}, "the lowest one that is free"
        selector.register(descriptor, selectors.EVENT_READ)
        selector.unregister(first.fd)
        assert selector.select(0) == []
    for end in (*old, *other):
        end.close()
