"""Datasets that need no rows: a card, and sources that are only named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nodes.sources import DuckDBSource, Source, SourceFile
from sandbox.catalog import Column, ColumnType, DatasetCard

CARD = DatasetCard(
    name="t",
    columns=(Column("id", ColumnType.INTEGER),),
    privacy_unit="id",
    row_bound=100,
)


def card(unit_domain: str = "") -> DatasetCard:
    """Return the card, its privacy units in a domain."""
    return replace(CARD, unit_domain=unit_domain)


def source_of(name: str) -> Source:
    """Return a file that nobody opens."""
    return DuckDBSource(SourceFile(str(Path("/nowhere") / name), 0, 0), "t")
