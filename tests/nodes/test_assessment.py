"""A node plans a job again, and refuses what its researcher's software should have refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from nodes.assessment import assess
from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.errors import Refusal
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql import noise
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan
from sandbox.submission import Terms, draft_job
from sandbox.tables import Entry

NODES = {name: name * 64 for name in "ab"}
CARD = DatasetCard(
    name="t",
    columns=(
        Column("k", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(99), join_key=True),
        Column("u", ColumnType.INTEGER),
    ),
    privacy_unit="u",
    contribution_cap=23_184,
    row_bound=50_000,
)
CATALOGUE = {
    name: Entry(Table(name, replace(CARD, name=name), (Member(node, name),)), "0" * 64)
    for name, node in NODES.items()
}


def test_a_node_refuses_a_join_of_too_many_dummies_that_was_signed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unchecked(_: Plan, __: NoisePlan) -> None: ...

    tables = {name: entry.table for name, entry in CATALOGUE.items()}
    planned = plan("SELECT COUNT(*) FROM a JOIN b USING (k)", tables)
    terms = Terms(Decimal(1), Decimal("0.000001"))
    no_key: Any = None  # A join's shares are sealed to the researcher's identity.
    with monkeypatch.context() as careless:
        careless.setattr(noise, "require_room", unchecked)
        spec = draft_job(planned, terms, CATALOGUE, {}, "c" * 64, "d" * 64, no_key, 1).spec
    node: Any = type("Node", (), {"fingerprint": NODES["a"]})
    with pytest.raises(Refusal, match="SB-1104"):
        assess(spec, CATALOGUE, node)
