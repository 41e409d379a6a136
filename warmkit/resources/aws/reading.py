"""Reads botocore's data files in less time than botocore does, also before anybody asks for them.

It knows where botocore keeps them and imports nothing of it but its name.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore

from warmkit.resources.aws.endpoints import read_endpoints

DATA = Path(botocore.BOTOCORE_ROOT) / "data"
_READERS: dict[str, Callable[[Path], bytes]] = {
    ".json": Path.read_bytes,
    ".json.gz": lambda path: gzip.decompress(path.read_bytes()),
}
_ENDPOINTS = str(DATA / "endpoints")
_KINDS = ("service-2", "endpoint-rule-set-1")


def read(file_path: str) -> Any | None:
    """Returns the content of a file, whose extension is not given; None if it is not there.

    As plain dicts, made in C, where botocore makes ordered ones, in Python. Plain dicts have kept their order since
    Python 3.7; botocore asks no more of them.
    """
    parse = read_endpoints if file_path == _ENDPOINTS else json.loads
    for extension, content in _READERS.items():
        path = Path(file_path + extension)
        if path.is_file():
            return parse(content(path))
    return None


def read_ahead(service: str, found: dict[str, Any]) -> None:
    """Adds what botocore will ask for when it makes a client of a service, by path, as far as it can be guessed."""
    newest = max((DATA / service).iterdir())
    for path in (_ENDPOINTS, *(str(newest / kind) for kind in _KINDS)):
        found[path] = read(path)
