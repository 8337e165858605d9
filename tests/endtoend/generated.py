"""Generated statements over the town's joined tables, and how they are asked of real nodes."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sandbox.client import Session
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan
from tests.sql.joincomparison import assert_duckdbs
from tests.sql.joinforms import forms, too_large
from tests.sql.joingenerator import NOTES, ORDERS, PEOPLE, WEEKLY, JoinGenerator, Statement
from tests.sql.town import Town, catalogue

AT_ONCE = 8
EPSILON, DELTA = 20, "1e-6"
"""Much, so that few dummies are needed: they take time, and nothing is hidden here."""


@dataclass(frozen=True)
class Batch:
    """`count` statements of one kind, asked in one way."""

    count: int
    seed: int
    draw: Callable[[random.Random], Callable[[], Statement]]
    malicious: bool = False
    verify: bool = False

    def drawn(self) -> list[tuple[Statement, Plan]]:
        """Return the statements with their plans, without those that are too large for any job."""
        draw, tables = self.draw(random.Random(self.seed)), catalogue()
        found: list[tuple[Statement, Plan]] = []
        while len(found) < self.count:
            statement = draw()
            planned = plan(statement.text, tables)
            if not too_large(planned):
                found.append((statement, planned))
        return found

    def forms(self, planned: Plan) -> set[str]:
        """Return what a statement of this batch is an example of."""
        asked = {"malicious"} if self.malicious else {"verified"} if self.verify else {"plain"}
        return {str(planned.mode and planned.mode.value), *asked, *forms(planned)}

    def equals_duckdbs(self, session: Session, town: Town) -> None:
        """Ask all statements, some at once, and hold every answer against DuckDB's own."""

        def check(statement: Statement) -> None:
            result = session.sql(statement.text).run(
                epsilon=EPSILON, delta=DELTA, malicious=self.malicious, verify=self.verify
            )
            reference = town.connection.cursor()
            text, groups, plain = statement.text, statement.groups, statement.plain
            assert_duckdbs(reference, result.answer, text, groups, plain)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = [threads.submit(check, statement) for statement, _ in self.drawn()]
            for answer in asked:
                answer.result()


TWO_TABLES = {
    "plain": Batch(110, 1, lambda chance: JoinGenerator(chance, (2,)).statement),
    "verified": Batch(
        35,
        2,
        lambda chance: JoinGenerator(chance, (2,), (PEOPLE, ORDERS, NOTES)).statement,
        verify=True,
    ),
    "two columns": Batch(20, 3, lambda chance: JoinGenerator(chance, (2,), WEEKLY).statement),
}
OTHERS = {
    "many tables": Batch(
        30, 13, lambda chance: JoinGenerator(chance, (3, 3, 3, 4, 4, 5)).statement
    ),
    "semi-joins": Batch(50, 5, lambda chance: JoinGenerator(chance).semi_join),
    "malicious": Batch(45, 6, lambda chance: JoinGenerator(chance).semi_join, malicious=True),
    "semi-joins, two columns": Batch(
        12, 7, lambda chance: JoinGenerator(chance, among=WEEKLY).semi_join
    ),
}
