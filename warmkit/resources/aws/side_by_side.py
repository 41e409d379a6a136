"""Lets a second core work while aiohttp, when it is imported, has OpenSSL parse root certificates. Knows nothing of AWS.

aiohttp makes two TLS contexts then, and the interpreter is free for another thread meanwhile. Both know how to share it in
any case: that this moment has come is a guess, and where it is wrong only time is lost.
"""

import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

MEMORY_OF_TWO_CORES = 2 * 1769
"""MB."""
_POLL = 0.0005


@contextmanager
def beside_aiohttp(work: Callable[[Callable[[], bool]], object]) -> Generator[None]:
    """Around the import of aiohttp: does the work in a thread, and waits for it. What it raises is dropped.

    Args:
        work: Called as soon as OpenSSL is busy, or not at all, with a function that tells whether time is up.
    """
    if "aiohttp" in sys.modules or not _has_another_core():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_wait, args=(work, over), name="warmkit:imports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait(work: Callable[[Callable[[], bool]], object], over: threading.Event) -> None:
    while not hasattr(
        sys.modules.get("aiohttp.connector"), "BaseConnector"
    ):  # its contexts come next
        if over.wait(_POLL):
            return
    with suppress(Exception):
        work(over.is_set)


def _has_another_core() -> bool:
    """Whether a second thread has a core of its own. Lambda gives a function a share of them, by its memory.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return cores != 1 and (not memory.isdecimal() or int(memory) >= MEMORY_OF_TWO_CORES)
