"""Registering data: nothing is offered before every row has been held against its card."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from nodes import sources
from nodes.inspection import check_rows, open_source
from nodes.registry import Dataset, Registry
from nodes.sources import Source, ViewSource
from sandbox.catalog import DatasetCard
from sandbox.errors import InputError

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def register(
    registry: Registry, name: str, path: Path, card: DatasetCard, table: str | None = None
) -> Dataset:
    """Check all rows of a file or folder against `card` and offer them as `name`.

    Raises InputError SB-14xx naming file, line, column and cure; nothing is registered then.
    """
    source = open_source(path, table)
    _check(source, name, card)
    return registry.add(name, card, source, data_digest(source))


def register_view(registry: Registry, name: str, sql: str, card: DatasetCard) -> Dataset:
    """Offer the owner's own SQL over his other datasets as `name`; it spends their budgets."""
    inputs = tuple(
        (dataset.name, dataset.source)
        for dataset in registry.datasets()
        if re.search(rf"\b{dataset.name}\b", sql)
    )
    if not inputs:
        raise InputError("SB-1443", name=name)
    source = ViewSource(sql, inputs)
    _check(source, name, card)
    return registry.add(name, card, source, data_digest(source))


def replace_data(registry: Registry, name: str, path: Path, table: str | None = None) -> Dataset:
    """Put a new file under a dataset's name; card, policy and budget groups stay."""
    source = open_source(path, table)
    _check(source, name, registry.dataset(name).card)
    return registry.replace(name, source, data_digest(source))


def remove_dataset(registry: Registry, name: str) -> None:
    """Offer a dataset no longer; what it has lost stays counted."""
    registry.remove(name)


def data_digest(source: Source) -> str:
    """Return SHA-256 over the content of all files of a source, and a view's text."""
    total = hashlib.sha256()
    if isinstance(source, ViewSource):
        total.update(source.sql.encode() + b"\0")
    for file in sources.files(source):
        with Path(file.path).open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()


def _check(source: Source, name: str, card: DatasetCard) -> None:
    if not NAME.fullmatch(name):
        raise InputError("SB-1444", name=name)
    check_rows(source, card, name)
