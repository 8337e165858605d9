"""Let ERROR(x) be a function."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sandbox.sql import functions
from sandbox.sql.scalar import Number, Scalar


def apply() -> None:
    def error(arguments: Sequence[Scalar]) -> Scalar:
        return Number(f"error({arguments[0].sql})", Fraction(1), 0, 1)

    functions.FUNCTIONS["error"] = functions.Function(1, 1, error)
