"""When a process reached what, and for how long it did something. It is told from outside: no style knows of it.

While what is timed runs, nothing more of it is: what it calls in turn costs no more than ever.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_noted: dict[str, float] = {}


def note(name: str) -> None:
    """Notes that the process is there now, the first time."""
    _noted.setdefault(name, time.monotonic())


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Adds up how long a block takes."""
    began = time.monotonic()
    try:
        yield
    finally:
        _noted[name] = _noted.get(name, 0.0) + time.monotonic() - began


class Around:
    """Puts a context manager around each call of some functions, but for those that they make themselves.

    Args:
        functions: An object each, and the name of its attribute.
        context: Makes what is entered.
    """

    def __init__(self, *functions: tuple[Any, str], context: Callable[[], Any]) -> None:
        self._plain = [(owner, name, getattr(owner, name)) for owner, name in functions]
        self._context = context

    def begin(self) -> None:
        for owner, name, plain in self._plain:
            setattr(owner, name, self._surrounded(plain))

    def end(self) -> None:
        for owner, name, plain in self._plain:
            setattr(owner, name, plain)

    def _surrounded(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.end()
            try:
                with self._context():
                    return plain(*args, **options)
            finally:
                self.begin()

        return call


def write() -> None:
    """Writes all to the file that MOMENTS names, the first time."""
    path = os.environ.pop("MOMENTS", "")
    if not path:
        return
    began = (
        _noted["python"] - time.monotonic() + time.time()
    )  # as of the clock that a shell can read
    spawned = float(os.environ["SPAWNED"].replace(",", "."))
    _noted["spawned"] = _noted["python"] - (began - spawned)
    _noted["on a core"] = time.process_time()
    with open(path, "w") as file:  # noqa: PTH123  pathlib takes time to import
        file.writelines(f"{name} {seconds}\n" for name, seconds in _noted.items())
