"""`sandbox coordinator`: run one, and invite parties to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption, coordinator_folder
from sandbox.cli.terminal import Format, FormatOption, remark, say, show_facts, show_json
from sandbox.errors import InputError
from sandbox.messages import text

app = Commands(
    "coordinator",
    help=text("help.coordinator.root"),
    epilog=examples(
        "sandbox coordinator init hub",
        "sandbox coordinator serve hub",
        "sandbox coordinator invite --role node --name north --profile hub",
    ),
)


@app.command(
    "init",
    help=text("help.coordinator.init"),
    epilog=examples(
        "sandbox coordinator init hub --name hub --listen 0.0.0.0:7400 --enrol-listen 0.0.0.0:7401",
        "sandbox coordinator serve hub/coordinator",
        "sandbox coordinator invite --role node --name north --address hub.example:7401 --profile hub",
    ),
)
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("option.deployment"))],
    name: Annotated[str, typer.Option("--name", help=text("option.name"))] = "coordinator",
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help=text("option.listen"))
    ] = "127.0.0.1:7400",
    enrol_listen: Annotated[
        str, typer.Option("--enrol-listen", metavar="HOST:PORT", help=text("option.enrol_listen"))
    ] = "127.0.0.1:7401",
    format: FormatOption = Format.TABLE,
) -> None:
    """Make a coordinator and its certificate authority."""
    from sandbox.local import make_coordinator

    party = make_coordinator(folder, name, listen, enrol_listen)
    facts = {
        "name": name,
        "role": "coordinator",
        "fingerprint": party.identity.fingerprint,
        "folder": str(party.folder),
    }
    show_facts(format, facts)


@app.command(
    "serve",
    help=text("help.coordinator.serve"),
    epilog=examples("sandbox coordinator serve hub/coordinator"),
)
def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help=text("option.party_folder"))
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Run it in the foreground."""
    from sandbox.coordinator.server import serve as run

    raise typer.Exit(run(coordinator_folder(folder or profile)))


@app.command(
    "invite",
    help=text("help.coordinator.invite"),
    epilog=examples(
        "sandbox coordinator invite --role node --name d --profile hub",
        "sandbox coordinator invite --role node --name d --renew --profile hub",
    ),
)
def invite(
    role: Annotated[str, typer.Option("--role", help=text("option.role"))],
    name: Annotated[str, typer.Option("--name", help=text("option.name"))],
    hours: Annotated[
        float, typer.Option("--hours", min=0.01, max=720, help=text("option.hours"))
    ] = 24,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help=text("option.enrol_address")),
    ] = None,
    renew: Annotated[bool, typer.Option("--renew", help=text("option.renew"))] = False,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Print a one-time token."""
    from sandbox.coordinator.enrolment import invite as make
    from sandbox.crypto.identity import Role

    roles = (Role.NODE, Role.RESEARCHER, Role.SUPERVISOR)
    if role not in roles:
        raise InputError("SB-1330", role=role, known=", ".join(roles))
    token = make(coordinator_folder(profile), Role(role), name, hours * 3600, address, renew=renew)
    if format is Format.JSON:
        show_json(role=role, name=name, hours=hours, token=token)
        return
    remark("coordinator.invited", role=text(f"role.{role}"), name=name, hours=hours)
    typer.echo(token)


@app.command(
    "renew",
    help=text("help.coordinator.renew"),
    epilog=examples("sandbox coordinator renew hub"),
)
def renew(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help=text("option.party_folder"))
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Give the coordinator a new certificate."""
    from sandbox.local import renew_coordinator

    own = coordinator_folder(folder or profile)
    renewed = renew_coordinator(own)
    say("coordinator.renewed", name=renewed.name, date=renewed.not_after.date(), folder=own)
