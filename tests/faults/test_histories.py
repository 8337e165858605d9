"""A short run of the random histories (`make histories` is the long one), and proof of their teeth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nodes.taskrows import StoredShare
from nodes.vault import Vault
from sandbox.audit.journal import Journal
from tests.faults import histories


def test_random_histories_keep_every_invariant(tmp_path: Path) -> None:
    walks = []
    for seed in range(16):
        folder = tmp_path / str(seed)
        folder.mkdir()
        walks.append(histories.run(seed, folder))
    # The walks go where something can break.
    assert sum(len(walk.sent) for walk in walks) >= 16
    assert sum(walk.crashes for walk in walks) >= 16


def found(first: int, count: int = 40) -> str:
    """What the first history that notices something says."""
    verdicts = (histories.verdict(seed)[1] for seed in range(first, first + count))
    return next((broken for broken in verdicts if broken), "")


def test_histories_notice_a_share_that_is_forgotten_and_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = Vault.stored_share

    def redrawn(vault: Vault, digest: str) -> StoredShare | None:
        share = stored(vault, digest)
        return share and replace(share, share=b"draw %d" % vault.clock())

    monkeypatch.setattr(Vault, "stored_share", redrawn)
    assert "I2" in found(0)


def test_histories_notice_a_node_that_starts_from_an_old_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Journal, "_require_no_later", lambda *_: None)
    assert "old copy" in found(0)


def test_histories_notice_a_spend_that_a_crash_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.ledger.reserve", lambda *_: None)
    assert "I1" in found(0) or "disagree" in found(0)
