"""The signed catalogue: which tables there are, who vouches for them, and by which digest a job
names them.

A dataset is offered by a document of its node; a collection by one body that every member's owner
signed. Nobody else can add a table: the coordinator only hands the documents on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.catalog import Collection, DatasetCard, Member, Table, card_from_document
from sandbox.crypto.identity import PublicIdentity, Role, Signed, verify
from sandbox.errors import SandboxError
from sandbox.privacy.policy import Policy
from sandbox.privacy.policy_file import parse_policy

DATASET_KIND = "dataset"
COLLECTION_KIND = "collection"
POLICY_KIND = "policy"


@dataclass(frozen=True)
class Entry:
    """One table of the catalogue and the digest of the document that declares it.

    `signed`: that document, of a dataset; a collection's owners each sign their own.
    """

    table: Table
    digest: str
    signed: Signed | None = None


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

    A dataset is "node.dataset". A collection counts only with a valid signature of every member.
    Whatever is signed by somebody else, or does not verify, is left out.
    """
    entries: dict[str, Entry] = {}
    signatures: dict[bytes, dict[str, Signed]] = defaultdict(dict)
    for signed in documents:
        signer = trusted.get(signed.signer)
        if signer is None or signer.role is not Role.NODE:
            continue
        if signed.kind == COLLECTION_KIND and _holds(signed, signer):
            signatures[signed.body][signed.signer] = signed
        elif signed.kind == DATASET_KIND and _holds(signed, signer):
            entry = _dataset(signed, signer)
            entries[entry.table.name] = entry
    for body, signers in signatures.items():
        collection = Collection.from_document(json.loads(body))
        if {member.node for member in collection.members} <= set(signers):
            digest = next(iter(signers.values())).digest
            entries[collection.name] = Entry(collection.table(), digest)
    return entries


def read_policies(
    documents: Iterable[Signed], trusted: Mapping[str, PublicIdentity]
) -> dict[Member, Policy]:
    """Return the policy of each dataset as its trusted node published it."""
    policies: dict[Member, Policy] = {}
    for signed in documents:
        signer = trusted.get(signed.signer)
        if signed.kind == POLICY_KIND and signer is not None and _holds(signed, signer):
            body = json.loads(signed.body)
            member = Member(signed.signer, body["dataset"])
            policies[member] = parse_policy(body["policy"], body["dataset"])
    return policies


def _holds(signed: Signed, signer: PublicIdentity) -> bool:
    try:
        verify(signed, signer, signed.kind)
    except SandboxError:
        return False
    return True


def _dataset(signed: Signed, node: PublicIdentity) -> Entry:
    body = json.loads(signed.body)
    card: DatasetCard = card_from_document(body["card"])
    name = f"{node.name}.{body['dataset']}"
    table = Table(name, card, (Member(node.fingerprint, body["dataset"]),))
    return Entry(table, signed.digest, signed)
