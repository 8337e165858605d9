"""Receipts: nothing but the file and public keys is needed, and every altered field is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit.assumptions import stated
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.crypto.identity import Role, Signed
from sandbox.errors import InputError
from tests.audit import evidence
from tests.audit.evidence import COORDINATOR, RESEARCHER, A, B, C, cosigned, job_body
from tests.nodes.vaults import party

EVERYONE = {one.public.fingerprint for one in (A, B, C, COORDINATOR, RESEARCHER)}


@pytest.fixture(scope="module")
def receipt(tmp_path_factory: pytest.TempPathFactory) -> Receipt:
    return evidence.make(tmp_path_factory.mktemp("receipt"))


def first_fault(receipt: Receipt, pinned: set[str] | None = None) -> tuple[str, str]:
    """The first finding's subject and code."""
    verdict = verify_receipt(receipt, pinned)
    assert not verdict.ok
    assert verdict.findings[0].sentence
    return verdict.findings[0].subject, verdict.findings[0].code


def test_receipt_verifies_from_its_text_alone_and_is_trusted_with_pins(receipt: Receipt) -> None:
    read = Receipt.from_json(receipt.to_json())
    assert read == receipt
    alone, pinned = verify_receipt(read, None), verify_receipt(read, EVERYONE)
    assert (alone.ok, alone.trusted) == (True, False)
    assert (pinned.ok, pinned.trusted) == (True, True)


