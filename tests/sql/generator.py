"""Random statements over the plants, each with what plain SQL over the union has to answer.

`Written.text` is what a researcher types; `plain` is the same for DuckDB. They differ only where
fedsandbox defines the value: a quotient is kept to six digits, a quantile is that of declared bins.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import product

from tests.sql.plants import DATASETS, KINDS, LAST_DAY, LINES

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


@dataclass
class Generator:
    """Statements from a seed. `tables`: names that FROM may use."""

    chance: random.Random
    tables: tuple[str, ...] = ("machines", *DATASETS)
    derived: bool = field(default=False, init=False)
    """Whether the source has the column `twice`."""

    def statement(self) -> Statement:
        """Return the next statement."""
        one = self.chance.random() < 0.75
        source, with_clause, single = self._source()
        groups = tuple(self._group() for _ in range(self.chance.choice((0, 1, 1, 1, 2, 2, 3))))
        groups = _small(groups)
        items = tuple(
            self._item(f"x{i}", single) for i in range(self.chance.choice((1, 2, 2, 3, 4)))
        )
        having, order, limit = self._tail(groups, items) if groups else ((), (), None)
        return Statement(
            with_clause,
            source,
            self._condition(2) if one else Written.same("TRUE"),
            groups,
            items,
            having,
            self.chance.choice(("AND", "OR")),
            order,
            limit,
        )

    # FROM

    def _source(self) -> tuple[str, str, bool]:
        """Return FROM, WITH, and whether units are at one node each (COUNT(DISTINCT) is allowed)."""
        self.derived = False
        table = self.chance.choice((*self.tables, "machines", "machines"))
        kind = self.chance.random()
        if kind < 0.5:
            return self.chance.choice((table, f"{table} AS m")), "", True
        if kind < 0.65:
            pair = self.chance.sample(DATASETS, 2)
            union = " UNION ALL ".join(f"SELECT * FROM {name}" for name in pair)
            return f"({union}) AS u", "", False
        self.derived = True
        inner = f"SELECT *, torque * 2 AS twice FROM {table} WHERE {self._plain_condition()}"
        if kind < 0.85:
            return f"({inner}) AS t", "", True
        return "t", f"WITH t AS ({inner}) ", True

    # Numbers

    def number(self, depth: int = 2) -> Written:
        """Return an expression of at most six decimal digits."""
        if depth == 0 or self.chance.random() < 0.25:
            return self._leaf()
        return self.chance.choice(self._operations())(depth - 1)

    def _modest(self) -> Written:
        """Return a number whose squares need no coarser steps than its own."""
        return self.chance.choice(
            (self._leaf, self._dated, self._whole, lambda *_: self._clamped())
        )(0)

    def _clamped(self) -> Written:
        a = self.number(1)
        shape = self.chance.choice(
            ("LEAST(GREATEST({}, 0), 9)", "ROUND({})", "SIGN({})", "FLOOR({})")
        )
        return Written(shape.format(a.text), _rounding(shape, a.plain))

    def _leaf(self, _: int = 0) -> Written:
        leaves = ["torque", "speed", "price", "stars", "failed::INTEGER", *["twice"] * self.derived]
        return Written.same(self.chance.choice(leaves))

    def _operations(self) -> list[Callable[[int], Written]]:
        return [
            self._binary, self._binary, self._scaled, self._product, self._case, self._case,
            self._function, self._function, self._dated, self._whole,
        ]  # fmt: skip

    def _binary(self, depth: int) -> Written:
        a, b, operator = self.number(depth), self.number(depth), self.chance.choice("+-")
        return Written(f"({a.text} {operator} {b.text})", f"({a.plain} {operator} {b.plain})")

    def _scaled(self, depth: int) -> Written:
        a = self.number(depth)
        by, times = self.chance.choice(
            (("/ 4", "* 0.25"), ("/ 2", "* 0.5"), ("* 3", "* 3"), ("* -0.5", "* -0.5"))
        )
        return Written(f"({a.text} {by})", f"({a.plain} {times})")

    def _product(self, _: int) -> Written:
        a, b = self._leaf(), self._leaf()
        return Written(f"({a.text} * {b.text})", f"({a.plain} * {b.plain})")

    def _case(self, depth: int) -> Written:
        condition, a, b = self._condition(1), self.number(depth), self.number(depth)
        shape = self.chance.random()
        if shape < 0.3:
            return Written(
                f"CASE WHEN {condition.text} THEN {a.text} END",
                f"CASE WHEN {condition.plain} THEN {a.plain} END",
            )
        if shape < 0.6:
            by = {"text": a.text, "plain": a.plain}
            text, plain = (
                f"CASE kind WHEN 'L' THEN {by[k]} WHEN 'M' THEN 7 ELSE -1.5 END"
                for k in ("text", "plain")
            )
            return Written(text, plain)
        return Written(
            f"CASE WHEN {condition.text} THEN {a.text} ELSE {b.text} END",
            f"CASE WHEN {condition.plain} THEN {a.plain} ELSE {b.plain} END",
        )

    def _function(self, depth: int) -> Written:
        a = self.number(depth)
        shape = self.chance.choice(
            (
                "ABS({})",
                "LEAST({}, 50)",
                "GREATEST({}, 1500.5)",
                "LEAST(GREATEST({}, 0), 60)",
                "COALESCE({}, 3)",
                "NULLIF({}, 0)",
                "ROUND({})",
                "ROUND({}, 1)",
                "FLOOR({})",
                "CEIL({})",
                "CAST({} AS INTEGER)",
                "-({})",
                "SIGN({})",
                "IF({} > 1, 2, 5)",
            )
        )
        return Written(shape.format(a.text), _rounding(shape, a.plain))

    def _dated(self, _: int) -> Written:
        return Written.same(
            self.chance.choice(
                (
                    "YEAR(day)",
                    "EXTRACT(month FROM day)",
                    "DATE_PART('day', seen)",
                    "DATE_DIFF('day', DATE '2023-06-30', day)",
                    "DATE_DIFF('month', day, DATE '2025-01-01')",
                    "DATE_DIFF('hour', TIMESTAMP '2024-01-15 12:30:00', seen)",
                    "(day - DATE '2024-02-29')",
                    "HOUR(seen)",
                    "DAYOFWEEK(day)",
                    "ISODOW(day + 3)",
                    "WEEK(day)",
                    "QUARTER(seen)",
                    "DAYOFYEAR(day)",
                )
            )
        )

    def _whole(self, _: int) -> Written:
        return Written.same(
            self.chance.choice(
                (
                    "speed % 7",
                    "speed // 10",
                    "(speed - 2000) // 7",
                    "(stars - 3) % 2",
                    "MOD(speed - 2000, 13)",
                    "LENGTH(kind)",
                    "TRUNC(price)",
                    "POWER(stars, 2)::INTEGER",
                )
            )
        )

    def _quotient(self) -> Written:
        a, b = (
            self.chance.choice(("torque", "price", "speed")),
            self.chance.choice(("speed", "stars")),
        )
        # The reference rounds as the manual says: half away from zero, to 6 digits, NULL by zero.
        return Written(
            f"{a} / {b}",
            f"(round({a} * 1000000::DOUBLE / NULLIF({b}, 0))::DECIMAL(18, 0) * 0.000001)",
        )

    # Conditions

    def _plain_condition(self) -> str:
        return self.chance.choice(
            ("speed > 1200", "kind <> 'H'", "NOT failed", "torque IS NOT NULL", "price <= 90.25")
        )

    def _condition(self, depth: int) -> Written:
        shape = self.chance.random()
        if depth and shape < 0.25:
            a, b = self._condition(depth - 1), self._condition(depth - 1)
            word = self.chance.choice(("AND", "OR"))
            return Written(f"({a.text} {word} {b.text})", f"({a.plain} {word} {b.plain})")
        if depth and shape < 0.32:
            a = self._condition(depth - 1)
            return Written(f"(NOT {a.text})", f"(NOT {a.plain})")
        if shape < 0.55:
            a = self.number(1)
            operator = self.chance.choice(("<", "<=", ">", ">=", "=", "<>", "IS DISTINCT FROM"))
            value = self.chance.choice(("0", "2", "40", "40.05", "1500", "-3.5", "1e2"))
            return Written(f"{a.text} {operator} {value}", f"{a.plain} {operator} {value}")
        return Written.same(
            self.chance.choice(
                (
                    "failed",
                    "checked",
                    "NOT checked",
                    "checked IS NULL",
                    "checked IS TRUE",
                    "kind IN ('L', 'H')",
                    "line NOT IN ('north')",
                    "line IN ('east', NULL)",
                    "kind = 'M'",
                    "line > 'north'",
                    "note LIKE 'w%'",
                    "note ILIKE '%OUT'",
                    "note LIKE '%_b'",
                    "note NOT LIKE '%o%'",
                    "note = 'it''s fine'",
                    "LOWER(note) = 'worn'",
                    "LEFT(kind, 1) = 'L'",
                    "STARTS_WITH(note, 'ok')",
                    "LENGTH(note) > 3",
                    "day >= DATE '2024-02-29'",
                    "day BETWEEN '2023-06-01' AND '2024-06-30'",
                    "seen < TIMESTAMP '2024-02-15 12:00:00'",
                    "seen IS NULL",
                    "DATE_TRUNC('month', day) = DATE '2024-03-01'",
                    "torque BETWEEN 20 AND 60.5",
                    "torque = NULL",
                    "stars IS NOT NULL",
                    "torque IS NOT DISTINCT FROM 10",
                )
            )
        )

    # GROUP BY

    def _group(self) -> Group:
        months = tuple(f"{y}-{m:02}-01" for y in (2023, 2024) for m in range(1, 13))
        mondays = date(2023, 1, 9)
        weeks = tuple((mondays + timedelta(weeks=n)).isoformat() for n in range(200))
        weeks = tuple(w for w in weeks if w <= LAST_DAY.isoformat())
        return self.chance.choice(
            (
                Group(Written.same("kind"), KINDS),
                Group(Written.same("line"), (*LINES, None)),
                Group(Written.same("COALESCE(line, 'none')"), (*LINES, "none")),
                Group(Written.same("failed"), (False, True)),
                Group(Written.same("checked"), (False, True, None)),
                Group(Written.same("stars"), (1, 2, 3, 4, 5, None)),
                Group(Written.same("stars >= 3"), (False, True, None)),
                Group(Written.same("FLOOR(torque / 20) * 20"), (0, 20, 40, 60, 80, None)),
                Group(Written.same("FLOOR(price / 50)"), (-2, -1, 0, 1, 2)),
                Group(Written.same("speed // 500"), (2, 3, 4, 5, 6)),
                Group(Written.same("ROUND(torque, -1)"), (*range(0, 90, 10), None)),
                Group(Written.same("YEAR(day)"), (2023, 2024)),
                Group(Written.same("MONTH(seen)"), (*range(1, 13), None)),
                Group(Written.same("QUARTER(day)"), (1, 2, 3, 4)),
                Group(Written.same("EXTRACT(hour FROM seen)"), (*range(24), None)),
                Group(Written.same("DAYOFWEEK(day)"), tuple(range(7))),
                Group(Written.same("DATE_TRUNC('month', day)"), months),
                Group(
                    Written("DATE_TRUNC('quarter', day)", "DATE_TRUNC('quarter', day)"), months[::3]
                ),
                Group(Written.same("DATE_TRUNC('week', day)"), weeks),
                Group(
                    Written.same(
                        "CASE WHEN torque > 50 THEN 'high' WHEN torque > 20 THEN 'mid' ELSE 'low' END"
                    ),
                    ("high", "mid", "low"),
                ),
                Group(
                    Written.same("CASE WHEN failed THEN stars ELSE 0 END"), (0, 1, 2, 3, 4, 5, None)
                ),
                Group(Written.same("LOWER(kind)"), ("l", "m", "h")),
                Group(
                    Written(
                        "WIDTH_BUCKET(torque, 10, 70, 3)",
                        "CASE WHEN torque < 10 THEN 0 WHEN torque >= 70 THEN 4 "
                        "WHEN torque IS NOT NULL THEN FLOOR((torque - 10) * 0.05) + 1 END",
                    ),
                    (0, 1, 2, 3, 4, None),
                ),
            )
        )

    # Aggregates

    def _item(self, alias: str, single: bool) -> Item:
        shape = self.chance.random()
        if shape < 0.08:
            return Item(alias, (self._sum_like(), self._counting()), "/")
        if shape < 0.14:
            return Item(alias, (self._sum_like(),), "round")
        if shape < 0.2:
            return Item(alias, (self._sum_like(), self._sum_like()), self.chance.choice("+-"))
        return Item(alias, (self.aggregate(single),))

    def aggregate(self, single: bool) -> Aggregate:
        """Return any aggregate; `single`: units are at one node each."""
        shape = self.chance.random()
        if single and shape < 0.07:
            return self._filtered("count_distinct", "COUNT(DISTINCT id)", ("id",))
        if shape < 0.25:
            return self._counting()
        if shape < 0.5:
            return self._sum_like()
        if shape < 0.65:
            return self._quantile()
        x = self._modest()
        if shape < 0.85:
            name, text = self.chance.choice(
                (("var_samp", "VARIANCE"), ("var_samp", "VAR_SAMP"), ("var_pop", "VAR_POP"),
                 ("stddev_samp", "STDDEV"), ("stddev_samp", "STDDEV_SAMP"), ("stddev_pop", "STDDEV_POP"))
            )  # fmt: skip
            return self._filtered(name, f"{text}({x.text})", (x.plain,))
        y = self._modest()
        name = self.chance.choice(("covar_pop", "covar_samp", "corr"))
        return self._filtered(name, f"{name.upper()}({x.text}, {y.text})", (x.plain, y.plain))

    def _counting(self) -> Aggregate:
        shape = self.chance.random()
        if shape < 0.5:
            return self._filtered("count", "COUNT(*)", ())
        if shape < 0.6:
            met = self._condition(1)
            return Aggregate("count", f"COUNT_IF({met.text})", (), met.plain)
        x = self.chance.choice((self.number(1), Written.same("note"), Written.same("seen")))
        return self._filtered("count", f"COUNT({x.text})", (x.plain,))

    def _sum_like(self) -> Aggregate:
        x = self._quotient() if self.chance.random() < 0.12 else self.number()
        name = self.chance.choice(("sum", "avg"))
        return self._filtered(name, f"{name.upper()}({x.text})", (x.plain,))

    def _quantile(self) -> Aggregate:
        column, low, width = self.chance.choice(
            (("torque", "0", "0.4"), ("speed", "1000", "8"), ("price", "-100", "0.79"))
        )
        p = self.chance.choice(("0.5", "0.25", "0.75", "0.125", "0.0625"))
        binned = (
            f"({low} + {width} * ((({column} - {low}) * 100)::BIGINT // ({width} * 100)::BIGINT))"
        )
        text = f"MEDIAN({column})" if p == "0.5" else f"APPROX_QUANTILE({column}, {p})"
        return self._filtered("quantile", text, (binned,), p)

    def _filtered(self, name: str, text: str, arguments: tuple[str, ...], p: str = "") -> Aggregate:
        if self.chance.random() < 0.2:
            met = self._condition(1)
            return Aggregate(name, f"{text} FILTER (WHERE {met.text})", arguments, met.plain, p)
        return Aggregate(name, text, arguments, p=p)

    # HAVING, ORDER BY, LIMIT

    def _tail(
        self, groups: tuple[Group, ...], items: tuple[Item, ...]
    ) -> tuple[tuple[tuple[str, str, str], ...], tuple[tuple[str, bool], ...], int | None]:
        # A correlation of +-1 is so only up to rounding, which must not decide what is shown.
        items = tuple(i for i in items if all(part.name != "corr" for part in i.parts))
        having = []
        if items and self.chance.random() < 0.35:
            for _ in range(self.chance.choice((1, 2))):
                operator = self.chance.choice((">", ">=", "<", "<=", "<>"))
                number = self.chance.choice(("0", "3", "20", "-1.5", "100"))
                having.append((self.chance.choice(items).alias, operator, number))
        if self.chance.random() < 0.5:
            return tuple(having), (), None
        keys = [(f"g{i}", self.chance.random() < 0.5) for i in range(len(groups))]
        first = [(self.chance.choice(items).alias, self.chance.random() < 0.5)] if items else []
        order = (first if self.chance.random() < 0.6 else []) + keys
        limit = self.chance.choice((None, 0, 1, 3, 10))
        return tuple(having), tuple(order), limit


def _rounding(shape: str, plain: str) -> str:
    """Return the reference of a function; over integers DuckDB's FLOOR and ROUND turn to floats."""
    exact = shape.startswith(("ROUND", "FLOOR", "CEIL"))
    return shape.format(f"({plain})::DECIMAL(19, 6)" if exact else plain)


def _small(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """Return groups of different expressions with at most a few hundred combinations."""
    kept: list[Group] = []
    cells = 1
    for group in groups:
        if all(g.expression != group.expression for g in kept) and cells * len(group.domain) <= 400:
            kept.append(group)
            cells *= len(group.domain)
    return tuple(kept)
