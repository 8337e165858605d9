"""A side of a join as its members run it: the columns of its rows, and the factors summed per key."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.catalog import Column
from sandbox.sql.algebra import Factor, FactorKind, Fragment, KeyColumn, RowColumn, Side
from sandbox.sql.joins import JoinedTable
from sandbox.sql.joint import ONE, Piece
from sandbox.sql.keys import keyed_rows
from sandbox.sql.reads import columns_used, keeping_the_card, read_columns


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

    def factor(self, part: Piece | Presence) -> int:
        """Return the index of the factor that is `part`. Raises TooWide beyond 64 bits."""
        piece = part if isinstance(part, Piece) else part.piece
        assert piece.sql
        return self._factors.setdefault(part, len(self._factors))

    def group(self, sql: str, values: int) -> str:
        """Return the name of the row column that holds a group's position."""
        self._groups.setdefault(sql, values)
        return f"g{list(self._groups).index(sql)}"

    def side(
        self, table: JoinedTable, keys: tuple[Column, ...], groups: tuple[int, ...], cells: int
    ) -> Side:
        """Return the finished side; `keys`: the card's columns; `cells`: of its own groups."""
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
            factors.append(Factor(names[_piece(part)], min(lower, 0), upper, kind))
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
            groups,
            key_columns,
            min(c.multiplicity for c in keys),
            tuple(factors),
            absent_cell=cells - 1 if table.optional else None,
        )


def _piece(part: Piece | Presence) -> Piece:
    return part if isinstance(part, Piece) else part.piece
