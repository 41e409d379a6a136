"""The kit that checks resources: `check_resource` tries the `RULES` and raises what breaks them.

It imports public warmkit and the standard library only, and needs no test framework.
"""
