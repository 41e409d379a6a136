"""A loader of botocore's service models and endpoint data that takes less time, and finds the same.

It is botocore's extension point: the session's component `data_loader`, and the loader's `file_loader`. Only what
botocore documents is used. It must never change what is loaded: a test compares it with botocore's own.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from botocore.exceptions import DataNotFoundError
from botocore.loaders import ExtrasProcessor, JSONFileLoader, Loader

_READERS: dict[str, Callable[[Path], bytes]] = {
    ".json": Path.read_bytes,
    ".json.gz": lambda path: gzip.decompress(path.read_bytes()),
}


class PlainJson(JSONFileLoader):
    """Reads JSON into plain dicts, in C, where botocore's makes ordered ones, in Python.

    Plain dicts have kept their order since Python 3.7; botocore asks no more of them.
    """

    def load_file(self, file_path: str) -> Any | None:
        """Returns the content of the file, whose extension is not given; None if it is not there."""
        for extension, read in _READERS.items():
            path = Path(file_path + extension)
            if path.is_file():
                return json.loads(read(path))
        return None


class QuickLoader(Loader):
    """Loads a model without listing the 400 services first. Lives as long as the session, and keeps what it loaded."""

    def __init__(self, search_paths: list[str]) -> None:
        super().__init__(
            extra_search_paths=search_paths,
            file_loader=PlainJson(),
            include_default_search_paths=False,  # they are among those given
        )
        self._models: dict[tuple[str, str, str | None], Any] = {}

    @classmethod
    def like(cls, loader: Loader) -> Self:
        """Returns one that looks where the given one looks: AWS_DATA_PATH, ~/.aws/models, botocore's own."""
        return cls(list(loader.search_paths))

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> Any:
        """Returns the model, with its extras merged into it.

        Raises:
            DataNotFoundError: There is none; an `UnknownServiceError` where the service is unknown.
        """
        key = (service_name, type_name, api_version)
        if key not in self._models:
            try:
                self._models[key] = self._with_extras(*key)
            except DataNotFoundError:
                # botocore's own words, which name all services
                return super().load_service_model(service_name, type_name, api_version)
        return self._models[key]

    def _with_extras(self, service_name: str, type_name: str, api_version: str | None) -> Any:
        version = api_version or self.determine_latest_version(service_name, type_name)
        model = self.load_data(f"{service_name}/{version}/{type_name}")
        for extras in self.extras_types:
            try:
                extra = self.load_data(f"{service_name}/{version}/{type_name}.{extras}-extras")
            except DataNotFoundError:
                continue
            ExtrasProcessor().process(model, [extra])
        return model
