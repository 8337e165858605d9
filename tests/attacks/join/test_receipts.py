"""Attack j60: a member that ran a weaker variant than was asked for, in a receipt all have signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.audit.assumptions import stated
from sandbox.audit.receipt import verify_receipt
from tests.audit import evidence
from tests.audit.test_receipt import joined_body

WEAKER = {
    "malicious": {"malicious": False, "trust": ["semi-honest"]},
    "verify": {"verified": False, "trust": ["all-follow", "pattern-alone", "clamped"]},
}
"""What a member says that left the check out, every word of it consistent."""


@pytest.mark.parametrize("asked", WEAKER)
def test_attack_j60_member_that_downgrades_a_join_is_named(tmp_path: Path, asked: str) -> None:
    """Explain said that a member which departs is found out; the receipt must not pass as if it held."""
    terms = {"malicious": True} if asked == "malicious" else {"verify": True, "mode": "blind"}
    body = joined_body(**terms)
    if asked == "verify":
        body["receivers"] = []
    said = {**stated(body), "ring": "z64"}
    (tmp_path / "honest").mkdir()
    assert verify_receipt(evidence.make(tmp_path / "honest", body, **said), None).ok
    verdict = verify_receipt(evidence.make(tmp_path, body, WEAKER[asked], **said), None)
    assert not verdict.ok
    assert (verdict.findings[0].subject, verdict.findings[0].code) == ("node b", "SB-3237")
