"""Files many times larger than the memory that may be used: checked and summed all the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from nodes import inspection
from nodes.inspection import check_rows, open_source
from nodes.workers import FragmentRequest, Limits, Workers
from sandbox.catalog import Table
from tests.data.rows import CARD, STATEMENTS, TABLE, planned

ROWS = 2_000_000
LIMIT_BYTES = 64 << 20
PROGRAM_BYTES = 160 << 20
"""Python, DuckDB and Arrow themselves, without a row."""

MADE = f"""
    SELECT (hash(r) % {ROWS // 2})::INTEGER AS id, ['house', 'shop'][1 + (hash(r + 7) % 2)::INT] AS kind,
        (hash(r + 9) % 60000) / 100.0 AS kwh, 1 + (hash(r) % 3)::INT AS phases,
        hash(r) % 2 = 0 AS solar, DATE '2010-01-01' + (hash(r) % 3000)::INT AS since,
        TIMESTAMP '2021-01-01' + to_seconds((hash(r) % 30000000)::INT) AS read_at,
        md5(r::VARCHAR) || md5((r + 1)::VARCHAR) || md5((r + 2)::VARCHAR) AS note
    FROM range({ROWS}) made(r)
"""
LARGE = replace(CARD, row_bound=ROWS, contribution_cap=1)

CHECK = """
import resource, sys
from pathlib import Path
from nodes import inspection
from tests.data.test_large import LARGE, LIMIT_BYTES
inspection.MEMORY_LIMIT = f"{LIMIT_BYTES}B"
rows = inspection.check_rows(inspection.open_source(Path(sys.argv[1])), LARGE, "meters")
if sys.platform == "linux":
    # Linux lets ru_maxrss begin with what the parent had when it forked.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(rows, peak)
"""


@pytest.fixture(scope="module", params=["meters.csv", "meters.parquet"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / str(request.param)
    with duckdb.connect(":memory:") as connection:
        packed = ", COMPRESSION uncompressed" if path.suffix == ".parquet" else ""
        connection.execute(f"COPY ({MADE}) TO '{path}' (FORMAT {path.suffix[1:]}{packed})")
    assert path.stat().st_size > 3 * LIMIT_BYTES
    return path


def test_check_of_a_large_file_stays_within_its_memory(large: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(large)], capture_output=True, text=True, check=True
    )
    rows, peak_bytes = map(int, done.stdout.split())
    assert rows == ROWS
    assert peak_bytes < LIMIT_BYTES + PROGRAM_BYTES


def test_fragment_of_a_large_file_stays_within_its_memory(large: Path, tmp_path: Path) -> None:
    """DuckDB refuses to use more than the limit, so that an answer proves the bound."""

    async def run() -> list[int]:
        async with Workers(tmp_path, Limits(memory_bytes=LIMIT_BYTES)) as workers:
            table = Table("meters", LARGE, TABLE.members)
            fragment = planned(STATEMENTS[1], table)
            return await workers.sum_fragment(
                FragmentRequest("anyone", "meters", open_source(large), fragment)
            )

    assert sum(asyncio.run(run())[:3]) > ROWS // 3
    assert not list((tmp_path / "workers").glob("temp/*"))


def test_check_tells_how_far_it_has_come(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(inspection, "TELL_S", 0.01)
    check_rows(open_source(large), LARGE, "meters", progress=told.append)
    assert told == sorted(told)
    assert all(0 <= share <= 1 for share in told)
    assert any(0.1 < share < 0.9 for share in told)
