"""What is left when an execution environment ends? `python -m benchmarks.ends` measures it."""
