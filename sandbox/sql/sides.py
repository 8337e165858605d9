"""A side of a join as its members run it: the columns of its rows, and the factors summed per key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from sandbox.catalog import Column
from sandbox.sql.algebra import Factor, FactorKind, Fragment, KeyColumn, RowColumn, Side
from sandbox.sql.joins import JoinedTable
from sandbox.sql.joint import ONE, Piece, Verdict
from sandbox.sql.jointrows import literals
from sandbox.sql.keys import keyed_rows
from sandbox.sql.measures import Group
from sandbox.sql.reads import columns_used, keeping_the_card, read_columns
from sandbox.sql.scalar import Scalar


@dataclass(frozen=True)
class Presence:
    """Whether a key has a row where `piece` is 1: ANY or FOUND."""

    piece: Piece
    kind: FactorKind


class Columns:
    """Collects what one table's rows must yield: factors and groups, none of them twice."""

    def __init__(self) -> None:
        self._factors: dict[Piece | Presence, int] = {}
        self._groups: dict[str, int] = {}
        self._equal: dict[str, dict[str, int]] = {}
        """For each group's column, the position that a condition `value = literal` leaves."""

    def factor(self, part: Piece | Presence) -> int:
        """Return the index of the factor that is `part`. Raises TooWide beyond 64 bits."""
        piece = part if isinstance(part, Piece) else part.piece
        assert piece.sql
        return self._factors.setdefault(part, len(self._factors))

    def group(self, sql: str, value: Scalar, values: int) -> str:
        """Return the name of the row column that holds the position `sql` of `value`."""
        self._groups.setdefault(sql, values)
        name = f"g{list(self._groups).index(sql)}"
        possible = literals(value) or ()
        self._equal[name] = {f"({value.sql} = {v})": n for n, v in enumerate(possible)}
        return name

    def side(
        self, table: JoinedTable, keys: tuple[Column, ...], groups: Mapping[int, Group]
    ) -> Side:
        """Return the finished side; `keys`: the card's columns; `groups`: its own, by their place."""
        card = table.table.card
        sqls = {piece: piece.sql for piece in dict.fromkeys(map(_piece, self._factors))}
        used = columns_used(card, [*sqls.values(), *self._groups])
        # Rows that break the card stay, as all do, but count nothing: how many there are is no
        # business of the coordinator.
        whole = " AND ".join(keeping_the_card(card, used))
        columns: list[RowColumn] = []
        names: dict[Piece, str] = {}
        for piece, sql in sqls.items():
            lower, upper = piece.bounds
            if piece == ONE and not whole:
                names[piece] = "1"
                continue
            counted = f"CASE WHEN {whole} THEN {sql} ELSE 0::BIGINT END" if whole else sql
            names[piece] = f"f{len(columns)}"
            columns.append(RowColumn(names[piece], counted, min(lower, 0), upper, nullable=False))
        factors = []
        for part in self._factors:
            lower, upper = _piece(part).bounds
            kind = part.kind if isinstance(part, Presence) else FactorKind.SUM
            cells = self._cells(_piece(part), list(groups.values()))
            factors.append(Factor(names[_piece(part)], min(lower, 0), upper, kind, cells))
        for n, (sql, values) in enumerate(self._groups.items()):
            columns.append(RowColumn(f"g{n}", sql, 0, values - 1, nullable=True))
        key_columns = tuple(KeyColumn(c.name, c.type, f"key{n}") for n, c in enumerate(keys))
        computed = "".join(f", {c.sql} AS {c.name}" for c in columns)
        read = read_columns(card, used)
        rows_sql = keyed_rows(card, key_columns, keys, read, computed)
        names_read = tuple(c.name for c in card.columns if c in used or c in keys)
        return Side(
            table.name,
            table.table,
            Fragment(rows_sql, names_read, card.contribution_cap, tuple(columns)),
            tuple(groups),
            key_columns,
            min(c.multiplicity for c in keys),
            tuple(factors),
            absent_cell=prod(len(g.values) for g in groups.values()) - 1
            if table.optional
            else None,
        )

    def _cells(self, piece: Piece, groups: list[Group]) -> frozenset[int] | None:
        """Return the own cells that a piece's conditions leave, None if they say nothing of groups.

        A piece that no cell is left to keeps the first: it is zero there as everywhere.
        """
        true = {sql for sql, verdict in piece.conditions if verdict is Verdict.TRUE}
        left, free = [], True
        for group in groups:
            asked = [n for sql, n in self._equal[group.column].items() if sql in true]
            free &= not asked
            values = range(len(group.values))
            left.append([n for n in values if all(n == position for position in asked)])
        if free:
            return None
        cells = set()
        for positions in product(*left):
            cell = 0
            for group, position in zip(groups, positions, strict=True):
                cell = cell * len(group.values) + position
            cells.add(cell)
        return frozenset(cells or {0})


def _piece(part: Piece | Presence) -> Piece:
    return part if isinstance(part, Piece) else part.piece
