"""What a published workload consists of: tables and their owners, statements, known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.catalog import Collection, Column, ColumnType, DatasetCard, Member, Table

Rows = list[tuple[object, ...]]
OCCURRING = (
    "A group of a declared domain is released even where no row is in it; HAVING leaves it out."
)


@dataclass(frozen=True)
class Dataset:
    """What an owner's node offers: a file of the workload, or `view`, his SQL over his others."""

    owner: str
    card: DatasetCard
    file: str = ""
    view: str = ""

    @property
    def name(self) -> str:
        """The name in FROM."""
        return f"{self.owner}.{self.card.name}"


@dataclass(frozen=True)
class Statement:
    """A published statement and what our nodes are asked.

    `text`: as published, with its tables in braces. `ours`: what is asked where that must differ, for
    the reason `why`; of several, each yields one number, and their sum is the answer. `known`: the
    answer as its publisher prints it.
    """

    name: str
    text: str
    ours: tuple[str, ...] = ()
    why: str = ""
    known: Rows | None = None

    def published(self, workload: Workload) -> str:
        """Return the statement over all tables in one place."""
        return self.text.format_map({name: name for name in workload.names})

    def asked(self, workload: Workload) -> tuple[str, ...]:
        """Return the statements that our nodes are asked."""
        return tuple(text.format_map(workload.names) for text in self.ours or (self.text,))


@dataclass(frozen=True)
class Workload:
    """`names`: what the tables of the statements are called at our nodes. `files`: writes what nodes
    read into a folder, from the folder of the published data, and returns it by table. `union`: SQL
    that defines further tables of the published statements over those. `collections`: datasets of one
    schema that are asked as one table."""

    name: str
    datasets: tuple[Dataset, ...]
    names: Mapping[str, str]
    statements: tuple[Statement, ...]
    files: Callable[[Path, Path], dict[str, Path]]
    union: tuple[str, ...] = ()
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def owners(self) -> tuple[str, ...]:
        """All owners, each once."""
        return tuple(dict.fromkeys(dataset.owner for dataset in self.datasets))

    def catalogue(self, fingerprints: Mapping[str, str]) -> dict[str, Table]:
        """Return what FROM can name; fingerprints: of the owners' nodes."""
        tables = {
            d.name: Table(d.name, d.card, (Member(fingerprints[d.owner], d.card.name),))
            for d in self.datasets
        }
        for name in self.collections:
            tables[name] = self.collection(name, fingerprints).table()
        return tables

    def collection(self, name: str, fingerprints: Mapping[str, str]) -> Collection:
        """Return a collection as its owners sign it."""
        members = [d for d in self.datasets if d.name in self.collections[name]]
        signed = tuple(Member(fingerprints[d.owner], d.card.name) for d in members)
        return Collection(name, members[0].card, signed)


def occurring(text: str) -> str:
    """Return a grouped statement that asks for the groups with rows alone."""
    body, order, rest = text.partition("ORDER BY")
    return f"{body.rstrip()} HAVING COUNT(*) > 0 {order}{rest}".rstrip()


def text(name: str, *domain: str, key: bool = False, nullable: bool = False) -> Column:
    """Return a column of text."""
    return Column(name, ColumnType.TEXT, domain=domain, join_key=key, nullable=nullable)
