"""Which of a card's columns a fragment reads, under which names, and which rows then break the card."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sandbox.catalog import Column, DatasetCard
from sandbox.sql.bind import column_name
from sandbox.sql.columns import reading


def columns_used(card: DatasetCard, sqls: Iterable[str]) -> list[Column]:
    """Return the card's columns that pieces of SQL name, outside of quoted text."""
    texts = re.sub(r"'(?:[^']|'')*'", "", " ".join(sqls))
    named = set(re.findall(r"\bc\d+\b", texts))
    return [c for c in card.columns if column_name(card, c) in named]


def read_columns(card: DatasetCard, columns: Iterable[Column]) -> str:
    """Return the items of a SELECT that read `columns` under the names that expressions use."""
    return "".join(f", {reading(c)} AS {column_name(card, c)}" for c in columns)


def keeping_the_card(card: DatasetCard, columns: Iterable[Column]) -> list[str]:
    """Return the conditions under which a row breaks nothing that the card says of `columns`."""
    return [f"{column_name(card, c)} IS NOT NULL" for c in columns if not c.nullable]
