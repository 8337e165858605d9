"""`sandbox node`: a provider's everyday acts on his node's folder.

They work through the node's own database, so a running node needs no administrative port.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli import owners
from sandbox.cli.help import Commands, examples
from sandbox.cli.owners import AsOption
from sandbox.cli.policy import app as policy
from sandbox.cli.profile import ProfileOption, party_folder
from sandbox.cli.terminal import Format, FormatOption, say, show_rows
from sandbox.messages import text

app = Commands(
    "node",
    help=text("help.node.root"),
    epilog=examples(
        "sandbox node inspect meters.csv --unit meter_id > meters.toml",
        "sandbox node add-dataset plant/nodes/a meters.csv --card meters.toml",
        "sandbox node policy show --profile plant/nodes/a > policy.toml",
    ),
)
app.add_typer(policy)
app.add_typer(owners.app)

NodeFolder = Annotated[Path, typer.Argument(metavar="DIR", help=text("option.node_folder"))]
Source = Annotated[Path, typer.Argument(metavar="FILE", help=text("option.source"))]
SourceTable = Annotated[str | None, typer.Option("--table", help=text("option.source_table"))]
Dataset = Annotated[str, typer.Argument(metavar="NAME", help=text("option.dataset"))]


@app.command(
    "serve", help=text("help.node.serve"), epilog=examples("sandbox node serve plant/nodes/a")
)
def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help=text("option.party_folder"))
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Run a node in the foreground."""
    from nodes.server import serve as run

    raise typer.Exit(run(party_folder(folder or profile)))


@app.command(
    "join",
    help=text("help.node.join"),
    epilog=examples(
        "sandbox node join TOKEN --profile north --listen 0.0.0.0:7410 --address north.example:7410"
    ),
)
def join(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help=text("option.token"))],
    profile: Annotated[
        Path,
        typer.Option(
            "--profile", metavar="DIR", envvar="SANDBOX_PROFILE", help=text("option.new_profile")
        ),
    ],
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help=text("option.listen"))
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help=text("option.address"))
    ] = None,
) -> None:
    """Exchange a one-time token for a certificate."""
    from sandbox.cli.joining import join as enrol
    from sandbox.config import HOST, require_address
    from sandbox.crypto.identity import Role
    from sandbox.local import free_ports

    listen = listen or f"{HOST}:{free_ports(1)[0]}"
    require_address(listen)
    joined = enrol(token, profile, (Role.NODE,), listen, address or listen)
    say("node.joined", name=joined.name, fingerprint=joined.fingerprint, folder=profile)


@app.command(
    "inspect",
    help=text("help.node.inspect"),
    epilog=examples(
        "sandbox node inspect meters.csv --unit meter_id --bounds kwh=0:500 --row-bound 1000"
        " > meters.toml"
    ),
)
def inspect(
    file: Source,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="COLUMN", help=text("option.unit"))
    ] = None,
    bounds: Annotated[
        list[str] | None,
        typer.Option("--bounds", metavar="COLUMN=LOWER:UPPER", help=text("option.bounds")),
    ] = None,
    row_bound: Annotated[
        int | None,
        typer.Option("--row-bound", metavar="ROWS", min=1, help=text("option.row_bound")),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help=text("option.dataset"))] = None,
    table: SourceTable = None,
) -> None:
    """Draft a dataset card; what leaks if read off the data is left for the owner to fill in."""
    from sandbox.cli.owner import draft_card

    typer.echo(draft_card(file, table, name, unit, bounds or [], row_bound))


@app.command(
    "add-dataset",
    help=text("help.node.add_dataset"),
    epilog=examples("sandbox node add-dataset plant/nodes/a meters.csv --card meters.toml"),
)
def add_dataset(
    folder: NodeFolder,
    file: Source,
    card: Annotated[Path, typer.Option("--card", metavar="FILE", help=text("option.card"))],
    table: SourceTable = None,
    owner: AsOption = None,
) -> None:
    """Register a dataset under its card."""
    from sandbox.cli.owner import add

    say("node.added", name=add(party_folder(folder), file, card, table, owner))


@app.command(
    "replace-data",
    help=text("help.node.replace_data"),
    epilog=examples("sandbox node replace-data plant/nodes/a meters meters-2027.csv"),
)
def replace_data(
    folder: NodeFolder,
    name: Dataset,
    file: Source,
    table: SourceTable = None,
    owner: AsOption = None,
) -> None:
    """Put new rows under an old card; the budget group stays the same."""
    from sandbox.cli.owner import replace

    replace(party_folder(folder), name, file, table, owner)
    say("node.replaced", name=name)


@app.command(
    "remove-dataset",
    help=text("help.node.remove_dataset"),
    epilog=examples("sandbox node remove-dataset plant/nodes/a meters"),
)
def remove_dataset(folder: NodeFolder, name: Dataset, owner: AsOption = None) -> None:
    """Withdraw a dataset; what was spent on its budget group stays spent."""
    from sandbox.cli.owner import remove

    remove(party_folder(folder), name, owner)
    say("node.removed", name=name)


@app.command(
    "datasets",
    help=text("help.node.datasets"),
    epilog=examples("sandbox node datasets plant/nodes/a"),
)
def datasets(folder: NodeFolder, format: FormatOption = Format.TABLE) -> None:
    """List a node's datasets."""
    from sandbox.cli.owner import registered

    rows = registered(party_folder(folder))
    show_rows(format, "datasets", rows, ("name", "source", "columns", "group"))


@app.command(
    "trust",
    help=text("help.node.trust"),
    epilog=examples(
        "sandbox node trust fs1k3…q7 --profile plant/nodes/a",
        "sandbox node trust plant/researcher/identity.json --profile plant/nodes/a",
    ),
)
def trust(
    who: Annotated[str, typer.Argument(metavar="FINGERPRINT", help=text("option.who"))],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Pin a peer or a researcher."""
    from sandbox.cli.owner import pin

    pinned = pin(party_folder(profile), who, owner)
    say(
        "node.trusted",
        role=text(f"role.{pinned.role.value}"),
        name=pinned.name,
        fingerprint=pinned.fingerprint,
    )


@app.command(
    "untrust",
    help=text("help.node.untrust"),
    epilog=examples("sandbox node untrust FINGERPRINT --profile plant/nodes/a"),
)
def untrust(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help=text("option.fingerprint"))
    ],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Take a pin back."""
    from sandbox.cli.owner import unpin

    unpin(party_folder(profile), fingerprint, owner)
    say("node.untrusted", fingerprint=fingerprint)


@app.command(
    "trusted",
    help=text("help.node.trusted"),
    epilog=examples("sandbox node trusted --profile plant/nodes/a"),
)
def trusted(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """List the pins."""
    from sandbox.cli.owner import pins

    show_rows(format, "trusted", pins(party_folder(profile)), ("role", "name", "fingerprint"))


@app.command(
    "override-witness",
    help=text("help.node.override_witness"),
    epilog=examples(
        'sandbox node override-witness --reason "all peers are gone" --profile plant/nodes/a'
    ),
)
def override_witness(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=text("option.reason"))],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Release again although no witness has confirmed the last head."""
    from sandbox.cli.owner import override

    override(party_folder(profile), reason, owner)
    say("node.overridden")
