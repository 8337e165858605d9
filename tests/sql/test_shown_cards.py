"""Cards that a job shows: what pinned nodes signed counts, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.catalogue import OwnCatalogue
from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Collection, DatasetCard, Member, card_to_document
from sandbox.crypto.identity import Identity, Role, Signed
from sandbox.errors import InputError
from sandbox.tables import COLLECTION_KIND, DATASET_KIND, dataset_body
from tests.sql.plants import CARD, COLUMNS, raw_rows


@pytest.fixture
def parties(tmp_path: Path) -> dict[str, Identity]:
    folder = tmp_path / "deployment"
    local.init(folder, ("a", "b", "c"))
    return {name: Identity.load(folder / "nodes" / name) for name in ("a", "b", "c")}


@pytest.fixture
def registry(tmp_path: Path, parties: dict[str, Identity]) -> Iterator[Registry]:
    vault = Vault.open(tmp_path / "deployment" / "nodes" / "a", parties["a"])
    yield Registry(vault)
    vault.close()


@pytest.fixture
def own(tmp_path: Path, parties: dict[str, Identity], registry: Registry) -> OwnCatalogue:
    path = tmp_path / "machines.csv"
    rows = [
        ",".join("" if row[c] is None else f'"{row[c]}"' for c in COLUMNS)
        for row in raw_rows(1, 1, 3)
    ]
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    register(registry, "machines", path, CARD)
    return OwnCatalogue(parties["a"], registry._vault, registry)


def offered(signer: Identity, card: DatasetCard = CARD, kind: str = DATASET_KIND) -> Signed:
    return signer.sign(kind, dataset_body("pumps", card_to_document(card)))


def test_card_that_a_pinned_node_signed_counts(
    own: OwnCatalogue, parties: dict[str, Identity]
) -> None:
    card = offered(parties["b"])
    entries = own.entries([card])
    assert set(entries) == {"a.machines", "b.pumps"}
    assert entries["b.pumps"].digest == card.digest
    assert entries["b.pumps"].table.members[0].node == parties["b"].public.fingerprint


def test_card_of_a_stranger_does_not_count(own: OwnCatalogue) -> None:
    stranger = Identity.generate("b", Role.NODE)
    assert set(own.entries([offered(stranger)])) == {"a.machines"}


def test_altered_card_does_not_count(own: OwnCatalogue, parties: dict[str, Identity]) -> None:
    signed = offered(parties["b"])
    wider = replace(
        signed, body=signed.body.replace(b'"contribution_cap":3', b'"contribution_cap":1')
    )
    assert wider.body != signed.body
    assert set(own.entries([wider])) == {"a.machines"}


def test_malformed_card_that_a_pinned_node_signed_is_refused_by_its_name(
    own: OwnCatalogue, parties: dict[str, Identity]
) -> None:
    for key, value in (("row_bound", "many"), ("contribution_cap", 0), ("columns", [3])):
        card = {**card_to_document(CARD), key: value}
        signed = parties["b"].sign(DATASET_KIND, dataset_body("pumps", card))
        with pytest.raises(InputError) as refused:
            own.entries([signed])
        assert (refused.value.code, refused.value.facts["node"]) == ("SB-1470", "b")


def test_a_job_shows_a_node_nothing_about_itself(
    own: OwnCatalogue, parties: dict[str, Identity]
) -> None:
    """An older card of its own, which it once signed, must not come back."""
    older = parties["a"].sign(
        DATASET_KIND, dataset_body("machines", card_to_document(replace(CARD, contribution_cap=1)))
    )
    gone = offered(parties["a"])
    entries = own.entries([older, gone])
    assert set(entries) == {"a.machines"}
    assert entries["a.machines"].table.card.contribution_cap == CARD.contribution_cap


@pytest.mark.parametrize(
    ("datasets", "card"),
    [
        (["machines"], replace(CARD, contribution_cap=CARD.contribution_cap + 1)),
        (["machines", "payroll"], CARD),
    ],
    ids=["another card", "a dataset that is not offered"],
)
def test_collection_counts_only_while_own_datasets_have_its_card(
    own: OwnCatalogue,
    parties: dict[str, Identity],
    registry: Registry,
    datasets: list[str],
    card: DatasetCard,
) -> None:
    """The owner has signed it, but before his dataset changed, or without having seen all of it."""
    me, peer = (parties[name].public.fingerprint for name in ("a", "b"))

    def sign(card: DatasetCard, datasets: list[str]) -> None:
        members = (*(Member(me, name) for name in datasets), Member(peer, "machines"))
        body = Collection("joint", card, members).to_document()
        for party in (parties["a"], parties["b"]):
            registry.store_collection(party.sign(COLLECTION_KIND, body))

    sign(CARD, ["machines"])
    assert set(own.entries()) == {"a.machines", "joint"}
    sign(card, datasets)
    assert set(own.entries()) == {"a.machines"}


def shared(parties: dict[str, Identity], members: str, signers: str) -> list[Signed]:
    """Return signatures under a collection `pumps` of the datasets `pumps` of `members`."""
    listed = tuple(Member(parties[name].public.fingerprint, "pumps") for name in members)
    body = Collection("pumps", CARD, listed).to_document()
    return [parties[name].sign(COLLECTION_KIND, body) for name in signers]


def test_collection_of_others_counts_if_all_its_members_signed(
    own: OwnCatalogue, parties: dict[str, Identity]
) -> None:
    """A join of a table with a collection of others is planned again where the table is."""
    entries = own.entries(shared(parties, "bc", "bc"))
    assert set(entries) == {"a.machines", "pumps"}
    assert set(own.entries(shared(parties, "bc", "b"))) == {"a.machines"}


def test_a_job_shows_no_collection_that_the_node_is_a_member_of(
    own: OwnCatalogue, parties: dict[str, Identity]
) -> None:
    """Its owner signed it once, and may have left it since."""
    assert set(own.entries(shared(parties, "ab", "ab"))) == {"a.machines"}


def test_a_card_as_a_collection_does_not_count(
    own: OwnCatalogue, parties: dict[str, Identity]
) -> None:
    assert set(own.entries([offered(parties["b"], kind=COLLECTION_KIND)])) == {"a.machines"}
