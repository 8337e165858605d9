"""What a node's owner has registered: datasets, their budget groups, policies, collections.

Everything is in the vault and every change is an entry of its log. A budget group is a base dataset
with all views over it, all copies of its data, and all datasets that share its privacy units' domain:
whatever is reached under another name spends the same budget (docs/threat-model.md).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from nodes import sources
from nodes.sources import Source, ViewSource
from nodes.vault import Vault
from sandbox.audit.logrows import EntryKind
from sandbox.catalog import DatasetCard, card_from_document, card_to_document
from sandbox.crypto.identity import Role, Signed, canonical, parse
from sandbox.database import Connection, Row
from sandbox.errors import InputError
from sandbox.privacy.policy import Policy, default_policy
from sandbox.privacy.policy_file import parse_policy, policy_toml

NODE_DEFAULT = ""
"""The dataset name under which the node's own default policy is kept."""


class DatasetState(StrEnum):
    """Whether a dataset can be asked. A removed one keeps its name and its budget groups."""

    OFFERED = "offered"
    REMOVED = "removed"


@dataclass(frozen=True)
class Dataset:
    """A registered dataset. `groups`: the budget groups it spends; `version`: digest of its data."""

    name: str
    card: DatasetCard
    source: Source
    groups: tuple[str, ...]
    version: str


