"""Draws a handler's resources: `warmkit graph`."""
