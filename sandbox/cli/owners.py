"""`sandbox node owner`: who answers for a node; and the passphrase that opens an owner's key.

A key under a passphrase is asked for it on the terminal, or finds it in SANDBOX_PASSPHRASE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption, party_folder
from sandbox.cli.terminal import Format, FormatOption, say, show_rows
from sandbox.errors import InputError
from sandbox.messages import text

if TYPE_CHECKING:
    from nodes.owners import Act
    from nodes.vault import Vault
    from sandbox.crypto.identity import Signed

PASSPHRASE = "SANDBOX_PASSPHRASE"  # noqa: S105 - the variable's name

app = Commands(
    "owner",
    help=text("help.node.owner.root"),
    epilog=examples(
        "sandbox node owner list --profile plant/nodes/a",
    ),
)

AsOption = Annotated[Path | None, typer.Option("--as", metavar="DIR", help=text("option.as_owner"))]


@app.command(
    "add",
    help=text("help.node.owner.add"),
    epilog=examples(
        "sandbox identity new mei --role owner --profile mei",
        "sandbox node owner add mei/identity.json --profile plant/nodes/a",
    ),
)
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("option.owner_file"))],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Register an owner."""
    from nodes.owners import Act, Owners
    from sandbox.cli.lookup import identity_in
    from sandbox.cli.owner import opened

    added = identity_in(file)
    folder = party_folder(profile)
    with opened(folder) as vault:
        signed = signature(folder, owner, Act.ADD_OWNER, added.fingerprint)
        Owners(vault, _node(folder)).add(added, signed)
    say("node.owner_added", name=added.name, fingerprint=added.fingerprint)


@app.command(
    "remove",
    help=text("help.node.owner.remove"),
    epilog=examples("sandbox node owner remove FINGERPRINT --as mei --profile plant/nodes/a"),
)
def remove(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help=text("option.fingerprint"))
    ],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Take an owner's registration back."""
    from nodes.owners import Act, Owners
    from sandbox.cli.owner import opened

    folder = party_folder(profile)
    with opened(folder) as vault:
        signed = signature(folder, owner, Act.REMOVE_OWNER, fingerprint)
        Owners(vault, _node(folder)).remove(fingerprint, signed)
    say("node.owner_removed", fingerprint=fingerprint)


@app.command(
    "list",
    help=text("help.node.owner.list"),
    epilog=examples("sandbox node owner list --profile plant/nodes/a"),
)
def list_owners(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """List a node's owners."""
    from nodes.owners import Owners
    from sandbox.cli.owner import opened

    folder = party_folder(profile)
    with opened(folder) as vault:
        found = Owners(vault, _node(folder)).registered()
    rows = [{"name": each.name, "fingerprint": key} for key, each in sorted(found.items())]
    show_rows(format, "owners", rows, ("name", "fingerprint"))


def authorise(vault: Vault, folder: Path, owner: Path | None, act: Act, subject: str) -> str:
    """Return the fingerprint of who answers for an act at the node in `folder`.

    owner: the folder of the owner's identity, or None. Raises what Owners.authorise raises.
    """
    from nodes.owners import Owners

    signed = signature(folder, owner, act, subject)
    return Owners(vault, _node(folder)).authorise(act, subject, signed)


def signature(folder: Path, owner: Path | None, act: Act, subject: str) -> Signed | None:
    """Return the owner's signature under an act at the node in `folder`; None without an owner."""
    import time

    from nodes.owners import sign_act
    from sandbox.crypto.identity import Identity

    if owner is None:
        return None
    identity = Identity.load(owner, passphrase())
    return sign_act(identity, _node(folder), act, subject, int(time.time()))


def passphrase() -> str:
    """Return the passphrase of an owner's key; raises InputError SB-3267 where none can be asked."""
    if PASSPHRASE in os.environ:
        return os.environ[PASSPHRASE]
    if not sys.stdin.isatty():
        raise InputError("SB-3267")
    return str(typer.prompt(text("owner.passphrase"), hide_input=True, err=True))


def new_passphrase() -> str:
    """Return a passphrase typed twice; raises InputError SB-3268 if the two differ."""
    first = passphrase()
    if PASSPHRASE not in os.environ and passphrase() != first:
        raise InputError("SB-3268")
    return first


def _node(folder: Path) -> str:
    from sandbox.crypto.identity import load_public

    return load_public(folder).fingerprint
