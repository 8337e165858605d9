"""What an owner's command changes in the node's file, from another process, holds for the very next
request: nothing that a node keeps in memory outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nodes.catalogue import OwnCatalogue
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import tables
from sandbox.catalog import DatasetCard, Table, card_to_document
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed
from sandbox.errors import InputError
from sandbox.privacy.policy import ANY, default_policy
from sandbox.sql import matched
from sandbox.sql.algebra import Plan
from sandbox.sql.matched import plan_of
from sandbox.sql.plan import plan
from sandbox.tables import DATASET_KIND, dataset_body, holds
from tests.nodes.registries import card, source_of

STATEMENT = "SELECT COUNT(*) AS n FROM a.t"


@dataclass(frozen=True)
class Files:
    """A node's file as its daemon has it open, and as an owner's command does."""

    daemon: Registry
    owner: Registry
    catalogue: OwnCatalogue
    peer: Identity


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    own, peer = (Identity.generate(name, Role.NODE) for name in ("a", "b"))
    vaults = [Vault.open(tmp_path, own) for _ in range(2)]
    daemon, owner = map(Registry, vaults)
    owner.add("t", card(), source_of("t"), "1")
    vaults[1].pins.pin(peer.public)
    yield Files(daemon, owner, OwnCatalogue(own, vaults[0], daemon), peer)
    for vault in vaults:
        vault.close()


def of_peer(files: Files, shown: DatasetCard) -> list[str]:
    signed = files.peer.sign(DATASET_KIND, dataset_body("u", card_to_document(shown)))
    return sorted(files.catalogue.entries([signed]))


def test_dataset_that_is_removed_or_has_other_rows_is_so_at_once(files: Files) -> None:
    assert files.daemon.dataset("t").version == "1"
    files.owner.replace({"t": (source_of("other"), "2")})
    found = files.daemon.dataset("t")
    assert (found.version, found.source) == ("2", source_of("other"))
    files.owner.add("v", replace(card(), row_bound=7), source_of("v"), "3")
    assert sorted(files.catalogue.entries()) == ["a.t", "a.v"]
    files.owner.remove("t")
    assert sorted(files.catalogue.entries()) == ["a.v"]
    assert len(files.catalogue.datasets()) == len(files.catalogue.policies()) == 1
    with pytest.raises(InputError, match="SB-1440"):
        files.daemon.dataset("t")


def test_policy_holds_and_is_published_at_once(files: Files) -> None:
    for version, researchers in ((1, (ANY,)), (2, ()), (3, (ANY,))):
        files.owner.set_policy(
            "t", replace(default_policy(), version=version, researchers=researchers)
        )
        assert files.daemon.policy("t").researchers == researchers
        (published,) = files.catalogue.policies()
        assert f"version = {version}" in published.body.decode()


def test_card_of_a_peer_counts_while_he_is_pinned_and_no_longer(files: Files) -> None:
    assert of_peer(files, card()) == ["a.t", "b.u"]
    files.owner._vault.pins.revoke(files.peer.public.fingerprint)
    assert of_peer(files, card()) == ["a.t"]
    files.owner._vault.pins.pin(files.peer.public)
    assert of_peer(files, card()) == ["a.t", "b.u"]


def test_signature_that_held_makes_no_other_hold(files: Files) -> None:
    """Neither of another text, nor by another key, nor of another kind."""
    peer, stranger = files.peer, Identity.generate("b", Role.NODE)
    signed = peer.sign(DATASET_KIND, dataset_body("u", card_to_document(card())))
    assert holds(signed, peer.public)
    assert not holds(signed, stranger.public)
    assert not holds(replace(signed, body=signed.body + b" "), peer.public)
    assert not holds(replace(signed, kind="policy"), peer.public)
    forged = stranger.sign(signed.kind, dataset_body("u", card_to_document(card())))
    assert not holds(replace(forged, signer=signed.signer), peer.public)
    assert holds(signed, peer.public)


def planned(files: Files, asked_by: str) -> Table:
    offered = {name: entry.table for name, entry in files.catalogue.entries().items()}
    return plan_of(STATEMENT, offered, disclosed=False, asked_by=asked_by).table


def test_plan_is_of_the_card_as_it_is_now(files: Files) -> None:
    assert planned(files, "someone").card.row_bound == card().row_bound
    with files.owner._vault.database.write("wider") as connection:
        wider = replace(card(), row_bound=1_000)
        files.owner._store(connection, "t", wider, source_of("t"), "1")
    assert planned(files, "someone").card.row_bound == 1_000


def test_how_long_planning_takes_tells_nobody_what_another_has_asked(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(statement: str, offered: dict[str, Table]) -> Plan:
        made.append(statement)
        return plan(statement, offered)

    monkeypatch.setattr(matched, "plan", counted)
    for asked_by, times in (("x", 1), ("x", 1), ("y", 2), ("x", 2)):
        planned(files, asked_by)
        assert len(made) == times


def test_no_large_document_is_remembered() -> None:
    """A node that offered another card of megabytes before each job would fill its peers' memory."""
    read: list[int] = []

    def count(signed: Signed, node: PublicIdentity) -> int:
        read.append(len(signed.body))
        return len(signed.body)

    find, identity = tables._kept(count), Identity.generate("left", Role.NODE)
    for size in (1 << 16, (1 << 16) + 1):
        signed = identity.sign_bytes(DATASET_KIND, b"x" * size)
        assert [find(signed, identity.public) for _ in range(2)] == [size] * 2
    assert read == [1 << 16, (1 << 16) + 1, (1 << 16) + 1]
