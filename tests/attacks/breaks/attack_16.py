"""Answer MAX and MIN as if noise protected them."""

from __future__ import annotations

from sqlglot import exp

from sandbox.sql import aggregates


def apply() -> None:
    aggregates.OPERATIONS[exp.Max] = aggregates.OPERATIONS[exp.Min] = "sum"
