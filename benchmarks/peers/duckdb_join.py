"""The join without any protection: one DuckDB with both files, count and sum, two threads."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import duckdb

THREADS = 2


def main() -> None:
    """Join two files."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("files", type=Path, nargs=2, help="CSV or Parquet, by their names")
    chosen = options.parse_args()
    with duckdb.connect(":memory:", config={"threads": THREADS}) as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        read = "read_csv" if chosen.files[0].suffix == ".csv" else "read_parquet"
        left, right = (f"{read}('{file}')" for file in chosen.files)
        row = connection.execute(
            f"SELECT count(*), sum(b.value) FROM {left} AS a JOIN {right} AS b USING (id)"
        ).fetchone()
        assert row is not None
        print(json.dumps({"matched": row[0], "sum": int(row[1] or 0)}), flush=True)


if __name__ == "__main__":
    main()
