"""Random statements over the plants, each with what plain SQL over the union has to answer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from tests.sql.expressions import Expressions
from tests.sql.plants import DATASETS, KINDS, LAST_DAY, LINES
from tests.sql.statements import Aggregate, Group, Item, Statement, Written


@dataclass
class Generator:
    """Statements from a seed. `tables`: names that FROM may use."""

    chance: random.Random
    tables: tuple[str, ...] = ("machines", *DATASETS)

    def __post_init__(self) -> None:
        self._over = Expressions(self.chance)

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
            self._over.condition(2) if one else Written.same("TRUE"),
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
        self._over.derived = False
        table = self.chance.choice((*self.tables, "machines", "machines"))
        kind = self.chance.random()
        if kind < 0.5:
            return self.chance.choice((table, f"{table} AS m")), "", True
        if kind < 0.65:
            pair = self.chance.sample(DATASETS, 2)
            union = " UNION ALL ".join(f"SELECT * FROM {name}" for name in pair)
            return f"({union}) AS u", "", False
        self._over.derived = True
        inner = f"SELECT *, torque * 2 AS twice FROM {table} WHERE {self._over.plain_condition()}"
        if kind < 0.85:
            return f"({inner}) AS t", "", True
        return "t", f"WITH t AS ({inner}) ", True

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
        x = self._over.modest()
        if shape < 0.85:
            name, text = self.chance.choice(
                (("var_samp", "VARIANCE"), ("var_samp", "VAR_SAMP"), ("var_pop", "VAR_POP"),
                 ("stddev_samp", "STDDEV"), ("stddev_samp", "STDDEV_SAMP"), ("stddev_pop", "STDDEV_POP"))
            )  # fmt: skip
            return self._filtered(name, f"{text}({x.text})", (x.plain,))
        y = self._over.modest()
        name = self.chance.choice(("covar_pop", "covar_samp", "corr"))
        return self._filtered(name, f"{name.upper()}({x.text}, {y.text})", (x.plain, y.plain))

    def _counting(self) -> Aggregate:
        shape = self.chance.random()
        if shape < 0.5:
            return self._filtered("count", "COUNT(*)", ())
        if shape < 0.6:
            met = self._over.condition(1)
            return Aggregate("count", f"COUNT_IF({met.text})", (), met.plain)
        x = self.chance.choice((self._over.number(1), Written.same("note"), Written.same("seen")))
        return self._filtered("count", f"COUNT({x.text})", (x.plain,))

    def _sum_like(self) -> Aggregate:
        x = self._over.quotient() if self.chance.random() < 0.12 else self._over.number()
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
            met = self._over.condition(1)
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


def _small(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """Return groups of different expressions with at most a few hundred combinations."""
    kept: list[Group] = []
    cells = 1
    for group in groups:
        if all(g.expression != group.expression for g in kept) and cells * len(group.domain) <= 400:
            kept.append(group)
            cells *= len(group.domain)
    return tuple(kept)
