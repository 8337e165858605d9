"""Join keys in the one form in which providers compare them.

Integers are BIGINT; dates and times are days and seconds since 1970-01-01. Text is brought to
Unicode NFKC, without blanks around it, and then to what the card's normaliser says. What has no such
form is NULL and matches nothing. A key is neither clamped nor held to a domain.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.sql.algebra import KeyColumn
from sandbox.sql.columns import identifier, unit

if TYPE_CHECKING:
    import duckdb

NFKC = "nfkc"
"""The DuckDB function that `register` adds; only text beyond ASCII is handed to it."""
KEY_TYPES = (ColumnType.INTEGER, ColumnType.TEXT, ColumnType.DATE, ColumnType.TIMESTAMP)
NORMALISERS = {
    "": "{}",
    "lower": "lower({})",
    "email": "lower({})",
    "phone": "regexp_replace(regexp_replace({}, '[^0-9]', '', 'g'), '^00', '')",
    "serial": "upper(regexp_replace({}, '[^A-Za-z0-9]', '', 'g'))",
}
"""By the card's name for it. phone: digits, an international prefix 00 or + left out; serial: letters
and digits, upper case."""


def key_sql(column: Column) -> str:
    """Return the DuckDB text that reads a key column from its source; total over any value."""
    source = identifier(column.name)
    if column.type is ColumnType.INTEGER:
        return f"TRY_CAST({source} AS BIGINT)"
    if column.type is ColumnType.DATE:
        value = f"TRY_CAST({source} AS DATE)"
        return f"CASE WHEN isfinite({value}) THEN ({value} - DATE '1970-01-01')::BIGINT END"
    if column.type is ColumnType.TIMESTAMP:
        value = f"TRY_CAST({source} AS TIMESTAMPTZ)"
        return f"CASE WHEN isfinite({value}) THEN floor(epoch({value}))::BIGINT END"
    text = text_sql(column)
    # DuckDB's trim reads character by character; most ASCII keys have no blank at all.
    blank = f"contains({text}, ' ')"
    trimmed = (
        f"CASE WHEN strlen({text}) <> length({text}) THEN trim({NFKC}({text})) "
        f"WHEN {blank} THEN trim({text}) ELSE {text} END"
    )
    return f"nullif({NORMALISERS[column.normaliser].format(trimmed)}, '')"


def text_sql(column: Column) -> str:
    """Return the DuckDB text that reads a key column as text, in no form but the source's."""
    return f"TRY_CAST({identifier(column.name)} AS VARCHAR)"


def unicode_keys(card: DatasetCard, named: Sequence[KeyColumn]) -> list[tuple[KeyColumn, Column]]:
    """Return the text keys that have no normaliser: most values of theirs are in canonical form."""
    columns = {column.name: column for column in card.columns}
    return [
        (key, columns[key.name])
        for key in named
        if key.type is ColumnType.TEXT and not columns[key.name].normaliser
    ]


def plain_sql(sql: str, card: DatasetCard, named: Sequence[KeyColumn]) -> str:
    """Return a side's SQL of all its rows with `unicode_keys` as the source has them; empty if there are
    none. Where all that it yields are plain (crypto/join/keys.py), `sql` yields the same rows.

    To bring text to its canonical form takes a tenth of reading, and most text needs it not.
    """
    plain = sql
    for key, column in unicode_keys(card, named):
        canonical, text = key_sql(column), text_sql(column)
        plain = plain.replace(f"{canonical} AS {key.sql}", f"{text} AS {key.sql}")
    return plain if plain != sql else ""


def keyed_rows(
    card: DatasetCard,
    named: Sequence[KeyColumn],
    keys: Sequence[Column],
    read: str,
    computed: str,
    kept: Sequence[str] = (),
) -> str:
    """Return rows with their unit and key: `read` and `computed` as items of a SELECT, `kept` filters.

    A unit that is a column of the key is read as the key is: then all rows of a key are one unit's.
    """
    own = next((k.sql for k in named if k.name == card.privacy_unit), None)
    keyed = ", ".join(f"{key_sql(c)} AS {k.sql}" for k, c in zip(named, keys, strict=True))
    base = f"SELECT {keyed}{'' if own else f', {unit(card)} AS unit'}{read} FROM base"
    names = ", ".join(k.sql for k in named)
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    return f"SELECT {own or 'unit'} AS unit, {names}{computed} FROM ({base}){where}"


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Add to a DuckDB session the function that key texts beyond ASCII need."""
    text = "VARCHAR"
    connection.create_function(NFKC, _nfkc, [text], text)


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