class Registry:
    """The owner's registrations in a vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.folder = vault.database.file.parent
        """The node's folder."""

    def known_as(self, node: str) -> tuple[str, ...]:
        """Return how a policy may call a node: its fingerprint, and the name under which the owner
        pinned it if he pinned no other node of that name."""
        pinned = self._vault.pins.identities()
        names = [one.name for one in pinned.values() if one.role is Role.NODE]
        known = pinned.get(node)
        alone = known is not None and names.count(known.name) == 1
        return (node, known.name) if known is not None and alone else (node,)

    # Datasets

    def dataset(self, name: str) -> Dataset:
        """Return one offered dataset; raises InputError SB-1440 with the nearest name, or SB-1393."""
        with self._vault.database.read() as connection:
            row = connection.execute(
                "SELECT * FROM datasets WHERE state = 'offered' AND name = :name", {"name": name}
            ).fetchone()
            if row is not None:
                return _dataset(connection, row)
        known = [dataset.name for dataset in self.datasets()]
        if not known:
            raise InputError("SB-1393", name=name)
        near = difflib.get_close_matches(name, known, 1, 0.0)
        raise InputError("SB-1440", name=name, nearest=near[0])

    def datasets(self) -> list[Dataset]:
        """Return all offered datasets, by name."""
        with self._vault.database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM datasets WHERE state = 'offered' ORDER BY name"
            ).fetchall()
            return [_dataset(connection, row) for row in rows]

    def add(self, name: str, card: DatasetCard, source: Source, version: str) -> Dataset:
        """Offer a new dataset. Raises InputError SB-1441 if the name is taken, removed ones too."""
        with self._vault.database.write("add_dataset") as connection:
            taken = connection.execute(
                "SELECT state FROM datasets WHERE name = :name", {"name": name}
            ).scalar()
            if taken == DatasetState.OFFERED:
                raise InputError("SB-1441", name=name)
            self._store(connection, name, card, source, version)
        return self.dataset(name)

    def replace(self, changed: Mapping[str, tuple[Source, str]]) -> None:
        """Put other rows, and their digest, under datasets' names, all at once.

        Their budget groups stay, and may only grow.
        """
        cards = {name: self.dataset(name).card for name in changed}
        with self._vault.database.write("replace_data") as connection:
            for name, (source, version) in changed.items():
                self._store(connection, name, cards[name], source, version)

    def remove(self, name: str) -> None:
        """Offer a dataset no longer; what it has lost stays counted."""
        self.dataset(name)
        with self._vault.database.write("remove_dataset") as connection:
            connection.execute(
                "UPDATE datasets SET state = 'removed' WHERE name = :name", {"name": name}
            )
            self._vault.log.write(
                connection, EntryKind.DATASET, {"name": name, "state": DatasetState.REMOVED.value}
            )

    def _store(
        self, connection: Connection, name: str, card: DatasetCard, source: Source, version: str
    ) -> None:
        document = canonical(card_to_document(card))
        connection.execute(
            "INSERT INTO datasets VALUES (:name, :card, :source, :version, 'offered', :now)"
            " ON CONFLICT (name) DO UPDATE SET card = :card, source = :source,"
            " version = :version, state = 'offered', changed = :now",
            {
                "name": name,
                "card": document,
                "source": json.dumps(sources.to_document(source)),
                "version": version,
                "now": self._vault.now_s(),
            },
        )
        connection.execute(
            "INSERT OR IGNORE INTO known_data VALUES (:version, :name)",
            {"version": version, "name": name},
        )
        body = {"name": name, "card": card_to_document(card), "version": version}
        self._vault.log.write(connection, EntryKind.DATASET, body)
        for group in self._groups(connection, name, card, source, version):
            connection.execute(
                "INSERT OR IGNORE INTO budget_groups VALUES (:name, :group)",
                {"name": name, "group": group},
            )

    def _groups(
        self,
        connection: Connection,
        name: str,
        card: DatasetCard,
        source: Source,
        version: str,
    ) -> set[str]:
        """Return every budget group the dataset belongs to."""
        groups = set(_groups_of(connection, [name]))
        if card.unit_domain:
            groups.add(f"unit:{card.unit_domain}")
        copies = connection.execute(
            "SELECT dataset FROM known_data WHERE digest = :version AND dataset <> :name",
            {"version": version, "name": name},
        ).scalars()
        related = [*copies, *(_inputs(source))]
        groups |= set(_groups_of(connection, related))
        return groups or {f"data:{name}"}

    # Policies

    def policy(self, dataset: str) -> Policy:
        """Return the newest policy of a dataset; else the node's default, else nobody may ask."""
        with self._vault.database.read() as connection:
            for name in (dataset, NODE_DEFAULT):
                newest = connection.execute(
                    "SELECT document FROM policies WHERE dataset = :name"
                    " ORDER BY version DESC LIMIT 1",
                    {"name": name},
                ).scalar()
                if newest is not None:
                    return _policy(bytes(newest), name)
        return default_policy()

    def set_policy(self, dataset: str, policy: Policy) -> None:
        """Put a policy in force; logged. Raises InputError SB-1442 unless its version is newer."""
        with self._vault.database.write("set_policy") as connection:
            newest = connection.execute(
                "SELECT MAX(version) FROM policies WHERE dataset = :name",
                {"name": dataset},
            ).scalar()
            if policy.version <= (newest or 0):
                raise InputError("SB-1442", version=policy.version, newest=newest or 0)
            text = policy_toml(policy)
            connection.execute(
                "INSERT INTO policies VALUES (:name, :version, :document, :now)",
                {
                    "name": dataset,
                    "version": policy.version,
                    "document": text.encode(),
                    "now": self._vault.now_s(),
                },
            )
            body = {"dataset": dataset, "version": policy.version, "policy": text}
            self._vault.log.write(connection, EntryKind.POLICY, body)

    def budget_policies(self, group: str) -> list[Policy]:
        """Return the policies of all datasets that ever spent a budget group: each binds it."""
        with self._vault.database.read() as connection:
            names = connection.execute(
                "SELECT dataset FROM budget_groups WHERE budget_group = :group",
                {"group": group},
            ).scalars()
            return [self.policy(name) for name in names]

    # Collections

    def collections(self) -> list[Signed]:
        """Return every owner's signature under the collections known here."""
        with self._vault.database.read() as connection:
            documents = connection.execute(
                "SELECT document FROM collections ORDER BY name, signer"
            ).scalars()
            return [Signed.from_document(parse(bytes(document))) for document in documents]

    def store_collection(self, signed: Signed) -> None:
        """Keep one owner's signature under a collection; a newer one of his replaces it."""
        with self._vault.database.write("store_collection") as connection:
            connection.execute(
                "INSERT INTO collections VALUES (:name, :signer, :document, :now)"
                " ON CONFLICT (name, signer) DO UPDATE SET document = :document, stored = :now",
                {
                    "name": json.loads(signed.body)["name"],
                    "signer": signed.signer,
                    "document": canonical(signed.to_document()),
                    "now": self._vault.now_s(),
                },
            )
            body = {"collection": signed.digest, "signer": signed.signer}
            self._vault.log.write(connection, EntryKind.COLLECTION, body)


def _dataset(connection: Connection, row: Row) -> Dataset:
    return Dataset(
        row["name"],
        _card(bytes(row["card"])),
        sources.from_document(json.loads(row["source"])),
        tuple(sorted(_groups_of(connection, [row["name"]]))),
        row["version"],
    )


# Every step of every job reads cards and policies; their texts change seldom.


@lru_cache(maxsize=256)
def _card(document: bytes) -> DatasetCard:
    return card_from_document(parse(document))


@lru_cache(maxsize=256)
def _policy(document: bytes, dataset: str) -> Policy:
    return parse_policy(document.decode(), dataset)


def _groups_of(connection: Connection, names: Iterable[str]) -> list[str]:
    return [
        group
        for name in names
        for group in connection.execute(
            "SELECT budget_group FROM budget_groups WHERE dataset = :name", {"name": name}
        ).scalars()
    ]


def _inputs(source: Source) -> list[str]:
    """Return the datasets that a view reads, those below its views included."""
    if not isinstance(source, ViewSource):
        return []
    return [found for name, below in source.inputs for found in (name, *_inputs(below))]
