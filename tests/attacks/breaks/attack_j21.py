"""Break j21: whoever may run `psi` may be told ids."""

from __future__ import annotations

from sandbox.privacy import policy


def apply() -> None:
    policy._RULES = tuple(rule for rule in policy._RULES if rule is not policy._disclosure)
