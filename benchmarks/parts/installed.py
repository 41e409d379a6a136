"""A directory with a few distributions, what these require, and nothing else: as a function is deployed.

Some libraries import whatever they happen to find (svcs its frameworks, pybreaker its storages), so that in an environment with
everything, what they load is not theirs.
"""

from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.harness.run import ROOT


def install(directory: Path, names: Iterable[str]) -> Path:
    """Links the files of these distributions, and warmkit's, into the directory; returns it."""
    for found in with_requirements(names):
        for file in found.files or ():
            if ".." not in file.parts:  # scripts are elsewhere
                link(directory / file, Path(str(found.locate_file(file))))
    link(directory / "warmkit", ROOT / "warmkit")
    return directory


def with_requirements(names: Iterable[str]) -> list[Distribution]:
    """Returns these distributions and all that they require on this machine."""
    found: dict[str, Distribution] = {}
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = distribution(name)
            required = [Requirement(text) for text in found[name].requires or ()]
            left += [canonicalize_name(item.name) for item in required if is_needed(item)]
    return list(found.values())


def is_needed(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def link(path: Path, target: Path) -> None:
    if target.exists() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
