"""The threat model names every attack on joins that has a test, and none that has none."""

from __future__ import annotations

import re
from pathlib import Path

from tests.attacks.run_breaks import attacks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"


def test_threat_model_names_each_attack_on_joins_by_its_number() -> None:
    named = set(re.findall(r"\bj\d\d\b", PAGE.read_text("utf-8")))
    assert named == {number for number in attacks() if number.startswith("j")}
