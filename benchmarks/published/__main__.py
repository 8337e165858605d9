"""Ask published statements of real nodes: `python -m benchmarks.published --data DIR --json FILE`.

DIR has a folder for each workload's tables: tpch_sf001, smcql_testdb, scql_tutorial. Nodes are noiseless
(tests/plain_node.py), so that answers must be equal; with --noised they are those of production, and the
table says how many intervals hold the plain numbers. Exits with 1 where an answer is wrong.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from benchmarks.published import scql, smcql, tpch
from benchmarks.published.check import Outcome, check, document, union
from benchmarks.published.model import Rows, Workload
from benchmarks.published.nodes import make
from benchmarks.report import parser, write
from tests.endtoend import deployment

SCALE = Decimal("0.01")
WORKLOADS: dict[str, tuple[str, Callable[[], Workload]]] = {
    "tpch": ("tpch_sf001", lambda: tpch.workload(SCALE)),
    "smcql": ("smcql_testdb", lambda: smcql.WORKLOAD),
    "scql": ("scql_tutorial", lambda: scql.WORKLOAD),
}


def main() -> int:
    """Ask, print, write; return the exit status."""
    options = parser(__doc__ or "")
    options.add_argument(
        "--data", type=Path, required=True, help="the folder of the tables' folders"
    )
    options.add_argument("--only", default=",".join(WORKLOADS), help="workloads, comma-separated")
    options.add_argument("--noised", action="store_true", help="with the nodes of production")
    chosen = options.parse_args()
    measured = {}
    wrong = 0
    for name in chosen.only.split(","):
        folder, made = WORKLOADS[name]
        workload = made()
        known = tpch.reference(chosen.data / folder) if name == "tpch" else {}
        outcomes = run(workload, chosen.data / folder, known, noised=chosen.noised)
        wrong += sum(o.equal is False or o.known is False for o in outcomes)
        measured[name] = [document(outcome, workload) for outcome in outcomes]
    write("published", measured, chosen.json)
    return min(wrong, 1)


def run(workload: Workload, data: Path, known: dict[str, Rows], *, noised: bool) -> list[Outcome]:
    """Run a workload's nodes and ask its statements; tell each outcome as it comes."""
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "deployment"
        files = workload.files(data, Path(scratch))
        make(folder, workload, files)
        plain = union(workload, files)
        with (
            deployment.running(folder, plain=not noised),
            deployment.researcher(folder) as session,
        ):
            for statement in workload.statements:
                answer = known.get(statement.name, statement.known)
                outcome = check(session, workload, statement, plain, answer, noised=noised)
                _tell(workload, outcome)
                outcomes.append(outcome)
    return outcomes


def _tell(workload: Workload, outcome: Outcome) -> None:
    if outcome.refusal:
        said = f"refused: {outcome.refusal}"
    elif outcome.within is not None:
        said = f"{outcome.within[0]} of {outcome.within[1]} intervals hold the plain number"
    else:
        verdict = "equal" if outcome.equal else f"NOT EQUAL to {_shown(outcome.expected)}"
        said = f"{verdict}: {_shown(outcome.found)}"
    if outcome.known is False:
        said += "; NOT what was published"
    print(f"{workload.name} {outcome.statement:18} {outcome.mode:10} {said}", file=sys.stderr)


def _shown(rows: Rows | None) -> str:
    written = "; ".join(", ".join(map(str, row)) for row in rows or ())
    return written if len(written) <= 100 else f"{written[:97]}..."


if __name__ == "__main__":
    sys.exit(main())
