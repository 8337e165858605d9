"""Break j42: a node does not hold the data against what was matched."""

from __future__ import annotations

from types import SimpleNamespace

from nodes import matchings
from nodes.prepared_worker import Facts, facts_of


class AnyVersion(str):
    """A digest that no other differs from."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def apply() -> None:
    def of_any_version(file: object) -> Facts:
        said = facts_of(file)  # type: ignore[arg-type]
        return Facts(AnyVersion(said.version), said.dummies, said.rows)

    matchings.facts_of = of_any_version  # type: ignore[attr-defined]
    matchings.sources = SimpleNamespace(unchanged=lambda source: True)  # type: ignore[assignment, attr-defined]
