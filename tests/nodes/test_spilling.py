"""What a PSI puts on a node's disk follows from cards, and is refused before anything is charged."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from nodes.spilling import MIB, require_disk, reserved_bytes
from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.config import NodeConfig
from sandbox.crypto.join.psi import BUCKET_KEYS, Sizes
from sandbox.errors import Refusal
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan

CARD = DatasetCard(
    name="t",
    columns=(Column("k", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(99), join_key=True),),
    privacy_unit="k",
    contribution_cap=1,
    row_bound=1,
)


def counted(rows: int, members: int = 1) -> Plan:
    """A count at `r` of rows whose key members of `s` have."""
    card = replace(CARD, row_bound=rows)
    tables = {
        "r": Table("r", replace(card, name="r"), (Member("r", "r"),)),
        "s": Table(
            "s", replace(card, name="s"), tuple(Member(f"s{n}", "s") for n in range(members))
        ),
    }
    return plan("SELECT COUNT(*) FROM r WHERE k IN (SELECT k FROM s)", tables)


def test_sets_of_one_bucket_spill_nothing() -> None:
    assert reserved_bytes(counted(BUCKET_KEYS), "r", malicious=False) == 0
    require_disk(counted(BUCKET_KEYS), "r", 0, "r", malicious=False)


@pytest.mark.parametrize("members", [1, 3])
def test_tags_and_what_is_compared_are_set_aside_for_every_session(members: int) -> None:
    planned, sizes = counted(1 << 24, members), Sizes(1 << 24, 1 << 24, False)
    tags = 16 * sizes.buckets * sizes.of_bucket[0]
    assert reserved_bytes(planned, "r", malicious=False) == 2 * tags * members
    assert reserved_bytes(planned, "s0", malicious=False) == tags


@pytest.mark.parametrize("own", ["r", "s0"])
def test_a_limit_below_what_sizes_take_is_refused_with_the_one_that_would_do(own: str) -> None:
    planned = counted(1 << 24)
    with pytest.raises(Refusal, match="SB-2271") as raised:
        require_disk(planned, own, 200, "north", malicious=False)
    assert (raised.value.facts["node"], raised.value.facts["most"]) == ("north", 200)
    needed = int(str(raised.value.facts["needed"]))
    require_disk(planned, own, needed, "north", malicious=False)
    with pytest.raises(Refusal, match="SB-2271"):
        require_disk(planned, own, needed - 1, "north", malicious=False)


def test_a_nodes_limit_unless_set_is_enough_for_the_largest_joins() -> None:
    """2^26 rows a side, with 48 bytes for each row beside what is set aside."""
    limit_mb = NodeConfig.model_fields["temp_limit_mb"].default
    planned = counted(1 << 26)
    require_disk(planned, "r", limit_mb, "r", malicious=True)
    spare = limit_mb * MIB - reserved_bytes(planned, "r", malicious=True)
    assert spare // 2 >= 47 << 26
