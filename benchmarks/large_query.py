"""Eight groups of COUNT, SUM, AVG, STDDEV, CORR over three Parquet files, beside plain DuckDB."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import duckdb

from benchmarks import cpu, deployment, meters
from benchmarks.phases import medians, phases, verified
from benchmarks.report import parser, spread, write
from sandbox.client import Session

EPSILON = "1"
WARM_UP = 2


def main() -> None:
    """Measure and write."""
    options = parser(__doc__ or "")
    options.add_argument("--rows", type=int, default=1_000_000, help="in each node's file")
    options.add_argument("--runs", type=int, default=15)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "deployment"
        seeds = {name: seed for seed, name in enumerate(deployment.NODES)}
        files = meters.write(Path(scratch) / "data", seeds, chosen.rows)
        deployment.make(folder, meters.card(chosen.rows), files)
        plain, joint, split = [], [], []
        with (
            deployment.running(folder) as processes,
            Session.open(folder / "researcher") as session,
        ):
            parts = cpu.parts_of(processes)
            used = cpu.seconds(parts)
            for number in range(WARM_UP + chosen.runs):
                if number == WARM_UP:
                    used = cpu.seconds(parts)
                plain_s = plain_duckdb(files.values())
                query = session.sql(meters.QUERY)
                began, clock = time.time(), time.perf_counter()
                result = query.run(epsilon=EPSILON, delta=deployment.DELTA)
                took, ended = time.perf_counter() - clock, time.time()
                receipt = verified(session, result.receipt)
                if number >= WARM_UP:
                    plain.append(plain_s)
                    joint.append(took)
                    split.append(phases(receipt, began, ended))
            cost = cpu.each(used, cpu.seconds(parts), chosen.runs)
    plain_spread, joint_spread = spread(plain), spread(joint)
    measured = {
        "rows_per_node": chosen.rows,
        "statement": meters.QUERY,
        "plain_s": plain_spread,
        "joint_s": joint_spread,
        "each_s": [round(each, 4) for each in joint],
        "limit_s": round(3 * plain_spread["median"] + 1.0, 3),
        "phases_median_s": medians(split),
        "cpu_ms": {name: spent for name, spent in cost.items() if name != "researcher"},
    }
    write("large_query", measured, chosen.json)


def plain_duckdb(files: Iterable[Path]) -> float:
    """Return the seconds that DuckDB, in a fresh connection, takes for the statement unprotected."""
    paths = ", ".join(f"'{file}'" for file in files)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE VIEW meters AS SELECT * FROM read_parquet([{paths}])")
        clock = time.perf_counter()
        rows = connection.execute(meters.QUERY).fetchall()
        took = time.perf_counter() - clock
    assert len(rows) == len(meters.REGIONS)
    return took


if __name__ == "__main__":
    main()
