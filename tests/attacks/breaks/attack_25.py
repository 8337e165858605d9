"""Take every sum to be changed by at most 1."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from sandbox.sql.measures import Measures

add = Measures._add


def apply() -> None:
    def one(self: Measures, *given: Any, **named: Any) -> int:
        index = add(self, *given, **named)
        self.measures[index] = replace(self.measures[index], l1=Fraction(1), l2_squared=Fraction(1))
        return index

    Measures._add = one  # type: ignore[method-assign]
