"""`sandbox identity`: make one's own keys, show what others pin, back up a result key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption, researcher_folder
from sandbox.cli.terminal import Format, FormatOption, say, show_facts
from sandbox.messages import text

app = Commands(
    "identity",
    help=text("help.identity.root"),
    epilog=examples(
        "sandbox identity show --profile plant/researcher",
        "sandbox identity backup keys.tar --profile plant/researcher",
    ),
)


@app.command(
    "new",
    help=text("help.identity.new"),
    epilog=examples("sandbox identity new north --role node --profile north"),
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help=text("option.name"))],
    role: Annotated[str, typer.Option("--role", help=text("option.own_role"))],
    profile: Annotated[
        Path,
        typer.Option(
            "--profile", metavar="DIR", envvar="SANDBOX_PROFILE", help=text("option.new_profile")
        ),
    ],
    format: FormatOption = Format.TABLE,
) -> None:
    """Make an identity."""
    from sandbox.crypto.identity import Identity, Role
    from sandbox.errors import InputError

    if role not in {known.value for known in Role}:
        raise InputError("SB-1330", role=role, known=", ".join(known.value for known in Role))
    identity = Identity.generate(name, Role(role))
    if identity.public.role is Role.OWNER:
        from sandbox.cli.owners import new_passphrase

        identity.save(profile, new_passphrase())
    else:
        identity.save(profile)
    _show(profile, format)


@app.command(
    "show",
    help=text("help.identity.show"),
    epilog=examples("sandbox identity show --profile plant"),
)
def show(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """Show an identity."""
    _show(researcher_folder(profile), format)


@app.command(
    "backup",
    help=text("help.identity.backup"),
    epilog=examples("sandbox identity backup keys.tar --profile plant/researcher"),
)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("option.backup_file"))],
    profile: ProfileOption = None,
) -> None:
    """Copy the private keys."""
    from sandbox.cli.backup import write_backup

    kept = write_backup(researcher_folder(profile), file)
    say("identity.backed_up", file=file, kept=_folded(kept))


@app.command(
    "restore",
    help=text("help.identity.restore"),
    epilog=examples("sandbox identity restore keys.tar --profile plant/researcher"),
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("option.backup_file"))],
    profile: Annotated[
        Path,
        typer.Option(
            "--profile", metavar="DIR", envvar="SANDBOX_PROFILE", help=text("option.new_profile")
        ),
    ],
) -> None:
    """Put private keys back."""
    from sandbox.cli.backup import read_backup

    kept = read_backup(file, profile)
    say("identity.restored", folder=profile, kept=_folded(kept))


def _folded(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(name.partition("/")[0] for name in names))


def _show(folder: Path, format: Format) -> None:
    from sandbox.crypto.identity import load_public

    public = load_public(folder)
    facts = {
        "name": public.name,
        "role": public.role.value,
        "fingerprint": public.fingerprint,
        "folder": str(folder),
    }
    show_facts(format, facts)
