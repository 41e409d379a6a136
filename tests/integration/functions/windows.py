"""Makes the windows of the end long, for a function that says in which order it ends.

Only what a test lets run out is short: however slow the machine is, everything else happens before.
"""

import os

from warmkit.hosts import aws, ending, loop

LONG = 60.0

ending.WINDOW = float(os.environ.get("WINDOW", LONG))
ending.FINISH = float(os.environ.get("FINISH", "0.05"))
ending.UNWIND = float(os.environ.get("UNWIND", LONG))
loop.HEARING = float(os.environ.get("HEARING", LONG))
aws.POSTING = float(os.environ.get("POSTING", "0"))
