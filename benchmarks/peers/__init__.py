"""Other systems that join, each run as its documentation runs it, by `python -m benchmarks.join`."""
