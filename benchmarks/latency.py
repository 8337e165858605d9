"""A small query from `q.run()` in a connected session to the opened answer, one after another."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import cpu, deployment, meters
from benchmarks.phases import medians, phases, verified
from benchmarks.report import parser, spread, write
from sandbox.client import Session

ROWS = 1_000
EPSILON = "0.1"
WARM_UP = 5


def main() -> None:
    """Measure and write."""
    options = parser(__doc__ or "")
    options.add_argument("--queries", type=int, default=100)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "deployment"
        seeds = {name: seed for seed, name in enumerate(deployment.NODES)}
        files = meters.write(Path(scratch) / "data", seeds, ROWS)
        deployment.make(folder, meters.card(ROWS), files)
        seconds, split = [], []
        with (
            deployment.running(folder) as processes,
            Session.open(folder / "researcher") as session,
        ):
            parts = cpu.parts_of(processes)
            used = cpu.seconds(parts)
            for number in range(WARM_UP + chosen.queries):
                if number == WARM_UP:
                    used = cpu.seconds(parts)
                query = session.sql(meters.SMALL_QUERY)
                began, clock = time.time(), time.perf_counter()
                result = query.run(epsilon=EPSILON, delta=deployment.DELTA)
                took, ended = time.perf_counter() - clock, time.time()
                receipt = verified(session, result.receipt)
                if number >= WARM_UP:
                    seconds.append(took)
                    split.append(phases(receipt, began, ended))
            cost = cpu.each(used, cpu.seconds(parts), chosen.queries)
    measured = {
        "rows_per_node": ROWS,
        "warm_up": WARM_UP,
        "seconds": spread(seconds),
        "phases_median_s": medians(split),
        "cpu_ms": cost,
        "each_s": [round(each, 4) for each in seconds],
    }
    write("latency", measured, chosen.json)


if __name__ == "__main__":
    main()
