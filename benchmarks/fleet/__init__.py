"""Lambda's environments on paper: arrivals, the rules by which they are served on a virtual clock, and what that comes to.

Standard library only: nothing here measures, waits or knows warmkit.
"""
