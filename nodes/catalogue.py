"""What a node offers: its datasets, policies and collections, signed with its own key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from nodes.registry import Dataset, Registry
from nodes.vault import Vault
from sandbox.catalog import card_to_document, schema_of
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical
from sandbox.privacy.policy_file import policy_toml
from sandbox.tables import (
    COLLECTION_KIND,
    DATASET_KIND,
    POLICY_KIND,
    Entry,
    dataset_body,
    holds,
    policy_body,
    read_catalogue,
    read_dataset,
)


class OwnCatalogue:
    """The node's part of the catalogue, read from the vault whenever it is asked for."""

    def __init__(self, identity: Identity, vault: Vault, registry: Registry) -> None:
        self._identity = identity
        # A text has one signature by a key: what stands is not signed again whenever it is read.
        self._sign = lru_cache(maxsize=256)(identity.sign_bytes)
        self._vault = vault
        self._registry = registry

    def datasets(self) -> list[Signed]:
        """Return one signed document for each dataset."""
        return [self._offered(dataset) for dataset in self._registry.datasets()]

    def policies(self) -> list[Signed]:
        """Return each dataset's policy as a researcher may read it."""
        return [
            self._signed(
                POLICY_KIND,
                policy_body(dataset.name, policy_toml(self._registry.policy(dataset.name))),
            )
            for dataset in self._registry.datasets()
        ]

    def collections(self) -> Sequence[Signed]:
        """Return every owner's signature under the collections this node is a member of."""
        return self._registry.collections()

    def entries(self, cards: Sequence[Signed] = ()) -> dict[str, Entry]:
        """Return the tables a job may name here: own datasets, collections all of whose members'
        owners have signed and are pinned, and what pinned nodes signed in the job's `cards`, unless it
        is of this node.

        What an owner signed of a collection counts while his datasets have the card he signed.
        Raises InputError SB-1470, naming the node, for a card of a pinned one that is malformed: a job
        can do without what it does not read.
        """
        own = self._identity.public.fingerprint
        nodes = self._nodes()
        others = [card for card in cards if card.signer != own and card.kind == DATASET_KIND]
        for card in others:
            if card.signer in nodes and holds(card, nodes[card.signer]):
                read_dataset(card, nodes[card.signer])
        theirs = read_catalogue([card for card in cards if card.kind == COLLECTION_KIND], nodes)
        # A collection that this node is a member of counts as its owner has it, who may have left it.
        foreign = {
            name: entry
            for name, entry in theirs.items()
            if all(member.node != own for member in entry.table.members)
        }
        datasets = self._registry.datasets()
        offered = map(self._offered, datasets)
        ours = read_catalogue([*others, *offered, *self.collections()], nodes)
        read = {**foreign, **ours}
        schemas = {dataset.name: schema_of(dataset.card) for dataset in datasets}
        return {
            name: entry
            for name, entry in read.items()
            if all(
                schemas.get(member.dataset) == schema_of(entry.table.card)
                for member in entry.table.members
                if member.node == own
            )
        }

    def _offered(self, dataset: Dataset) -> Signed:
        return self._signed(
            DATASET_KIND, dataset_body(dataset.name, card_to_document(dataset.card))
        )

    def _signed(self, kind: str, body: Mapping[str, object]) -> Signed:
        return self._sign(kind, canonical(body))

    def _nodes(self) -> dict[str, PublicIdentity]:
        own = self._identity.public
        pinned = self._vault.pins.identities()
        nodes = {name: peer for name, peer in pinned.items() if peer.role is Role.NODE}
        return {**nodes, own.fingerprint: own}
