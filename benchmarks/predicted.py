"""What explain predicts of joins, beside what they take: `python -m benchmarks.predicted --within 2`.

Real nodes and the coordinator on this machine, nothing else running. Of several runs the best counts:
whatever else a machine does makes them longer, never shorter. Ends with an error where a prediction is
off by more than the factor asked for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks import many, ours, serials
from benchmarks.deployment import DELTA, running
from benchmarks.report import parser, write
from sandbox.client import Session

ROWS_LOG = (16, 18, 20)
MOST_TABLES = 3
REPEAT = 3
FACTOR = 2.0
IDS = "ids"
MODES = ("blind", ours.VERIFIED, ours.PREPARED, "psi", ours.MALICIOUS, IDS)
"""Joins of two tables: statements, one over a prepared matching, and ids for an owner's file."""


@dataclass(frozen=True)
class Prediction:
    """Seconds that explain names, and the best of several runs."""

    what: str
    rows: int
    predicted_s: float
    measured_s: float

    @property
    def off(self) -> float:
        """How many times too long or too short the prediction is, at least 1."""
        ratio = self.predicted_s / self.measured_s
        return max(ratio, 1 / ratio)

    def entry(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "join": self.what,
            "rows": self.rows,
            "predicted_s": round(self.predicted_s, 3),
            "measured_s": round(self.measured_s, 3),
            "predicted/measured": round(self.predicted_s / self.measured_s, 2),
        }


def of_two_tables(
    rows: int, repeat: int = REPEAT, modes: Sequence[str] = MODES
) -> Iterator[Prediction]:
    """Yield each mode's prediction for two tables of `rows` rows, half of whose keys match."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "deployment"
        ours.make(folder, serials.write(Path(scratch) / "tables", rows))
        with running(folder), Session.open(folder / "researcher") as session:
            if ours.PREPARED in modes:
                ours.prepare(session)
            for mode in modes:
                predicted, run = _asked(session, mode)
                yield Prediction(mode, rows, predicted, min(_timed(run) for _ in range(repeat)))


def _asked(session: Session, mode: str) -> tuple[float, Callable[[], object]]:
    if mode == IDS:
        ids = session.join("left.serials_csv", "right.serials_csv", on="id")
        return ids.explain().seconds, ids.run
    query, asked = session.sql(ours.STATEMENTS[mode]), ours.asked(mode)
    told = query.explain(epsilon=ours.EPSILON, delta=Decimal(DELTA), **asked)
    return told.seconds, lambda: query.run(epsilon=ours.EPSILON, delta=Decimal(DELTA), **asked)


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def of_many_tables(tables: int, rows: int, repeat: int = REPEAT) -> Prediction:
    """Return the prediction for a join of that many tables."""
    found = many.measured(tables, rows, repeat, grouped=False)
    return Prediction(f"{tables} tables", rows, found["predicted_s"], found["seconds"]["least"])


def _told(one: Prediction) -> Prediction:
    of = f"{one.what} of {one.rows} rows"
    sys.stderr.write(f"{of}: predicted {one.predicted_s:.2f} s, took {one.measured_s:.2f} s\n")
    return one


def main() -> int:
    """Measure all, print, and hold each against the factor."""
    options = parser(__doc__ or "")
    options.add_argument("--rows-log", default=",".join(map(str, ROWS_LOG)), metavar="N,…")
    options.add_argument("--modes", default=",".join(MODES), metavar="MODE,…")
    options.add_argument("--tables", type=int, default=MOST_TABLES, help="of the join of many")
    options.add_argument("--repeat", type=int, default=REPEAT)
    options.add_argument("--within", type=float, default=FACTOR, metavar="FACTOR")
    chosen = options.parse_args()
    found: list[Prediction] = []
    for rows in (1 << log for log in map(int, chosen.rows_log.split(","))):
        found += map(_told, of_two_tables(rows, chosen.repeat, chosen.modes.split(",")))
        if chosen.tables > 2:
            found.append(_told(of_many_tables(chosen.tables, rows, chosen.repeat)))
    write("predicted", {"joins": [one.entry() for one in found]}, chosen.json)
    wrong = [f"{one.what} of {one.rows} rows" for one in found if one.off > chosen.within]
    if wrong:
        sys.stderr.write(f"off by more than {chosen.within}: {', '.join(wrong)}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