def leaves(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of every value in a JSON document, signed bodies opened."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path


def altered(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value is None:
        return "something"
    text = str(value)
    if text.startswith("{"):  # A signed body: one value in it changes, the form stays canonical.
        body = json.loads(text)
        key = max(body, key=lambda name: len(str(body[name])))
        body[key] = altered(body[key]) if not isinstance(body[key], dict | list) else []
        return json.dumps(body, sort_keys=True, separators=(",", ":"))
    return text[:-1] + ("0" if text[-1:] != "0" else "1")


def with_value(document: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(document))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = altered(place[path[-1]])
    return copy


def test_every_altered_field_makes_the_receipt_fail_and_names_what(receipt: Receipt) -> None:
    document = json.loads(receipt.to_json())
    passed = []
    tried = 0
    for path in leaves(document):
        tried += 1
        try:
            changed = Receipt.from_json(json.dumps(with_value(document, path)))
        except InputError:
            continue  # It is no receipt any more, and says so.
        verdict = verify_receipt(changed, EVERYONE)
        if verdict.ok:
            passed.append(path)
        else:
            assert verdict.findings[0].subject, path
            assert verdict.findings[0].sentence, path
    # c takes no part in this job; that its identity is listed proves and changes nothing.
    passed = [path for path in passed if path[:2] != ("identities", 4)]
    assert tried > 150
    assert passed == []


def test_findings_name_the_altered_part(receipt: Receipt) -> None:
    def resigned(signed: Signed) -> Signed:
        return replace(signed, signature=bytes(64))

    first = receipt.nodes[0]
    name = next(p.name for p in receipt.identities if p.fingerprint == first.release.signer)
    spoiled = replace(first, log=replace(first.log, head=resigned(first.log.head)))
    cases = {
        "job": replace(receipt, job=resigned(receipt.job)),
        "roster": replace(receipt, roster=(resigned(receipt.roster[0]), receipt.roster[1])),
        f"node {name}": replace(receipt, nodes=(spoiled, receipt.nodes[1])),
        "sum": replace(receipt, sum=resigned(receipt.sum)),
        "opening": replace(receipt, opening=None),
        "coordinator": replace(receipt, coordinator=cosigned(receipt.coordinator)),
    }
    assert {subject: first_fault(one)[0] for subject, one in cases.items()} == {
        subject: subject for subject in cases
    }


def with_witnesses(receipt: Receipt, *witnesses: Any) -> Receipt:
    first = receipt.nodes[0]
    return replace(
        receipt,
        nodes=(replace(first, log=cosigned(first.log, *witnesses)), receipt.nodes[1]),
    )


def test_receipt_without_an_outside_witness_fails(receipt: Receipt) -> None:
    owner = A if receipt.nodes[0].release.signer == A.public.fingerprint else B
    stranger = party("stranger")
    for witnesses in ((), (owner,), (COORDINATOR,), (RESEARCHER,), (owner, COORDINATOR)):
        assert first_fault(with_witnesses(receipt, *witnesses), EVERYONE)[1] == "SB-3229"
    with_stranger = with_witnesses(receipt, stranger)
    known = replace(with_stranger, identities=(*receipt.identities, stranger.public))
    assert first_fault(known, EVERYONE)[1] == "SB-3229"
    assert verify_receipt(with_witnesses(receipt, C), EVERYONE).ok


def test_bad_cosignature_of_one_witness_does_not_spoil_that_of_another(receipt: Receipt) -> None:
    first = receipt.nodes[0]
    (good,) = first.log.witnesses
    (of_c,) = cosigned(first.log, C).witnesses
    spoiled = replace(of_c, signature=bytes(64))
    both = replace(first, log=replace(first.log, witnesses=(spoiled, good)))
    assert verify_receipt(replace(receipt, nodes=(both, receipt.nodes[1])), EVERYONE).ok
    alone = replace(first, log=replace(first.log, witnesses=(spoiled,)))
    assert first_fault(replace(receipt, nodes=(alone, receipt.nodes[1])))[1] == "SB-3229"


def test_coordinators_log_needs_a_witness_and_the_job_in_it_too(receipt: Receipt) -> None:
    unseen = replace(receipt, coordinator=cosigned(receipt.coordinator, COORDINATOR))
    assert first_fault(unseen) == ("coordinator", "SB-3229")
    for number, kind in enumerate(("job", "roster", "sum")):
        entries = list(receipt.coordinator.entries)
        del entries[number]
        fewer = replace(receipt, coordinator=replace(receipt.coordinator, entries=tuple(entries)))
        subject, code = first_fault(fewer)
        assert (subject, code) == ("coordinator", "SB-3228"), kind


def test_unprotected_receipt_fails(tmp_path: Path) -> None:
    verdict = verify_receipt(evidence.make(tmp_path, protected=False), None)
    assert {finding.code for finding in verdict.findings} >= {"SB-3225"}


def test_release_of_another_attempt_fails(tmp_path: Path) -> None:
    assert first_fault(evidence.make(tmp_path, attempt=2))[1] == "SB-3235"


def test_release_of_a_join_that_was_to_be_verified_and_was_not_fails(tmp_path: Path) -> None:
    """Nor does one pass that claims a check that nobody asked for."""
    for folder in ("verified", "not", "claimed"):
        (tmp_path / folder).mkdir()
    asked = {**job_body(), "verify": True}
    assert verify_receipt(evidence.make(tmp_path / "verified", asked, verified=True), None).ok
    assert first_fault(evidence.make(tmp_path / "not", asked))[1] == "SB-3237"
    assert first_fault(evidence.make(tmp_path / "claimed", verified=True))[1] == "SB-3237"


def joined_body(**terms: object) -> dict[str, object]:
    """Return what a receipt reads of a PSI whose receiver is a."""
    receiver = party("a").public.fingerprint
    return {**job_body(), "ring": "z64", "mode": "psi", "receivers": [receiver], **terms}


TERMS: dict[str, dict[str, object]] = {
    "psi": {},
    "malicious": {"malicious": True},
    "blind": {"mode": "blind", "receivers": []},
    "verified": {"mode": "blind", "receivers": [], "verify": True},
}


@pytest.mark.parametrize("terms", TERMS)
def test_receipt_of_a_join_holds_if_each_node_states_its_mode_trust_and_what_was_learnt(
    tmp_path: Path, terms: str
) -> None:
    body = joined_body(**TERMS[terms])
    said = {**stated(body), "ring": "z64"}
    assert verify_receipt(evidence.make(tmp_path, body, **said), None).ok
    assert said["trust"]
    assert said["learnt"]


@pytest.mark.parametrize(
    ("terms", "field", "lie"),
    [
        ("malicious", "trust", ["semi-honest"]),
        ("malicious", "malicious", False),
        ("verified", "trust", ["all-follow", "pattern-alone", "clamped"]),
        ("verified", "verified", False),
        ("psi", "mode", ""),
        ("psi", "mode", "blind"),
        ("psi", "receivers", []),
        ("psi", "learnt", []),
        ("psi", "trust", ["malicious"]),
        ("blind", "learnt", []),
        ("blind", "trust", []),
    ],
)
def test_member_that_states_another_trust_than_was_asked_for_is_named_with_what_it_states(
    tmp_path: Path, terms: str, field: str, lie: object
) -> None:
    body = joined_body(**TERMS[terms])
    said = {**stated(body), "ring": "z64"}
    receipt = evidence.make(tmp_path, body, {field: lie}, **said)
    (first, *_) = verify_receipt(receipt, None).findings
    assert (first.code, first.subject) == ("SB-3237", "node b")
    written = ", ".join(lie) if isinstance(lie, list) else lie
    assert f"'b' states {field} '{written}'" in first.sentence


def test_joined_job_that_names_no_mode_fails(tmp_path: Path) -> None:
    """It would ask for no assumption, and its nodes state none."""
    body = {**job_body(), "ring": "z64"}
    receipt = evidence.make(tmp_path, body, ring="z64")
    assert first_fault(receipt) == ("job", "SB-3235")


def test_roster_smaller_than_the_job_asks_for_fails_and_a_permitted_one_names_who_is_out(
    tmp_path: Path,
) -> None:
    for folder in ("present", "too few", "wait"):
        (tmp_path / folder).mkdir()
    permitted = evidence.make(tmp_path / "present", job_body("present", 2))
    assert verify_receipt(permitted, None).ok
    assert permitted.left_out == ("c",)
    too_few = evidence.make(tmp_path / "too few", job_body("present", 3))
    assert first_fault(too_few) == ("roster", "SB-3223")
    must_wait = evidence.make(tmp_path / "wait", job_body("wait", 2))
    assert first_fault(must_wait) == ("roster", "SB-3223")


def test_evidence_of_another_party_in_a_role_fails(receipt: Receipt) -> None:
    impostor = party("coordinator", Role.NODE)
    sum_of_node = impostor.sign_bytes("sum", receipt.sum.body)
    people = (*receipt.identities, impostor.public)
    forged = replace(receipt, sum=sum_of_node, identities=people)
    assert first_fault(forged) == ("sum", "SB-3233")


def test_unknown_signer_is_not_trusted(receipt: Receipt) -> None:
    subject, code = first_fault(receipt, EVERYONE - {COORDINATOR.public.fingerprint})
    assert (subject, code) == ("sum", "SB-3234")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1}', "\x00"])
def test_what_is_no_receipt_is_refused(content: str) -> None:
    with pytest.raises(InputError, match="SB-3221"):
        Receipt.from_json(content)


def test_malformed_but_signed_documents_are_findings_and_no_crash(receipt: Receipt) -> None:
    strange = RESEARCHER.sign("job", {"researcher": RESEARCHER.public.fingerprint})
    verdict = verify_receipt(replace(receipt, job=strange), None)
    assert not verdict.ok
    empty = replace(receipt, roster=(), nodes=())
    assert "SB-3222" in {finding.code for finding in verify_receipt(empty, None).findings}
