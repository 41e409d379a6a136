"""AWS's emulator, as the tests start it: one definition of how that is done."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests" / "integration"))

from emulator import INVOKE, PYTHONPATH, Emulator
from managed import ManagedInstance

__all__ = ["INVOKE", "PYTHONPATH", "Emulator", "ManagedInstance"]
