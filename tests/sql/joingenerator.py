"""Random statements over joined tables of the town, as a researcher types them and DuckDB runs them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A table: how FROM names it, numbers, conditions, groups and nullable columns of one row."""

    text: str
    alias: str
    numbers: tuple[str, ...]
    conditions: tuple[str, ...]
    groups: tuple[str, ...]
    columns: tuple[str, ...]
    levels: tuple[str, ...] = ()
    collection: bool = False
    keys: tuple[str, ...] = ("person",)


PEOPLE = Source(
    "a.people AS p", "p",
    ("p.age", "p.income", "(p.age + 2 * p.level)", "COALESCE(p.age, 7)", "p.level"),
    ("p.age BETWEEN 20 AND 60", "p.region = 'north'", "p.active", "p.income > 400.5",
     "p.region IS NULL", "p.level IN (1, 3)", "(p.age > 50 OR p.region = 'south')"),
    ("p.region", "p.level", "p.active", "p.age > 40"), ("p.age", "p.region", "p.active"), ("p.level",),
)  # fmt: skip
ORDERS = Source(
    "b.orders AS o", "o",
    ("o.amount", "(o.amount * 2)", "o.level", "CASE WHEN o.paid THEN o.amount ELSE 0 END"),
    ("o.kind = 'x'", "o.paid", "o.amount >= 50", "o.kind IS NOT NULL", "o.kind <> 'y'",
     "o.day < DATE '2024-01-10'"),
    ("o.kind", "o.paid", "o.level"), ("o.amount", "o.kind", "o.level"), ("o.level",),
)  # fmt: skip
VISITS = Source(
    "visits AS v", "v", ("v.score", "(v.score * v.score)"),
    ("v.score > 0", "v.ward = 'a'", "v.day >= DATE '2024-01-05'"), ("v.ward",), ("v.score",),
    collection=True,
)  # fmt: skip
NOTES = Source(
    "e.notes AS n", "n", ("n.weight",), ("n.flag", "n.weight > 2", "n.flag IS NULL"),
    ("n.flag", "n.weight"), ("n.flag",), ("n.weight",),
)  # fmt: skip
MEMBERS = Source(
    "(SELECT person, tier, points FROM f.members WHERE points > 3) AS m", "m",
    ("m.points",), ("m.tier = 'gold'", "m.points < 30"), ("m.tier",), ("m.points",),
)  # fmt: skip
SOURCES = (PEOPLE, ORDERS, VISITS, NOTES, MEMBERS)
STOCK = Source(
    "e.stock AS t", "t", ("t.pieces", "(t.pieces - 3)"), ("t.pieces > 10", "t.week = 1"), (),
    ("t.pieces",), keys=("shop", "week"),
)  # fmt: skip
SALES = Source(
    "f.sales AS s", "s", ("s.sold", "(s.sold + 1)"), ("s.sold < 7", "s.till = 'p'"),
    ("s.till", "s.sold > 4"), ("s.sold",), keys=("shop", "week"),
)  # fmt: skip
SHOPS = re.compile(r"(\w\.shop) = (\w\.shop)")
WEEKLY = (STOCK, SALES)
"""Tables that share a key of two columns; a shop's name is read in lower case."""


@dataclass(frozen=True)
class Statement:
    """A statement and how many of its outputs, the first, are groups."""

    text: str
    groups: int

    @property
    def plain(self) -> str:
        """The statement for a database that knows no normalisers."""
        return SHOPS.sub(r"lower(\1) = lower(\2)", self.text)


