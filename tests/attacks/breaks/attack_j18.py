"""Break j18: values in one order, which is drawn from what a sender draws afresh (j17)."""

from __future__ import annotations

from tests.attacks.breaks.attack_j17 import apply

__all__ = ["apply"]
