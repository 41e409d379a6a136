"""`warmkit demo`: the same handler without and with warmkit, against real servers."""
