"""What can be imported: the folders that AWS's runtime looks into, in its order.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html; the order is that of bootstrap.py in AWS's images.
"""

import os
import site
import sys

import warmkit

LAYERS = "/opt"
"""Where Lambda puts layers."""
_FOUND = os.path.dirname(os.path.dirname(warmkit.__file__))  # noqa: PTH120  pathlib takes 2 ms


def set_up(layers: str = LAYERS) -> None:
    """Makes the function, its layers and what the platform brings importable, and obeys `.pth` files of the former.

    A PYTHONPATH of the user's stands in for the layers; without one, child processes are given the platform's.

    Args:
        layers: Where layers are.
    """
    task_root = os.environ.get("LAMBDA_TASK_ROOT", "")
    platform = os.environ.get("LAMBDA_RUNTIME_DIR", "")
    first = [task_root] if task_root else []
    if "PYTHONPATH" not in os.environ:
        version = "python{}.{}".format(*sys.version_info)
        first += [f"{layers}/python/lib/{version}/site-packages", f"{layers}/python"]
    _go_first([*first, *_started_in(), platform])
    for folder in first:
        site.addsitedir(folder)
    _go_last(_FOUND)
    if platform:
        os.environ.setdefault("PYTHONPATH", platform)


def _started_in() -> list[str]:
    """Returns the folder that `python -m` and `python -c` look into: the present one, which may change."""
    return [os.getcwd()] if "" in sys.path else []  # noqa: PTH109  as above


def _go_first(folders: list[str]) -> None:
    ordered = dict.fromkeys([*folders, *sys.path])  # each once
    sys.path[:] = [folder for folder in ordered if folder]


def _go_last(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)
