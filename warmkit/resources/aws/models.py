"""A loader of botocore's service models and endpoint data that takes less time, and finds the same.

It is botocore's extension point: the session's component `data_loader`, and the loader's `file_loader`. Only what
botocore documents is used. It must never change what is loaded: a test compares it with botocore's own.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from botocore.exceptions import DataNotFoundError
from botocore.loaders import ExtrasProcessor, JSONFileLoader, Loader

from warmkit.resources.aws.reading import read

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class PlainJson(JSONFileLoader):
    """Reads JSON into plain dicts, in C, where botocore's makes ordered ones, in Python.

    Args:
        ahead: What was read already, by path.
    """

    def __init__(self, ahead: Mapping[str, Any] = _NOTHING) -> None:
        self._ahead = dict(ahead)

    def load_file(self, file_path: str) -> Any | None:
        """Returns the content of the file, whose extension is not given; None if it is not there."""
        return self._ahead.pop(file_path, None) or read(file_path)


class QuickLoader(Loader):
    """Loads a model without listing the 400 services first. Lives as long as the session, and keeps what it loaded."""

    def __init__(self, search_paths: list[str], ahead: Mapping[str, Any] = _NOTHING) -> None:
        super().__init__(
            extra_search_paths=search_paths,
            file_loader=PlainJson(ahead),
            include_default_search_paths=False,  # they are among those given
        )
        self._models: dict[tuple[str, str, str | None], Any] = {}

    @classmethod
    def like(cls, loader: Loader, ahead: Mapping[str, Any] = _NOTHING) -> Self:
        """Returns one that looks where the given one looks: AWS_DATA_PATH, ~/.aws/models, botocore's own."""
        return cls(list(loader.search_paths), ahead)

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
