"""The ledger: what every budget has lost, a row for each charge, chained by hash.

A charge is written before any row is read and never taken back. Each link of the chain covers the
row and the link before it; log heads commit to the newest link.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from sandbox.crypto.identity import canonical
from sandbox.database import Connection
from sandbox.errors import StateError
from sandbox.privacy.accounting import Charge
from sandbox.privacy.budget import BudgetLimits, Spent, admit

FIRST_LINK = bytes(32)
COLUMNS = ("budget_group", "researcher", "job", "loss", "delta", "time")


@dataclass(frozen=True)
class Demand:
    """One budget that a job must fit: a group's own (researcher "") or a researcher's on it.

    `scope` names it for people.
    """

    group: str
    researcher: str
    limits: BudgetLimits
    scope: str


def spent(connection: Connection, group: str, researcher: str) -> Spent | None:
    """Return what a budget has lost, reservations included; None if nothing ever."""
    values = connection.execute(
        'SELECT "values" FROM budgets WHERE budget_group = :group AND researcher = :researcher',
        {"group": group, "researcher": researcher},
    ).scalar()
    return None if values is None else Spent.from_values(json.loads(values))


def admitted(connection: Connection, charge: Charge, demand: Demand, now_s: int) -> Spent:
    """Return what a budget would have lost after `charge`; raises Refusal if it does not fit."""
    before = spent(connection, demand.group, demand.researcher)
    now = datetime.fromtimestamp(now_s, UTC)
    return admit(before, demand.limits, charge, now, demand.scope)


def exact_loss(charge: Charge) -> str:
    """Return what a job is charged, exactly: its zCDP rho, or its pure epsilon for Laplace."""
    return str(charge.rho or sum(charge.pure, Fraction(0)))


def reserve(connection: Connection, job: str, charge: Charge, demand: Demand, now_s: int) -> None:
    """Charge one budget; raises Refusal SB-2100..SB-2102 and writes nothing if it does not fit."""
    before = spent(connection, demand.group, demand.researcher)
    after = admitted(connection, charge, demand, now_s)
    key = {"budget_group": demand.group, "researcher": demand.researcher}
    connection.execute(
        "INSERT INTO budgets VALUES (:budget_group, :researcher, :spent)"
        ' ON CONFLICT DO UPDATE SET "values" = :spent',
        {**key, "spent": json.dumps(after.values())},
    )
    row = {
        **key,
        "job": job,
        "loss": after.lifetime_loss - (before.lifetime_loss if before else 0),
        "delta": str(charge.delta),
        "time": now_s,
    }
    connection.execute(
        "INSERT INTO ledger"
        " (budget_group, researcher, job, loss, delta, time, state, link) VALUES"
        " (:budget_group, :researcher, :job, :loss, :delta, :time, 'reserved', :link)",
        {**row, "link": _linked(bytes.fromhex(ledger_digest(connection)), row)},
    )


def ledger_digest(connection: Connection) -> str:
    """Return the newest link of the chain, hex."""
    link = connection.execute("SELECT link FROM ledger ORDER BY sequence DESC LIMIT 1").scalar()
    return bytes(link or FIRST_LINK).hex()


def check_ledger(connection: Connection) -> set[str]:
    """Return every link of the chain (hex); raises StateError SB-6007 at the first broken row.

    A budget's lifetime loss must be the sum of its rows.
    """
    link, links = FIRST_LINK, {FIRST_LINK.hex()}
    sums: dict[tuple[str, str], int] = {}
    for row in connection.execute("SELECT * FROM ledger ORDER BY sequence"):
        link = _linked(link, {name: row[name] for name in COLUMNS})
        if link != bytes(row["link"]):
            raise StateError("SB-6007", part="ledger", position=row["sequence"])
        links.add(link.hex())
        budget = (row["budget_group"], row["researcher"])
        sums[budget] = sums.get(budget, 0) + row["loss"]
    for row in connection.execute("SELECT * FROM budgets"):
        total = sums.pop((row["budget_group"], row["researcher"]), None)
        if json.loads(row["values"])["lifetime_loss"] != total:
            raise StateError("SB-6007", part="budget", position=row["budget_group"])
    if sums:
        raise StateError("SB-6007", part="budget", position=min(sums)[0])
    return links


def _linked(previous: bytes, row: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(previous + canonical(row)).digest()
