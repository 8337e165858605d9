"""What explain prints of how much a join moves and how long it takes: it follows the rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.catalog import Table
from sandbox.disclosure import IdJoin
from sandbox.prepared import Preparing
from sandbox.sql.explain import explain
from sandbox.sql.joinexplained import KeptMatching
from sandbox.sql.noise import job_noise
from sandbox.sql.plan import plan
from tests.sql.town import catalogue

EPSILON, DELTA = Decimal(1), Decimal("0.000001")
TWO = "SELECT COUNT(*), SUM(o.amount) FROM a.people p JOIN b.orders o USING (person)"
THREE = f"{TWO} JOIN e.notes n ON n.person = p.person"
SEMI = "SELECT COUNT(*) FROM b.orders WHERE person IN (SELECT person FROM a.people)"
TRAFFIC = re.compile(r"(\d+) KiB.*? ([\d.]+) s\.")


def tables(rows: int) -> dict[str, Table]:
    """Return the town, every card of which declares `rows` rows."""
    return {
        name: replace(table, card=replace(table.card, row_bound=rows))
        for name, table in catalogue().items()
    }


def asked(text: str, rows: int, **how: Any) -> str:
    planned = plan(text, tables(rows))
    prepared = "kept" in how
    noise = job_noise(planned, EPSILON, DELTA, {}, prepared=prepared)
    return str(explain(planned, noise, **how))


def session(rows: int) -> Any:
    """Stand for a session over that catalogue."""
    return SimpleNamespace(
        tables=lambda: tables(rows),
        limits=lambda _: None,
        defaults=SimpleNamespace(purpose="x", epsilon=EPSILON, delta=DELTA),
    )


def ids(rows: int, *, malicious: bool = False) -> str:
    joined = IdJoin(
        session(rows), "a.people", "b.orders", "person", malicious=malicious, file="csv"
    )
    return str(joined.explain())


def preparing(rows: int, *, verify: bool = False) -> str:
    made = Preparing(
        session(rows), "m", "a.people", "b.orders", "person",
        epsilon=EPSILON, delta=DELTA, days=1, verify=verify,
    )  # fmt: skip
    return str(made.explain())


KEPT = KeptMatching("m", 1000)
PRINTED: dict[str, Callable[[int], str]] = {
    "blind": lambda rows: asked(TWO, rows),
    "verified": lambda rows: asked(TWO, rows, verify=True),
    "over a kept matching": lambda rows: asked(TWO, rows, kept=KEPT),
    "verified over a kept matching": lambda rows: asked(TWO, rows, kept=KEPT, verify=True),
    "three tables": lambda rows: asked(THREE, rows),
    "psi": lambda rows: asked(SEMI, rows),
    "malicious psi": lambda rows: asked(SEMI, rows, malicious=True),
    "ids": ids,
    "malicious ids": lambda rows: ids(rows, malicious=True),
    "preparing": preparing,
    "verified preparing": lambda rows: preparing(rows, verify=True),
}


def printed(how: str, rows: int) -> tuple[int, float]:
    """Return KiB and seconds as explain prints them."""
    found = TRAFFIC.findall(PRINTED[how](rows))
    assert len(found) == 1
    ((kib, seconds),) = found
    return int(kib), float(seconds)


@pytest.mark.parametrize("how", PRINTED)
def test_printed_bytes_and_seconds_double_with_the_rows(how: str) -> None:
    """But for what a join of no rows takes; sets of more than one bucket are padded to some more."""
    (none, at_once), (few, fast), (many, slow) = (
        printed(how, rows) for rows in (1, 1 << 21, 1 << 22)
    )
    assert (many - none) / (few - none) == pytest.approx(2, rel=0.05)
    assert (slow - at_once) / (fast - at_once) == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(
    ("plain", "stronger"),
    [("blind", "verified"), ("psi", "malicious psi"), ("ids", "malicious ids"),
     ("preparing", "verified preparing")],
)  # fmt: skip
def test_what_is_checked_is_printed_to_cost_more(plain: str, stronger: str) -> None:
    for rows in (1 << 18, 1 << 21):
        (less, fast), (more, slow) = printed(plain, rows), printed(stronger, rows)
        assert more > less
        assert slow >= fast
    assert slow > fast


def test_a_kept_matching_is_printed_to_save_most() -> None:
    over, anew = printed("over a kept matching", 1 << 21), printed("blind", 1 << 21)
    assert over[0] < anew[0]
    assert over[1] < anew[1]
