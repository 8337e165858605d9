"""Which party acts: the folder given by --profile or SANDBOX_PROFILE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.errors import InputError
from sandbox.messages import text

ProfileOption = Annotated[
    Path | None,
    typer.Option("--profile", envvar="SANDBOX_PROFILE", help=text("option.profile")),
]


def researcher_folder(profile: Path | None) -> Path:
    """Return the researcher's folder; a deployment's folder stands for the researcher in it."""
    return _folder(profile, "researcher")


def supervisor_folder(profile: Path | None) -> Path:
    """Return the supervisor's folder; a deployment's folder stands for the supervisor in it."""
    return _folder(profile, "supervisor")


def coordinator_folder(profile: Path | None) -> Path:
    """Return the coordinator's folder; a deployment's folder stands for the coordinator in it."""
    return _folder(profile, "coordinator")


def party_folder(profile: Path | None) -> Path:
    """Return the folder of exactly one party; raises InputError SB-1310, SB-1311."""
    return _folder(profile, "")


def _folder(profile: Path | None, part: str) -> Path:
    if profile is None:
        raise InputError("SB-1310")
    if (profile / "identity.json").is_file():
        return profile
    if part and (profile / part / "identity.json").is_file():
        return profile / part
    raise InputError("SB-1311", folder=str(profile))
