"""One execution environment of the local Lambda: its processes, their freeze, its phases."""
