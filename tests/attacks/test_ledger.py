"""Attacks 53-56, 67, 69: on the log, and on the ledger through names, copies and old backups."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nodes.registry import Registry
from nodes.sources import ViewSource
from nodes.vault import Vault
from sandbox.audit.export import read_log, verify_log
from sandbox.audit.journal import Journal
from sandbox.audit.log import Tree, leaf_hash, verify_inclusion
from sandbox.audit.logrows import EntryKind
from sandbox.audit.statements import HEAD
from sandbox.crypto.identity import Signed, parse
from sandbox.errors import StateError, TrustError
from tests.audit.evidence import A, B, journal
from tests.faults.histories import copy
from tests.nodes.registries import CARD, source_of
from tests.nodes.vaults import (
    answer,
    charge,
    commit,
    demands,
    digest_of,
    open_vault,
    rostered,
    size_of,
)

Lines = list[dict[str, object]]


def edit(lines: Lines) -> None:
    lines[3]["entry"]["time"] = 0  # type: ignore[index]


def delete(lines: Lines) -> None:
    del lines[3]


def reorder(lines: Lines) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def truncate(lines: Lines) -> None:
    del lines[4:6]


def rewrite(lines: Lines) -> None:
    """Edit and make the recorded hash fit again."""
    from sandbox.audit.log import Entry

    edit(lines)
    lines[3]["leaf"] = Entry.from_document(lines[3]["entry"]).leaf_hash.hex()  # type: ignore[arg-type]


@pytest.mark.parametrize("alter", [edit, delete, reorder, truncate, rewrite])
def test_attack_53_altered_log_is_found_and_the_place_named(
    tmp_path: Path, alter: Callable[[Lines], None]
) -> None:
    log = journal(tmp_path, A)
    for number in range(4):
        log.append(EntryKind.JOB, {"digest": str(number)})
    log.export_log(tmp_path / "log")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert verify_log(*read_log(map(json.dumps, lines))) is None
    alter(lines)
    found = verify_log(*read_log(map(json.dumps, lines)))
    assert found is not None
    assert found.first <= 3


def forked(tmp_path: Path) -> tuple[Journal, Journal]:
    """One node's log, continued in two ways."""
    (tmp_path / "fork").mkdir()
    one = journal(tmp_path, A)
    one.append(EntryKind.PIN, {"fingerprint": "x"})
    copy(tmp_path / "a.db", tmp_path / "fork" / "a.db")
    other = journal(tmp_path / "fork", A)
    one.append(EntryKind.RESERVATION, {"loss": "1"})
    other.append(EntryKind.PIN, {"fingerprint": "y"})
    return one, other


def test_attack_54_two_histories_of_one_log_are_not_both_cosigned(tmp_path: Path) -> None:
    one, other = forked(tmp_path)
    (tmp_path / "witness").mkdir()
    witness = journal(tmp_path / "witness", B)
    shown, hidden = one.head(), other.head()
    witness.record_peer_head(shown, A.public, [])
    size = size_of(hidden)
    proof = other.consistency(min(size, size_of(shown)), size)
    with pytest.raises(TrustError, match=r"SB-320[23]"):
        witness.record_peer_head(hidden, A.public, proof)
    assert witness.peer_head(A.public.fingerprint) == shown
    assert [record.entry.kind for record in witness.entries()][-1] == "refusal"


def two_ledgers(log: Journal) -> tuple[Signed, Signed]:
    """Two signed heads over the same entries: the second forgets what was spent."""
    log.append(EntryKind.RESERVATION, {"loss": "1"})
    honest = log.head()
    body = {**parse(honest.body), "ledger_digest": bytes(32).hex()}
    return A.sign(HEAD, {**body, "ledger_digest": "11" * 32}), A.sign(HEAD, body)


def test_attack_54_two_ledgers_under_the_same_entries_are_not_both_cosigned(
    tmp_path: Path,
) -> None:
    shown, hidden = two_ledgers(journal(tmp_path, A))
    (tmp_path / "witness").mkdir()
    witness = journal(tmp_path / "witness", B)
    witness.record_peer_head(shown, A.public, [])
    witness.record_peer_head(shown, A.public, [])
    with pytest.raises(TrustError, match="SB-6034"):
        witness.record_peer_head(hidden, A.public, [])
    assert witness.peer_head(A.public.fingerprint) == shown
    assert [record.entry.kind for record in witness.entries()][-1] == "refusal"


def test_attack_53_exported_log_with_two_ledgers_under_the_same_entries_is_found(
    tmp_path: Path,
) -> None:
    log = journal(tmp_path, A)
    shown, hidden = two_ledgers(log)
    records = log.entries()
    assert verify_log(A.public, records, [shown]) is None
    found = verify_log(A.public, records, [shown, hidden])
    assert found is not None
    assert (found.code, found.first, found.last) == ("SB-6035", 0, len(records) - 1)


def worked(tmp_path: Path) -> tuple[Vault, Signed]:
    """A vault restored from before a release that its witness has seen, and the witness's head."""
    vault = open_vault(tmp_path)
    job = rostered(vault)
    vault.close()
    copy(tmp_path / "vault.db", tmp_path / "backup")
    vault = open_vault(tmp_path)
    commit(vault, job, vault.reserve(job.digest, digest_of("abc"), charge(), demands()), b"share")
    seen = vault.log.head()
    vault.close()
    copy(tmp_path / "backup", tmp_path / "vault.db")
    return open_vault(tmp_path, begun=False), seen


def test_attack_55_old_backup_is_found_against_a_peers_head(tmp_path: Path) -> None:
    vault, seen = worked(tmp_path)
    vault.log.start()
    with pytest.raises(StateError, match="SB-6022"):
        answer(vault, seen)
    assert not vault.log.confirmed()


def test_attack_56_inner_node_does_not_pass_for_an_entry() -> None:
    left, right = leaf_hash(b"entry 0"), leaf_hash(b"entry 1")
    root = Tree([left, right]).root()
    assert not verify_inclusion(leaf_hash(left + right), 0, 1, [], root)


def test_attack_67_view_and_copy_spend_the_budget_of_what_they_show(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    registry = Registry(vault)
    base = registry.add("base", CARD, source_of("base"), "digest of the rows")
    view = registry.add(
        "view", CARD, ViewSource("SELECT * FROM base", (("base", base.source),)), "v"
    )
    double = registry.add("double", CARD, source_of("double"), "digest of the rows")
    registry.remove("base")
    again = registry.add("base", CARD, source_of("elsewhere"), "other rows")
    assert view.groups == double.groups == again.groups == base.groups


def test_attack_69_restored_backup_releases_nothing_before_a_witness_confirms_its_head(
    tmp_path: Path,
) -> None:
    vault, _ = worked(tmp_path)
    vault.log.start()
    job = rostered(vault)
    with pytest.raises(StateError, match="SB-6020"):
        vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    with pytest.raises(StateError, match="SB-6020"):
        vault.stored_share(job.digest)
