"""The signed catalogue: which tables there are, who vouches for them, and by which digest a job
names them.

A dataset is offered by a document of its node; a collection by one body that every member's owner
signed. Nobody else can add a table: the coordinator only hands the documents on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

from sandbox.catalog import Collection, DatasetCard, Member, Table, card_from_document
from sandbox.crypto.identity import PublicIdentity, Role, Signed, verify
from sandbox.errors import InputError, SandboxError
from sandbox.privacy.policy import Policy
from sandbox.privacy.policy_file import parse_policy

DATASET_KIND = "dataset"
COLLECTION_KIND = "collection"
POLICY_KIND = "policy"
REMEMBERED_BYTES = 1 << 16
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One table of the catalogue and the digest of the document that declares it.

    `signed`: that document, once for each owner who signed it.
    """

    table: Table
    digest: str
    signed: tuple[Signed, ...] = ()


Catalogue = Mapping[str, Entry]


def dataset_body(name: str, card: dict[str, object]) -> dict[str, object]:
    """Return the body by which a node offers its dataset `name`."""
    return {"version": 1, "dataset": name, "card": card}


def policy_body(name: str, policy: str) -> dict[str, object]:
    """Return the body by which a node publishes the policy (TOML) of its dataset `name`."""
    return {"version": 1, "dataset": name, "policy": policy}


def read_catalogue(
    documents: Iterable[Signed], trusted: Mapping[str, PublicIdentity]
) -> dict[str, Entry]:
    """Return the tables that trusted nodes vouch for, by the name that SQL uses.

    A dataset is "node.dataset". A collection, whose name has no dot, counts only with a valid
    signature of every member; of two with one name that of more members counts. Whatever is signed
    by somebody else, does not verify or cannot be understood is left out: no node can spoil the
    catalogue of others.
    """
    entries: dict[str, Entry] = {}
    signatures: dict[bytes, dict[str, Signed]] = defaultdict(dict)
    for signed in documents:
        signer = trusted.get(signed.signer)
        if signer is None or signer.role is not Role.NODE or not holds(signed, signer):
            continue
        if signed.kind == COLLECTION_KIND:
            signatures[signed.body][signed.signer] = signed
        elif signed.kind == DATASET_KIND:
            with suppress(InputError):
                offered = read_dataset(signed, signer)
                entries[offered.table.name] = offered
    found = [entry for signers in signatures.values() if (entry := _collection(signers))]
    for entry in sorted(found, key=lambda entry: (len(entry.table.members), entry.digest)):
        entries[entry.table.name] = entry
    return entries


def read_policies(
    documents: Iterable[Signed], trusted: Mapping[str, PublicIdentity]
) -> dict[Member, Policy]:
    """Return the policy of each dataset as its trusted node published it, where it can be read."""
    policies: dict[Member, Policy] = {}
    for signed in documents:
        signer = trusted.get(signed.signer)
        if signer is None or signed.kind != POLICY_KIND or not holds(signed, signer):
            continue
        try:
            body = json.loads(signed.body)
            dataset, written = str(body["dataset"]), str(body["policy"])
            policies[Member(signed.signer, dataset)] = parse_policy(written, dataset)
        except (InputError, ValueError, KeyError, TypeError):
            continue
    return policies


def holds(signed: Signed, signer: PublicIdentity) -> bool:
    """Tell whether `signer` signed this very document."""
    try:
        _verify(signed, signer)
    except SandboxError:
        return False
    return True


def _kept(found_in: Callable[[Signed, PublicIdentity], T]) -> Callable[[Signed, PublicIdentity], T]:
    """Find once what follows from a document's bytes alone: the same come with every job. Large ones are
    not remembered, or one node could fill its peers' memory with them."""
    remembered = lru_cache(maxsize=256)(found_in)

    @wraps(found_in)
    def find(signed: Signed, node: PublicIdentity) -> T:
        return (remembered if len(signed.body) <= REMEMBERED_BYTES else found_in)(signed, node)

    return find


@_kept
def _verify(signed: Signed, signer: PublicIdentity) -> None:
    verify(signed, signer, signed.kind)


@_kept
def read_dataset(signed: Signed, node: PublicIdentity) -> Entry:
    """Return the table that `node` offers by a document of its own; raises InputError SB-1470 if its
    card is malformed. The signature is not checked."""
    try:
        body = json.loads(signed.body)
        dataset = str(body["dataset"])
        card: DatasetCard = card_from_document(body["card"])
    except (InputError, ValueError, KeyError, TypeError):
        raise InputError("SB-1470", node=node.name, digest=signed.digest[:16]) from None
    table = Table(f"{node.name}.{dataset}", card, (Member(node.fingerprint, dataset),))
    return Entry(table, signed.digest, (signed,))


def _collection(signers: Mapping[str, Signed]) -> Entry | None:
    """Return the collection that all of `signers` signed, if these are all of its members."""
    signed = next(iter(signers.values()))
    try:
        collection = Collection.from_document(json.loads(signed.body))
    except (InputError, ValueError, AttributeError):
        return None
    members = {member.node for member in collection.members}
    if len(set(collection.members)) != len(collection.members):
        return None  # Rows of a member listed twice would count twice.
    if not members or not members <= set(signers) or "." in collection.name:
        return None
    return Entry(
        collection.table(), signed.digest, tuple(signers[node] for node in sorted(members))
    )
