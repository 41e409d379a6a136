"""Tells what of a handler will bite on Lambda: `warmkit doctor`."""
