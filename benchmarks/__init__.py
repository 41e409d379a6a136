"""Measurements of warmkit, one question a file. `python -m benchmarks.warm_path` runs one."""
