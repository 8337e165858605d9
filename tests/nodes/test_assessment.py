"""A node plans a job again, and refuses what its researcher's software should have refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from nodes.assessment import assess
from nodes.workers import Limits
from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.crypto.identity import Identity, Role
from sandbox.errors import InputError, Refusal
from sandbox.jobs import LONGEST_KEPT_S, JobSpec, Preparation, read_job, sign_job
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql import noise
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan
from sandbox.sql.preparing import preparing_plan, preparing_statement
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


def drafted(planned: Plan, terms: Terms, researcher: str = "c" * 64) -> JobSpec:
    no_key: Any = None  # A join's shares are sealed to the researcher's identity.
    return draft_job(planned, terms, CATALOGUE, {}, researcher, "d" * 64, no_key, 1).spec


def test_a_node_refuses_a_join_of_too_many_dummies_that_was_signed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unchecked(_: Plan, __: NoisePlan) -> None: ...

    tables = {name: entry.table for name, entry in CATALOGUE.items()}
    planned = plan("SELECT COUNT(*) FROM a JOIN b USING (k)", tables)
    with monkeypatch.context() as careless:
        careless.setattr(noise, "require_room", unchecked)
        spec = drafted(planned, Terms(Decimal(1), Decimal("0.000001")))
    node: Any = type("Node", (), {"fingerprint": NODES["a"]})
    with pytest.raises(Refusal, match="SB-1104"):
        assess(spec, CATALOGUE, node)


def test_a_node_reads_no_preparation_that_would_be_kept_for_ever() -> None:
    researcher = Identity.generate("r", Role.RESEARCHER)
    tables = {name: entry.table for name, entry in CATALOGUE.items()}
    planned = preparing_plan(preparing_statement("a", "b", [("k", "k")]), tables)
    most = Preparation(name="n", until=1 + LONGEST_KEPT_S)
    terms = Terms(Decimal(1), Decimal("0.000001"), prepare=most)
    spec = drafted(planned, terms, researcher.public.fingerprint)
    assert read_job(sign_job(spec, researcher), researcher.public, 1) == spec
    longer = spec.model_copy(update={"prepare": Preparation(name="n", until=most.until + 1)})
    with pytest.raises(InputError, match="SB-3101"):
        read_job(sign_job(longer, researcher), researcher.public, 1)


def test_a_node_refuses_a_job_that_would_be_waited_for_longer_than_its_sizes_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one researcher and one silent node would hold the others' nodes for a day."""
    small = replace(CARD, contribution_cap=1)
    for name, node in NODES.items():
        table = Table(name, replace(small, name=name), (Member(node, name),))
        monkeypatch.setitem(CATALOGUE, name, Entry(table, "0" * 64))
    tables = {name: entry.table for name, entry in CATALOGUE.items()}
    planned = plan("SELECT COUNT(*) FROM a JOIN b USING (k)", tables)
    spec = drafted(planned, Terms(Decimal(1), Decimal("0.000001")))
    node: Any = type("Node", (), {"fingerprint": NODES["a"]})
    own = assess(spec, CATALOGUE, node).run_s
    assert own == spec.run_s < Limits.join_deadline_s
    # A node waits for any join as long as that.
    free = int(Limits.join_deadline_s)
    assert assess(spec.model_copy(update={"run_s": free}), CATALOGUE, node).run_s == own
    with pytest.raises(Refusal, match="SB-2270"):
        assess(spec.model_copy(update={"run_s": free + 1}), CATALOGUE, node)
