"""What an owner does at his node, through the node's own database: the node may be running."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes.owners import Act
from nodes.vault import Vault
from sandbox.cli.lookup import identity_of
from sandbox.cli.owners import authorise
from sandbox.crypto.identity import Identity, PublicIdentity, Role
from sandbox.errors import InputError
from sandbox.files import fault_of
from sandbox.messages import text

if TYPE_CHECKING:
    from nodes.registry import Registry
    from sandbox.privacy.policy import Policy


@contextmanager
def opened(folder: Path) -> Iterator[Vault]:
    """Open the vault of the node in `folder`; raises InputError SB-1333 for another role."""
    identity = Identity.load(folder)
    if identity.public.role is not Role.NODE:
        role = text(f"role.{identity.public.role.value}")
        raise InputError("SB-1333", folder=str(folder), role=role)
    vault = Vault.open(folder, identity)
    try:
        yield vault
    finally:
        vault.close()


def pin(folder: Path, who: str, owner: Path | None = None) -> PublicIdentity:
    """Pin the identity with fingerprint `who`, or in the file `who`; return it.

    Raises InputError SB-1334 if nobody has it.
    """
    identity = identity_of(folder, who)
    with opened(folder) as vault:
        authorise(vault, folder, owner, Act.TRUST, identity.fingerprint)
        vault.pins.pin(identity)
    return identity


def unpin(folder: Path, fingerprint: str, owner: Path | None = None) -> None:
    """Take a pin back; raises InputError if it was none."""
    with opened(folder) as vault:
        authorise(vault, folder, owner, Act.UNTRUST, fingerprint)
        vault.pins.revoke(fingerprint)


def pins(folder: Path) -> list[dict[str, str]]:
    """Return whom the owner has pinned."""
    with opened(folder) as vault:
        known = vault.pins.identities()
    return [
        {"role": identity.role.value, "name": identity.name, "fingerprint": fingerprint}
        for fingerprint, identity in sorted(
            known.items(), key=lambda pinned: (pinned[1].role.value, pinned[1].name)
        )
    ]


def override(folder: Path, reason: str, owner: Path | None = None) -> None:
    """Let the node release without a witness; logged with the reason."""
    with opened(folder) as vault:
        authorise(vault, folder, owner, Act.OVERRIDE_WITNESS, reason)
        vault.log.override_witness(reason)


# Datasets


def draft_card(
    file: Path,
    table: str | None,
    name: str | None,
    unit: str | None,
    bounds: list[str],
    row_bound: int | None,
) -> str:
    """Return the draft of a card for a file. table: which one of a DuckDB file."""
    from nodes import drafting
    from nodes.inspection import open_source

    given = drafting.parse_bounds(bounds)
    source = open_source(file, table)
    return drafting.draft_card(source, name or _dataset_name(file), unit, given, row_bound)


def add(folder: Path, file: Path, card: Path, table: str | None, owner: Path | None = None) -> str:
    """Register a file (or, with .sql, a view) under a card; return the dataset's name."""
    from nodes.datasets import register
    from nodes.registry import Registry
    from sandbox.cards import read_card
    from sandbox.cli.terminal import shown_progress

    written = read_card(card)
    with opened(folder) as vault, shown_progress(text("node.checking")) as progress:
        consent = partial(authorise, vault, folder, owner, Act.ADD_DATASET)
        register(Registry(vault), written.name, file, written, table, progress, consent)
    return written.name


def replace(
    folder: Path, name: str, file: Path, table: str | None, owner: Path | None = None
) -> None:
    """Put new rows under a dataset's name."""
    from nodes.datasets import replace_data
    from nodes.registry import Registry
    from sandbox.cli.terminal import shown_progress

    with opened(folder) as vault, shown_progress(text("node.checking")) as progress:
        consent = partial(authorise, vault, folder, owner, Act.REPLACE_DATA)
        replace_data(Registry(vault), name, file, table, progress, consent)


def remove(folder: Path, name: str, owner: Path | None = None) -> None:
    """Withdraw a dataset."""
    from nodes.datasets import remove_dataset
    from nodes.registry import Registry

    with opened(folder) as vault:
        consent = partial(authorise, vault, folder, owner, Act.REMOVE_DATASET)
        remove_dataset(Registry(vault), name, consent)


def registered(folder: Path) -> list[dict[str, Any]]:
    """Return what is registered at a node."""
    with registry(folder) as known:
        return [
            {
                "name": dataset.name,
                "source": type(dataset.source).__name__.removesuffix("Source").lower(),
                "columns": len(dataset.card.columns),
                "group": list(dataset.groups),
            }
            for dataset in known.datasets()
        ]


# Policy


def current_policy(folder: Path, dataset: str = "") -> tuple[int, str]:
    """Return the version and text of the policy in force."""
    from sandbox.privacy.policy_file import policy_toml

    with registry(folder) as known:
        policy = known.policy(known.dataset(dataset).name if dataset else dataset)
    return policy.version, policy_toml(policy)


def set_policy(folder: Path, file: Path, dataset: str = "", owner: Path | None = None) -> int:
    """Put the policy in a file in force and return its version."""
    from nodes.registry import Registry

    policy, content = _policy(file)
    digest = hashlib.sha256(content).hexdigest()
    with opened(folder) as vault:
        known = Registry(vault)
        if dataset:
            known.dataset(dataset)
        authorise(vault, folder, owner, Act.SET_POLICY, f"{dataset}:{digest}")
        known.set_policy(dataset, policy)
    return policy.version


def read_policy(file: Path) -> Policy:
    """Read a policy file; raises InputError naming file, line and key."""
    policy, _ = _policy(file)
    return policy


def _policy(file: Path) -> tuple[Policy, bytes]:
    """Return a file's policy and its bytes, of which owners sign the digest."""
    from sandbox.privacy.policy_file import parse_policy

    try:
        content = file.read_bytes()
        written = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("SB-1300", file=str(file), reason=fault_of(error)) from None
    return parse_policy(written, str(file)), content


# Approvals


def waiting_approvals(folder: Path) -> list[dict[str, Any]]:
    """Return the jobs that wait for this owner."""
    from nodes.approvals import waiting_jobs

    with opened(folder) as vault:
        return [vars(job) for job in waiting_jobs(vault)]


def decide(
    folder: Path, job: str, reason: str, owner: Path | None = None, *, approved: bool
) -> None:
    """Approve or reject a waiting job in the owner's name."""
    from nodes.approvals import approve, reject

    with opened(folder) as vault:
        act = Act.APPROVE if approved else Act.REJECT
        approver = authorise(vault, folder, owner, act, job)
        (approve if approved else reject)(vault, job, approver, reason)


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Open a node's registrations."""
    from nodes.registry import Registry

    with opened(folder) as vault:
        yield Registry(vault)


def _dataset_name(file: Path) -> str:
    import re

    return re.sub(r"[^a-z0-9_]+", "_", file.stem.lower()).strip("_") or "dataset"
