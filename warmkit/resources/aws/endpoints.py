"""Endpoint data of which only what is asked for is parsed: each of its 2300 services by itself.

It finds them by the layout that botocore's own file has, and reads the whole where it finds another. Knows nothing of loaders.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_BEGIN, _END = b'\n    "services" : {\n', b"\n    }"
_PLACE = "services that are not parsed yet"


class Services(Mapping[str, Any]):
    """The services of one partition. Reads as the dict that they are."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._found: dict[str, Any] = {}
        self._whole: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        """Returns one service, parsed when it is first asked for."""
        if self._whole is not None:
            return self._whole[name]
        if name not in self._found:
            self._found[name] = self._parsed(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def _parsed(self, name: str) -> Any:
        begin, end = f"\n      {json.dumps(name)} : {{\n".encode(), b"\n      }"
        try:
            at = self._text.index(begin) + len(begin) - len("{\n")
            return json.loads(self._text[at : self._text.index(end, at) + len(end)])
        except ValueError:
            return self._all()[name]

    def _all(self) -> dict[str, Any]:
        if self._whole is None:
            self._whole = {**json.loads(self._text), **self._found}
        return self._whole


def read_endpoints(text: bytes) -> Any:
    """Returns the endpoint data; the services of its partitions, where they are found, are not parsed yet."""
    try:
        skeleton, services = _split(text)
        data = json.loads(skeleton)
        for partition in data["partitions"]:
            place = partition["services"].get(_PLACE)
            partition["services"] = services.get(place, partition["services"])
    except (ValueError, KeyError):
        return json.loads(text)
    return data


def _split(text: bytes) -> tuple[bytes, dict[int, Services]]:
    """Returns the text with a number in place of each partition's services, and these by number."""
    pieces: list[bytes] = []
    services: dict[int, Services] = {}
    position = 0
    while (at := text.find(_BEGIN, position)) >= 0:
        begin = at + len(_BEGIN) - len("{\n")
        end = text.index(_END, begin) + len(_END)
        number = len(services)
        pieces += text[position:begin], json.dumps({_PLACE: number}).encode()
        services[number] = Services(text[begin:end])
        position = end
    return b"".join([*pieces, text[position:]]), services
