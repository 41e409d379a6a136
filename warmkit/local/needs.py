"""Says what to install if something that a command needs is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

CANNOT_RUN = 2


def require(*modules: str, what: str = "warmkit[demo]") -> None:
    """Go on if the modules are installed; else say what to install, and exit."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        sys.stderr.write(f"{names} not found. Write: pip install '{what}'\n")
        sys.exit(CANNOT_RUN)
