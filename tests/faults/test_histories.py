"""A short run of the random histories (`make histories` is the long one), and proof of their teeth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nodes.vault import StoredShare, Vault
from sandbox.audit.journal import Journal
from tests.faults import histories


@pytest.mark.parametrize("seed", range(14))
def test_random_history_keeps_every_invariant(seed: int, tmp_path: Path) -> None:
    assert histories.run(seed, tmp_path).draws >= 0


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
