"""What a generated statement consists of, each part as it is asked and as plain SQL evaluates it.

`Written.text` is what a researcher types; `plain` is the same for DuckDB. They differ only where
fedsandbox defines the value: a quotient is kept to six digits, a quantile is that of declared bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import product

Label = str | int | bool | Decimal | None


@dataclass(frozen=True)
class Written:
    """An expression as it is asked and as the reference evaluates it."""

    text: str
    plain: str

    @classmethod
    def same(cls, text: str) -> Written:
        """Both alike."""
        return cls(text, text)


@dataclass(frozen=True)
class Group:
    """A GROUP BY expression and every value that the card lets it have, in order, NULL last."""

    expression: Written
    domain: tuple[Label, ...]


@dataclass(frozen=True)
class Aggregate:
    """A statistic by name, with its arguments and FILTER. `p`: of a quantile; `bins`: its SQL."""

    name: str
    text: str
    arguments: tuple[str, ...] = ()
    filter: str = "TRUE"
    p: str = ""


@dataclass(frozen=True)
class Item:
    """An output: an aggregate, or `left operator right` over two of them."""

    alias: str
    parts: tuple[Aggregate, ...]
    operator: str = ""

    @property
    def text(self) -> str:
        """As it is asked."""
        if self.operator == "round":
            return f"ROUND({self.parts[0].text}, 2)"
        return f" {self.operator} ".join(part.text for part in self.parts)


@dataclass(frozen=True)
class Statement:
    """A generated query. `having`: (alias, operator, number) joined by `joint`."""

    with_clause: str
    source: str
    where: Written
    groups: tuple[Group, ...]
    items: tuple[Item, ...]
    having: tuple[tuple[str, str, str], ...] = ()
    joint: str = "AND"
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None

    @property
    def text(self) -> str:
        """What the researcher types."""
        keys = [f"{g.expression.text} AS g{i}" for i, g in enumerate(self.groups)]
        items = [f"{item.text} AS {item.alias}" for item in self.items]
        text = f"{self.with_clause}SELECT {', '.join(keys + items)} FROM {self.source}"
        if self.where.text != "TRUE":
            text += f" WHERE {self.where.text}"
        if self.groups:
            places = [g.expression.text if i % 2 else f"g{i}" for i, g in enumerate(self.groups)]
            text += f" GROUP BY {', '.join(places)}"
        if self.having:
            terms = [f"{alias} {operator} {number}" for alias, operator, number in self.having]
            text += f" HAVING {f' {self.joint} '.join(terms)}"
        if self.order:
            text += f" ORDER BY {', '.join(a + (' DESC' if d else '') for a, d in self.order)}"
        return text + (f" LIMIT {self.limit}" if self.limit is not None else "")

    @property
    def cells(self) -> list[tuple[Label, ...]]:
        """All combinations of group values."""
        return list(product(*(g.domain for g in self.groups)))
