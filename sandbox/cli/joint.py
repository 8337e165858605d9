"""Collections on their way from owner to owner: one file, one signature for each member."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nodes.owners import Act
from sandbox.catalog import Collection, Member, schema_of
from sandbox.cli.owner import opened, registry
from sandbox.cli.owners import authorise
from sandbox.crypto.identity import (
    Identity,
    Role,
    Signed,
    canonical,
    document_digest,
    load_public,
)
from sandbox.errors import InputError
from sandbox.files import read_text
from sandbox.messages import text
from sandbox.tables import COLLECTION_KIND


@dataclass(frozen=True)
class Proposal:
    """A collection, the file (or node's folder) it is kept in, and the owners' signatures so far."""

    file: Path
    collection: Collection
    signatures: tuple[Signed, ...]

    @property
    def complete(self) -> bool:
        """Whether every member's owner has signed."""
        signers = {signed.signer for signed in self.signatures}
        return {member.node for member in self.collection.members} <= signers


def propose(
    folder: Path,
    name: str,
    dataset: str,
    others: Sequence[str],
    file: Path,
    owner: Path | None = None,
) -> Proposal:
    """Propose a collection over the card of `dataset`; sign it here, and at members given as folders.

    others: FOLDER:DATASET or FINGERPRINT:DATASET. owner: the folder of an owner of every node here.
    """
    with registry(folder) as known:
        card = replace(known.dataset(dataset).card, name=name)
    members = [Member(load_public(folder).fingerprint, dataset)]
    local: list[Path] = []
    for other in others:
        place, _, there = other.rpartition(":")
        if not place:
            raise InputError("SB-1370", member=other)
        if Path(place).is_dir():
            local.append(Path(place))
            members.append(Member(load_public(Path(place)).fingerprint, there))
        else:
            members.append(Member(place, there))
    proposal = Proposal(file, Collection(name, card, tuple(members)), ())
    for signer in (folder, *local):
        proposal = _signed(proposal, signer, owner)
    _write(proposal)
    for signer in (folder, *local):
        _store(proposal, signer)
    return proposal


def sign(folder: Path, file: Path, owner: Path | None = None) -> Proposal:
    """Sign a proposal as the owner in `folder` and store what is signed so far at his node."""
    proposal = _signed(read(file), folder, owner)
    _write(proposal)
    _store(proposal, folder)
    return proposal


def read(file: Path) -> Proposal:
    """Read a proposal's file; raises InputError SB-1300 (unreadable), SB-1371 if it is none."""
    written = read_text(file)
    try:
        content = json.loads(written)
        collection = Collection.from_document(json.loads(content["collection"]))
        signatures = tuple(Signed.from_document(signed) for signed in content["signatures"])
    except (ValueError, KeyError, TypeError):
        raise InputError("SB-1371", file=str(file)) from None
    return Proposal(file, collection, signatures)


def kept(folder: Path, name: str) -> Proposal:
    """Return the collection `name` as the node in `folder` keeps it, in its most signed form.

    Raises InputError SB-1388 with the names it has.
    """
    with registry(folder) as known:
        documents = known.collections()
    forms: dict[bytes, list[Signed]] = {}
    for signed in documents:
        forms.setdefault(signed.body, []).append(signed)
    named = [form for body, form in forms.items() if json.loads(body)["name"] == name]
    if not named:
        there = sorted({json.loads(body)["name"] for body in forms})
        raise InputError("SB-1388", name=name, known=", ".join(there) or "-")
    signatures = max(named, key=len)
    collection = Collection.from_document(json.loads(signatures[0].body))
    return Proposal(folder, collection, tuple(signatures))


def _signed(proposal: Proposal, folder: Path, owner: Path | None) -> Proposal:
    identity = Identity.load(folder)
    if identity.public.role is not Role.NODE:
        role = text(f"role.{identity.public.role.value}")
        raise InputError("SB-1333", folder=str(folder), role=role)
    own = identity.public.fingerprint
    members = proposal.collection.members
    datasets = [member.dataset for member in members if member.node == own]
    if not datasets:
        raise InputError("SB-1372", name=identity.public.name)
    if len(set(members)) != len(members):
        raise InputError("SB-3280", name=proposal.collection.name)
    for dataset in datasets:
        with registry(folder) as known:
            card = known.dataset(dataset).card
        if schema_of(card) != schema_of(proposal.collection.card):
            raise InputError("SB-1373", dataset=dataset, name=identity.public.name)
    others = tuple(signed for signed in proposal.signatures if signed.signer != own)
    digest = document_digest(COLLECTION_KIND, canonical(proposal.collection.to_document()))
    with opened(folder) as vault:
        authorise(vault, folder, owner, Act.SIGN_COLLECTION, digest)
    signature = identity.sign(COLLECTION_KIND, proposal.collection.to_document())
    return replace(proposal, signatures=(*others, signature))


def _store(proposal: Proposal, folder: Path) -> None:
    with registry(folder) as known:
        for signed in proposal.signatures:
            known.store_collection(signed)


def _write(proposal: Proposal) -> None:
    content = {
        "collection": json.dumps(proposal.collection.to_document()),
        "signatures": [signed.to_document() for signed in proposal.signatures],
    }
    proposal.file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
