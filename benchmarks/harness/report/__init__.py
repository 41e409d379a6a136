"""The report: one HTML file with everything in it, made of the results file and of nothing else."""

from benchmarks.harness.report.page import write_report

__all__ = ["write_report"]
