"""What is left when an execution environment ends? `python -m benchmarks.parts.ends` measures it."""
