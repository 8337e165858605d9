"""The Merkle tree against RFC 6962's own recursive definition, and the verifiers against forgers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.audit.log import (
    EMPTY_ROOT,
    Entry,
    Frontier,
    Head,
    Tree,
    check_extends,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from sandbox.errors import TrustError
from tests.audit import model

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "log.json"
LEAVES = [model.leaf(b"entry %d" % number) for number in range(70)]
SIZES = st.integers(1, len(LEAVES))


def tree(size: int) -> Tree:
    return Tree(LEAVES[:size])


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text()), ids=lambda v: len(v["leaves"]))
def test_tree_gives_the_published_roots_and_proofs(vector: dict[str, object]) -> None:
    leaves = [leaf_hash(text.encode()) for text in vector["leaves"]]  # type: ignore[attr-defined]
    grown = Tree(leaves)
    assert grown.root().hex() == vector["root"]
    for index, proof in enumerate(vector["inclusion"]):  # type: ignore[arg-type, var-annotated]
        assert [step.hex() for step in grown.inclusion_proof(index)] == proof
    for first, proof in vector["consistency"].items():  # type: ignore[attr-defined]
        assert [step.hex() for step in grown.consistency_proof(int(first))] == proof


def test_empty_tree_has_the_hash_of_nothing() -> None:
    assert Tree().root() == Frontier().root == EMPTY_ROOT == model.root([])


@given(SIZES)
def test_tree_and_frontier_have_the_models_root(size: int) -> None:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier = frontier.append(leaf)
    assert tree(size).root() == frontier.root == model.root(LEAVES[:size])


@given(SIZES, SIZES, st.data())
def test_every_inclusion_proof_is_the_models_and_verifies(
    all_leaves: int, size: int, data: st.DataObject
) -> None:
    size, all_leaves = sorted((size, all_leaves))
    index = data.draw(st.integers(0, size - 1))
    proof = tree(all_leaves).inclusion_proof(index, size)
    assert proof == model.path(index, LEAVES[:size])
    root = model.root(LEAVES[:size])
    assert verify_inclusion(LEAVES[index], index, size, proof, root)


@given(SIZES, SIZES)
def test_every_consistency_proof_is_the_models_and_verifies(first: int, second: int) -> None:
    first, second = sorted((first, second))
    proof = tree(len(LEAVES)).consistency_proof(first, second)
    assert proof == model.consistency(first, LEAVES[:second])
    roots = model.root(LEAVES[:first]), model.root(LEAVES[:second])
    assert verify_consistency(first, second, *roots, proof)


@given(SIZES, st.data())
def test_no_other_leaf_index_size_root_or_proof_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = model.path(index, LEAVES[:size]), model.root(LEAVES[:size])
    other = model.leaf(b"another entry")
    assert not verify_inclusion(other, index, size, proof, root)
    assert not verify_inclusion(LEAVES[index], index, size, proof, other)
    assert not verify_inclusion(LEAVES[index], index, size, [*proof, other], root)
    wrong = data.draw(st.integers(-1, size).filter(lambda number: number != index))
    assert not verify_inclusion(LEAVES[index], wrong, size, proof, root)
    if proof:
        assert not verify_inclusion(LEAVES[index], index, size, proof[1:], root)
        spot = data.draw(st.integers(0, len(proof) - 1))
        forged = [*proof[:spot], other, *proof[spot + 1 :]]
        assert not verify_inclusion(LEAVES[index], index, size, forged, root)


@given(SIZES, SIZES, st.data())
def test_a_rewritten_past_is_never_consistent(first: int, second: int, data: st.DataObject) -> None:
    first, second = sorted((first, second))
    spot = data.draw(st.integers(0, first - 1))
    rewritten = [*LEAVES]
    rewritten[spot] = model.leaf(b"rewritten")
    old, new = model.root(LEAVES[:first]), model.root(rewritten[:second])
    honest = model.consistency(first, LEAVES[:second])
    forged = model.consistency(first, rewritten[:second])
    assert not verify_consistency(first, second, old, new, honest)
    assert not verify_consistency(first, second, old, new, forged)


@given(st.lists(st.binary(min_size=0, max_size=70), min_size=1, max_size=8))
def test_verifiers_refuse_random_proofs_without_failing(steps: list[bytes]) -> None:
    root = model.root(LEAVES[:13])
    assert not verify_inclusion(LEAVES[4], 4, 13, steps, root)
    assert not verify_consistency(5, 13, model.root(LEAVES[:5]), root, steps)


def test_an_inner_node_is_no_leaf() -> None:
    inner = node_hash(LEAVES[0], LEAVES[1])
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != inner
    # Without prefixes this would pass a tree of two leaves off as one of a single leaf.
    assert not verify_inclusion(leaf_hash(LEAVES[0] + LEAVES[1]), 0, 1, [], inner)


def head(size: int, leaves: list[bytes] | None = None, log: str = "fs1a") -> Head:
    return Head(log, size, model.root((leaves or LEAVES)[:size]), "", 0)


def test_head_that_went_back_or_shows_another_past_or_log_is_named() -> None:
    check_extends(head(5), head(9), model.consistency(5, LEAVES[:9]))
    with pytest.raises(TrustError, match="SB-3202"):
        check_extends(head(9), head(5), [])
    with pytest.raises(TrustError, match="SB-3203"):
        check_extends(head(5), head(9, LEAVES[::-1]), model.consistency(5, LEAVES[:9]))
    with pytest.raises(TrustError, match="SB-3203"):
        check_extends(head(5), head(5, LEAVES[::-1]), [])
    with pytest.raises(TrustError, match="SB-3201"):
        check_extends(head(5), head(9, log="fs1b"), model.consistency(5, LEAVES[:9]))


ENTRY = Entry(3, "job", 1_790_000_000_000, bytes(32), "ab" * 32)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sequence", "3"),
        ("sequence", True),
        ("time", 1.5),
        ("nonce", "00"),
        ("nonce", "zz"),
        ("digest", None),
        ("more", 1),
    ],
)
def test_malformed_entry_is_refused(field: str, value: object) -> None:
    document = {**ENTRY.to_document(), field: value}
    if field == "digest":
        del document["digest"]
    with pytest.raises(TrustError, match="SB-3200"):
        Entry.from_document(document)


def test_entry_reads_back_and_equal_acts_have_different_leaves() -> None:
    assert Entry.from_document(ENTRY.to_document()) == ENTRY
    again = Entry(3, "job", ENTRY.time, bytes([1]) * 32, ENTRY.digest)
    assert again.leaf_hash != ENTRY.leaf_hash
