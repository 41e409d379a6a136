"""Lambda's environments on paper: arrivals, the rules by which they are served on a virtual clock, and what that comes to.

All of it is of the standard library, measures nothing and knows nothing of warmkit, but for `local`, which asks the local Lambda.
"""
