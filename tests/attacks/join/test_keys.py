"""Attack 40: keys that are one to people and two to machines, and the other way round."""

from __future__ import annotations

import duckdb

from sandbox.catalog import Column, ColumnType
from sandbox.crypto.join.keys import KeyHashes
from sandbox.sql.keys import key_sql, register

KEY = bytes(range(32))
PERSON = Column("id", ColumnType.TEXT, join_key=True)


def tags(texts: list[str | None], column: Column = PERSON) -> list[bytes | None]:
    """The pseudonyms of texts as a node reads them; None where a row has no key."""
    with duckdb.connect() as connection:
        register(connection)
        connection.execute("CREATE TABLE base (id VARCHAR, place BIGINT)")
        connection.executemany(
            "INSERT INTO base VALUES (?, ?)", [[t, n] for n, t in enumerate(texts)]
        )
        query = f"SELECT {key_sql(column)} AS key FROM base ORDER BY place"
        keys = connection.execute(query).to_arrow_table().combine_chunks().column(0).chunk(0)
    hashed = KeyHashes([keys], KEY)
    raw = bytes(memoryview(hashed.tags))
    found = [raw[at : at + 16] for at in range(0, len(raw), 16)]
    return [tag if there else None for tag, there in zip(found, hashed.present, strict=True)]


def test_attack_40_unicode_variants_of_one_key_are_one_row() -> None:
    composed, decomposed = "Zo\u00eb\u2075", "Zoe\u03085"
    wide, padded = "\uff3a\uff4f\u00eb5", "  Zo\u00eb5 "
    assert len(set(tags([composed, decomposed, wide, padded]))) == 1


def test_attack_40_keys_that_look_alike_and_differ_stay_apart() -> None:
    latin, cyrillic, zero = "CEO", "\u0421\u0415\u041e", "CE0"
    assert len(set(tags([latin, cyrillic, zero, "CEO.", "ceo"]))) == 5


def test_attack_40_rows_without_a_key_match_nothing_not_even_each_other() -> None:
    assert tags([None, "", "   ", None]) == [None] * 4
