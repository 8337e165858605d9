"""Generated data: two owners' tables with serial numbers as text and a value, half in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

VALUES = 1000
"""Values are integers from 0 up to this, exclusive."""
FORMATS = {"csv": "FORMAT csv, HEADER", "parquet": "FORMAT parquet"}
_SPACE = 10**12
_STEP = 30_000_000_091
"""Odd and no multiple of 5: its multiples modulo 10^12 are all different."""


@dataclass(frozen=True)
class Tables:
    """Files of two owners, by format, each with the columns id and value, shuffled."""

    rows: int
    left: dict[str, Path]
    right: dict[str, Path]

    @property
    def matched(self) -> int:
        """How many serial numbers both have; the right ones' values are of them."""
        return self.rows - self.rows // 2


def write(folder: Path, rows: int) -> Tables:
    """Write both tables, `rows` serial numbers each, the same for the same number of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    with duckdb.connect(":memory:") as connection:
        for seed, (owner, first) in enumerate({"left": 0, "right": rows // 2}.items(), start=1):
            connection.execute(
                f"""CREATE OR REPLACE TABLE serials AS
                SELECT format('SN{{:012d}}', number * {_STEP} % {_SPACE}) AS id,
                    (hash(number + {seed} * {_SPACE}) % {VALUES})::BIGINT AS value
                FROM range({first}, {first + rows}) AS numbers(number)
                ORDER BY hash(number * 2 + {seed})"""
            )
            files[owner] = {name: folder / f"{owner}.{name}" for name in FORMATS}
            for name, how in FORMATS.items():
                connection.execute(f"COPY serials TO '{files[owner][name]}' ({how})")
    return Tables(rows, files["left"], files["right"])
