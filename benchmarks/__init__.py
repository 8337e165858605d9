"""Measurements of the claims in docs/performance.md, run by hand: `python -m benchmarks.NAME`."""
