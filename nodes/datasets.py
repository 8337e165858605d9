"""Registering data: nothing is offered before every row has been held against its card."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from nodes import sources
from nodes.inspection import Progress, check_rows, open_source, where
from nodes.registry import Dataset, Registry
from nodes.sources import Source, ViewSource
from nodes.views import read_view, rebuilt
from nodes.workers import TEMP
from sandbox.catalog import DatasetCard, card_to_document
from sandbox.crypto.identity import canonical, document_digest
from sandbox.errors import InputError
from sandbox.files import fault_of

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
CARD_KIND = "dataset-card"
"""Under which an owner who consents to a card names its digest."""

Consent = Callable[[str], object]
"""Asked of an owner once all is checked and before it counts: told the subject, raises to stop."""


def _given(_: str) -> None:
    return None


def register(
    registry: Registry,
    name: str,
    path: Path,
    card: DatasetCard,
    table: str | None = None,
    progress: Progress | None = None,
    consent: Consent = _given,
) -> Dataset:
    """Check all rows of a file, folder or view (.sql) against `card` and offer them as `name`.

    table: which one of a DuckDB file. A view spends the budgets of what it reads. consent is to name,
    card and rows. Raises InputError SB-14xx naming file, line, column and cure; nothing is registered
    then.
    """
    if not NAME.fullmatch(name):
        raise InputError("SB-1444", name=name)
    source = _open(registry, name, path, table)
    check_rows(source, card, name, _temp(registry), progress)
    version = data_digest(source, name)
    consent(f"{name}:{document_digest(CARD_KIND, canonical(card_to_document(card)))}:{version}")
    return registry.add(name, card, source, version)


def replace_data(
    registry: Registry,
    name: str,
    path: Path,
    table: str | None = None,
    progress: Progress | None = None,
    consent: Consent = _given,
) -> Dataset:
    """Put new rows under a dataset's name; card, policy and budget groups stay.

    Views over it read the new rows, which must fit their cards too, or nothing is replaced. consent
    is to name and rows.
    """
    cards = {dataset.name: dataset.card for dataset in registry.datasets()}
    registry.dataset(name)
    changed = {name: _open(registry, name, path, table)}
    changed |= _views_over(registry, changed)
    for each, source in changed.items():
        check_rows(source, cards[each], each, _temp(registry), progress)
    versions = {each: data_digest(source, each) for each, source in changed.items()}
    consent(f"{name}:{versions[name]}")
    registry.replace({each: (source, versions[each]) for each, source in changed.items()})
    return registry.dataset(name)


def remove_dataset(registry: Registry, name: str, consent: Consent = _given) -> None:
    """Offer a dataset no longer; what it has lost stays counted. Raises InputError SB-1414."""
    for dataset in registry.datasets():
        if isinstance(dataset.source, ViewSource) and name in dict(dataset.source.inputs):
            raise InputError("SB-1414", dataset=name, view=dataset.name)
    registry.dataset(name)
    consent(name)
    registry.remove(name)


def data_digest(source: Source, name: str) -> str:
    """Return SHA-256 over the content of all files of a source, and a view's text.

    Raises InputError SB-1465 if a file has changed since `source` described it.
    """
    total = hashlib.sha256()
    if isinstance(source, ViewSource):
        total.update(source.sql.encode() + b"\0")
    for file in sources.files(source):
        with Path(file.path).open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    if not sources.unchanged(source):
        raise InputError("SB-1465", path=where(source, name))
    return total.hexdigest()


def _temp(registry: Registry) -> Path:
    """Return where rows may be spilled: the node wipes it when it starts (nodes/workers.py)."""
    folder = registry.folder / TEMP
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _open(registry: Registry, name: str, path: Path, table: str | None) -> Source:
    if path.suffix.lower() != ".sql":
        return open_source(path, table)
    try:
        written = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError("SB-1400", path=str(path), reason=fault_of(error)) from None
    except UnicodeDecodeError:
        raise InputError("SB-1461", path=str(path), line=1) from None
    return read_view(written, {d.name: d.source for d in registry.datasets()}, name)


def _views_over(registry: Registry, changed: dict[str, Source]) -> dict[str, Source]:
    """Return every view that reads what changed, directly or below, over the new sources."""
    current = {dataset.name: dataset.source for dataset in registry.datasets()} | changed
    views: dict[str, Source] = {}
    # A view reads what was registered before it, so as many rounds as views reach every one.
    for _ in current:
        for name, source in current.items():
            if isinstance(source, ViewSource) and name not in changed:
                fresh = rebuilt(source, current)
                if fresh != source:
                    current[name] = views[name] = fresh
    return views
