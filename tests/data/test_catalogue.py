"""Which tables exist is decided by their owners' signatures, and spoilt by nobody else's."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.catalog import Collection, Member, card_to_document
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical
from sandbox.errors import SandboxError
from sandbox.privacy.policy import default_policy
from sandbox.privacy.policy_file import policy_toml
from sandbox.sql.plan import plan
from sandbox.tables import (
    COLLECTION_KIND,
    DATASET_KIND,
    POLICY_KIND,
    dataset_body,
    policy_body,
    read_catalogue,
    read_policies,
)
from tests.data.rows import CARD

NODES = {name: Identity.generate(name, Role.NODE) for name in ("a", "b", "c")}
STRANGER = Identity.generate("a", Role.NODE)
RESEARCHER = Identity.generate("r", Role.RESEARCHER)
TRUSTED: dict[str, PublicIdentity] = {
    identity.public.fingerprint: identity.public for identity in (*NODES.values(), RESEARCHER)
}
OFFER = dataset_body("meters", card_to_document(CARD))


def collection(*nodes: Identity, name: str = "meters") -> dict[str, object]:
    members = tuple(Member(node.public.fingerprint, "meters") for node in nodes)
    return Collection(name, CARD, members).to_document()


def names(*documents: Signed) -> list[str]:
    return sorted(read_catalogue(documents, TRUSTED))


def test_dataset_is_named_after_its_node_and_carries_its_card() -> None:
    signed = NODES["a"].sign(DATASET_KIND, OFFER)
    (entry,) = read_catalogue([signed], TRUSTED).values()
    assert entry.table.name == "a.meters"
    assert entry.table.card == CARD
    assert entry.table.members == (Member(NODES["a"].public.fingerprint, "meters"),)
    assert entry.digest == signed.digest


@pytest.mark.parametrize("signer", [STRANGER, RESEARCHER], ids=["stranger", "researcher"])
def test_dataset_signed_by_somebody_else_does_not_exist(signer: Identity) -> None:
    assert names(signer.sign(DATASET_KIND, OFFER)) == []


def test_altered_or_relabelled_document_does_not_exist() -> None:
    signed = NODES["a"].sign(DATASET_KIND, OFFER)
    altered = signed.body.replace(b'"contribution_cap":2', b'"contribution_cap":1')
    assert altered != signed.body
    assert names(replace(signed, body=altered)) == []
    assert names(replace(signed, signer=NODES["b"].public.fingerprint)) == []
    assert names(replace(signed, kind=COLLECTION_KIND)) == []


def test_collection_exists_once_every_member_signed_one_body() -> None:
    body = collection(*NODES.values())
    signed = [node.sign(COLLECTION_KIND, body) for node in NODES.values()]
    assert names(*signed) == ["meters"]
    for missing in range(3):
        assert names(*signed[:missing], *signed[missing + 1 :]) == []
    other = NODES["c"].sign(COLLECTION_KIND, {**body, "version": 2})
    assert names(*signed[:2], other) == []
    stranger = STRANGER.sign(COLLECTION_KIND, body)
    assert names(*signed[:2], stranger) == []


def test_collection_that_lists_a_dataset_twice_does_not_exist() -> None:
    body = collection(*NODES.values(), NODES["a"])
    assert names(*(node.sign(COLLECTION_KIND, body) for node in NODES.values())) == []


def test_one_member_cannot_take_a_collections_name_or_a_neighbours() -> None:
    joint = collection(*NODES.values())
    signed = [node.sign(COLLECTION_KIND, joint) for node in NODES.values()]
    mallory = NODES["a"]
    alone = mallory.sign(COLLECTION_KIND, collection(mallory))
    posing = mallory.sign(COLLECTION_KIND, collection(mallory, name="b.meters"))
    nobody = mallory.sign(COLLECTION_KIND, collection(name="empty"))
    neighbour = NODES["b"].sign(DATASET_KIND, OFFER)
    for order in ([*signed, alone], [alone, *signed]):
        found = read_catalogue([*order, neighbour, posing, nobody], TRUSTED)
        assert sorted(found) == ["b.meters", "meters"]
        assert len(found["meters"].table.members) == 3
        assert found["b.meters"].table.members[0].node == NODES["b"].public.fingerprint


@pytest.mark.parametrize("kind", [DATASET_KIND, COLLECTION_KIND])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 1},
        {"dataset": 1, "card": []},
        {"dataset": "x", "card": {**card_to_document(CARD), "grade": "L9"}},
        {"name": "x", "card": card_to_document(CARD), "members": [{}]},
        {"name": "x", "card": None, "members": []},
        {"name": "x", "card": card_to_document(CARD), "members": 7},
    ],
)
def test_garbage_of_one_node_leaves_the_tables_of_others(
    kind: str, body: dict[str, object]
) -> None:
    good = NODES["b"].sign(DATASET_KIND, OFFER)
    assert names(NODES["a"].sign(kind, body), good) == ["b.meters"]
    listed = NODES["a"].sign_bytes(kind, json.dumps([1, 2]).encode())
    assert names(NODES["a"].sign_bytes(kind, b"\xff{"), listed, good) == ["b.meters"]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**13),
    st.sampled_from(["", "1e999999999", "NaN", "-Infinity", "integer", "L4", "id"]),
    st.just([]),
    st.just({}),
    st.just([[1], {"a": 1}]),
)
STATEMENTS = (
    "SELECT COUNT(*), SUM(kwh), AVG(kwh), STDDEV(kwh) FROM a.meters",
    "SELECT kind, COUNT(*), APPROX_QUANTILE(kwh, 0.5) FROM a.meters WHERE id > 3 GROUP BY kind",
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([*card_to_document(CARD)]),
    st.integers(0, len(CARD.columns) - 1),
    st.sampled_from([*card_to_document(CARD)["columns"][0]]),
    JUNK,
)
def test_card_of_any_types_is_no_card_or_one_that_plans(
    key: str, number: int, column_key: str, junk: object
) -> None:
    """What another node signed is held against every rule of a card before anything is planned on it."""
    written = card_to_document(CARD)
    if key == "columns":
        written["columns"][number][column_key] = junk
    else:
        written[key] = junk
    found = read_catalogue(
        [NODES["a"].sign(DATASET_KIND, dataset_body("meters", written))], TRUSTED
    )
    for entry in found.values():
        assert canonical(card_to_document(entry.table.card))
        for statement in STATEMENTS:
            with suppress(SandboxError):
                plan(statement, {"a.meters": entry.table})


@pytest.mark.parametrize(
    ("column", "key", "value"),
    [
        ("kwh", "scale", 10**6),
        ("kwh", "upper", "1e999999999"),
        ("kwh", "lower", "0.0000001"),
        ("kwh", "magnitude", "1e999999999"),
        ("kwh", "name", 7),
        ("kwh", "nullable", "no"),
        ("id", "name", "kwh"),
    ],
)
def test_card_of_another_node_keeps_the_rules_of_an_owners_own(
    column: str, key: str, value: object
) -> None:
    written = card_to_document(CARD)
    (chosen,) = [each for each in written["columns"] if each["name"] == column]
    chosen[key] = value
    assert names(NODES["a"].sign(DATASET_KIND, dataset_body("meters", written))) == []


def test_policy_is_its_nodes_own_and_garbage_leaves_those_of_others() -> None:
    good = NODES["b"].sign(POLICY_KIND, policy_body("meters", policy_toml(default_policy())))
    garbage = [
        NODES["a"].sign(POLICY_KIND, {"dataset": "meters"}),
        NODES["a"].sign(POLICY_KIND, policy_body("meters", "version = ")),
        NODES["a"].sign_bytes(POLICY_KIND, b"\xff"),
        STRANGER.sign(POLICY_KIND, policy_body("meters", policy_toml(default_policy()))),
    ]
    found = read_policies([*garbage, good], TRUSTED)
    assert found == {Member(NODES["b"].public.fingerprint, "meters"): default_policy()}