class JoinGenerator:
    """Statements from a seed. `tables`: how many of `among` a statement may join, drawn uniformly."""

    def __init__(
        self,
        chance: random.Random,
        tables: Sequence[int] = (2, 2, 2, 2, 3, 3, 4, 5),
        among: Sequence[Source] = SOURCES,
    ) -> None:
        self._chance = chance
        self._tables = tables
        self._among = among

    def statement(self) -> Statement:
        """Return the next statement."""
        chance = self._chance
        sources = chance.sample(self._among, chance.choice(self._tables))
        text, inner = self._from(sources)
        return self._selected(sources, text, inner)

    def semi_join(self) -> Statement:
        """Return the next statement over the rows of one table whose key another has."""
        chance = self._chance
        one, other = chance.sample(self._among, 2)
        narrowed = chance.random() < 0.6
        condition = f" AND {chance.choice(other.conditions)}" if narrowed else ""
        if len(one.keys) == 1 and chance.random() < 0.5:
            key = one.keys[0]
            where = condition.replace(" AND ", " WHERE ", 1)
            asked = f"{one.alias}.{key} IN (SELECT {other.alias}.{key} FROM {other.text}{where})"
        else:
            asked = f"EXISTS (SELECT 1 FROM {other.text} WHERE {_equal(one, other)}{condition})"
        if chance.random() < 0.6:
            asked = f"{self._condition([one])} AND {asked}"
        return self._selected([one], f"FROM {one.text} WHERE {asked}", {one.alias})

    def _selected(self, sources: Sequence[Source], text: str, inner: set[str]) -> Statement:
        chance = self._chance
        keys = self._groups(sources, inner)
        items = [self._item(sources) for _ in range(chance.choice((1, 2, 2, 3)))]
        selected = [*keys, *(f"{item} AS x{n}" for n, item in enumerate(items))]
        text = f"SELECT {', '.join(selected)} {text}"
        if keys:
            text += f" GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}"
        return Statement(text, len(keys))

    def _from(self, sources: Sequence[Source]) -> tuple[str, set[str]]:
        chance = self._chance
        first = sources[0]
        conditions = [] if chance.random() < 0.3 else [self._condition(sources)]
        if len(sources) == 2 and chance.random() < 0.15:
            where = " AND ".join([_equal(first, sources[1]), *conditions])
            return f"FROM {first.text}, {sources[1].text} WHERE {where}", {s.alias for s in sources}
        text, inner = f"FROM {first.text}", {first.alias}
        for source in sources[1:]:
            left = not source.collection and chance.random() < 0.35
            on = _equal(source, chance.choice([s for s in sources if s.alias in inner]))
            if not left:
                inner.add(source.alias)
            if chance.random() < 0.3:
                more = chance.choice((first, source)) if left else chance.choice(sources[:2])
                known = text + source.text
                if f" AS {more.alias}" in known or f") AS {more.alias}" in known:
                    on += f" AND {chance.choice(more.conditions)}"
            text += f" {'LEFT ' if left else ''}JOIN {source.text} ON {on}"
        if conditions:
            text += f" WHERE {conditions[0]}"
        return text, inner

    def _condition(self, sources: Sequence[Source]) -> str:
        chance = self._chance
        leaf = [chance.choice(chance.choice(sources).conditions) for _ in range(4)]
        leveled = [s for s in sources if s.levels]
        if len(leveled) > 1 and chance.random() < 0.6:
            a, b = chance.sample(leveled, 2)
            operator = chance.choice(("=", "=", "<", "<>", ">="))
            leaf[0] = f"{a.levels[0]} {operator} {b.levels[0]}"
        return chance.choice(
            (
                leaf[0],
                f"{leaf[0]} AND {leaf[1]}",
                f"({leaf[0]} OR {leaf[1]})",
                f"({leaf[0]} AND {leaf[1]} OR {leaf[2]} AND {leaf[3]})",
                f"NOT ({leaf[0]} AND {leaf[1]})",
                f"({leaf[0]} OR NOT {leaf[1]}) AND {leaf[2]}",
                f"({leaf[0]}) IS NOT TRUE AND {leaf[1]}",
            )
        )

    def _groups(self, sources: Sequence[Source], inner: set[str]) -> list[str]:
        chance = self._chance
        groups = []
        for source in sources[:3]:
            plain = [g for g in source.groups if source.alias in inner or " " not in g]
            if plain and chance.random() < 0.45:
                groups.append(chance.choice(plain))
        return groups[:2]

    def _item(self, sources: Sequence[Source]) -> str:
        chance = self._chance
        one, other = chance.sample(sources, 2) if len(sources) > 1 else (*sources, *sources)
        x, y = chance.choice(one.numbers), chance.choice(other.numbers)
        condition = chance.choice(chance.choice(sources).conditions)
        number = chance.choice(
            (x, x, f"{x} * {y}", f"{y} * {x}", f"{x} + {y}", f"({x} - {y})",
             f"CASE WHEN {condition} THEN {x} ELSE {y} END", f"COALESCE({x}, {y})",
             f"CASE WHEN {condition} THEN {x} END")
        )  # fmt: skip
        filtered = f" FILTER (WHERE {condition})" if chance.random() < 0.2 else ""
        aggregate = chance.choice(
            ("COUNT(*)", f"COUNT({chance.choice(one.columns)})", f"SUM({number})", f"AVG({number})",
             f"SUM({number})", f"VAR_POP({x})", f"STDDEV_SAMP({x})", f"COVAR_POP({x}, {y})",
             f"CORR({x}, {y})", f"COVAR_SAMP({x}, {chance.choice(one.numbers)})",
             f"COUNT({x}) - COUNT({y})")
        )  # fmt: skip
        return aggregate + (filtered if " - COUNT" not in aggregate else "")


def _equal(one: Source, other: Source) -> str:
    """Return the equality of both keys."""
    return " AND ".join(f"{one.alias}.{key} = {other.alias}.{key}" for key in one.keys)
