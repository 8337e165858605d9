"""Random numbers and conditions over the plants."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.sql.statements import Written


@dataclass
class Expressions:
    """Expressions from a seed. derived: whether the source has the column `twice`."""

    chance: random.Random
    derived: bool = False

    # Numbers

    def number(self, depth: int = 2) -> Written:
        """Return an expression of at most six decimal digits."""
        if depth == 0 or self.chance.random() < 0.25:
            return self._leaf()
        return self.chance.choice(self._operations())(depth - 1)

    def modest(self) -> Written:
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
        condition, a, b = self.condition(1), self.number(depth), self.number(depth)
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

    def quotient(self) -> Written:
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

    def plain_condition(self) -> str:
        return self.chance.choice(
            ("speed > 1200", "kind <> 'H'", "NOT failed", "torque IS NOT NULL", "price <= 90.25")
        )

    def condition(self, depth: int) -> Written:
        shape = self.chance.random()
        if depth and shape < 0.25:
            a, b = self.condition(depth - 1), self.condition(depth - 1)
            word = self.chance.choice(("AND", "OR"))
            return Written(f"({a.text} {word} {b.text})", f"({a.plain} {word} {b.plain})")
        if depth and shape < 0.32:
            a = self.condition(depth - 1)
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


def _rounding(shape: str, plain: str) -> str:
    """Return the reference of a function; over integers DuckDB's FLOOR and ROUND turn to floats."""
    exact = shape.startswith(("ROUND", "FLOOR", "CEIL"))
    return shape.format(f"({plain})::DECIMAL(19, 6)" if exact else plain)
