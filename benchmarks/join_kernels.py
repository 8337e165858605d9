"""The join kernels of test_join_kernels.py, run by pytest-benchmark and written down."""

from __future__ import annotations

from benchmarks.kernels import measured
from benchmarks.report import parser, write


def main() -> None:
    """Measure and write."""
    chosen = parser(__doc__ or "").parse_args()
    write("join_kernels", measured("test_join_kernels.py"), chosen.json)


if __name__ == "__main__":
    main()
