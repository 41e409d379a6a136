"""The benchmark suite: `python -m benchmarks`.

- `questions`: one a file; what is asked, and of what.
- `functions`: what is measured, as users write it.
- `parts`: what questions are made of: servers, wires, callers, peers.
- `harness`: how questions are asked, and their answers computed, kept, drawn and written down.
"""
