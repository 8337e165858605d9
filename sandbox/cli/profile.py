"""Which party acts: the folder given by --profile or SANDBOX_PROFILE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.errors import InputError
from sandbox.messages import text

if TYPE_CHECKING:
    from sandbox.crypto.identity import PublicIdentity

ProfileOption = Annotated[
    Path | None,
    typer.Option("--profile", metavar="DIR", envvar="SANDBOX_PROFILE", help=text("option.profile")),
]


def researcher_folder(profile: Path | None) -> Path:
    """Return the researcher's folder; a deployment's folder stands for the researcher in it."""
    return _folder(profile, "researcher")


def coordinator_folder(profile: Path | None) -> Path:
    """Return the coordinator's folder; a deployment's folder stands for the coordinator in it."""
    return _folder(profile, "coordinator")


def party_folder(profile: Path | None) -> Path:
    """Return the folder of exactly one party; raises InputError SB-1310, SB-1311."""
    return _folder(profile, "")


def accepted_by(folder: Path) -> Mapping[str, PublicIdentity]:
    """Return whom the owner of a party's folder accepts, by fingerprint; a node keeps them pinned."""
    from sandbox.crypto.identity import Role, load_public
    from sandbox.crypto.trust import Trust

    if load_public(folder).role is not Role.NODE:
        return Trust(folder).identities()
    from sandbox.cli.owner import opened

    with opened(folder) as vault:
        return vault.pins.identities()


def coordinator_of(folder: Path) -> tuple[str, PublicIdentity]:
    """Return address and identity of the coordinator of a node, a researcher or a supervisor.

    Raises InputError SB-3113 if the party does not accept the identity that its configuration names.
    """
    from sandbox.config import load_node, load_researcher
    from sandbox.crypto.identity import Role, load_public

    is_node = load_public(folder).role is Role.NODE
    config = load_node(folder) if is_node else load_researcher(folder)
    known = accepted_by(folder).get(config.coordinator_fingerprint)
    if known is None:
        raise InputError("SB-3113", fingerprint=config.coordinator_fingerprint)
    return config.coordinator, known


def _folder(profile: Path | None, part: str) -> Path:
    if profile is None:
        raise InputError("SB-1310")
    if (profile / "identity.json").is_file():
        return profile
    if part and (profile / part / "identity.json").is_file():
        return profile / part
    raise InputError("SB-1311", folder=str(profile))
