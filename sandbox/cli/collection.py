"""`sandbox collection`: joint tables, proposed by one owner and signed by each.

`create` writes a proposal, one file, and signs it; the file goes from owner to owner, each signs with
`add`, and the last one's file is stored at every node with `add` again. On one machine `create` does it
all when every member's folder is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.owners import AsOption
from sandbox.cli.profile import ProfileOption, party_folder
from sandbox.cli.terminal import Format, FormatOption, say, show_json, show_rows
from sandbox.messages import text

if TYPE_CHECKING:
    from sandbox.cli.joint import Proposal

app = Commands(
    "collection",
    help=text("help.collection.root"),
    epilog=examples(
        "sandbox collection create machines --dataset machines"
        " --member plant/nodes/b:machines --profile plant/nodes/a",
        "sandbox collection show machines --profile plant/nodes/a",
    ),
)

ProposalFile = Annotated[Path, typer.Argument(metavar="FILE", help=text("option.collection_file"))]


@app.command(
    "create",
    help=text("help.collection.create"),
    epilog=examples(
        "sandbox collection create machines --dataset machines"
        " --member plant/nodes/b:machines --member plant/nodes/c:machines --profile plant/nodes/a"
    ),
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help=text("option.collection"))],
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="NAME", help=text("option.own_dataset"))
    ],
    member: Annotated[
        list[str] | None,
        typer.Option("--member", metavar="WHO:DATASET", help=text("option.member")),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help=text("option.output"))
    ] = None,
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Propose a collection and sign it."""
    from sandbox.cli.joint import propose

    file = output or Path(f"{name}.collection.json")
    _report(propose(party_folder(profile), name, dataset, member or [], file, owner))


@app.command(
    "add",
    help=text("help.collection.add"),
    epilog=examples("sandbox collection add machines.collection.json --profile plant/nodes/b"),
)
def add(file: ProposalFile, profile: ProfileOption = None, owner: AsOption = None) -> None:
    """Sign a proposal as the owner of a member, and store it at his node."""
    from sandbox.cli.joint import sign

    _report(sign(party_folder(profile), file, owner))


@app.command(
    "show",
    help=text("help.collection.show"),
    epilog=examples(
        "sandbox collection show machines.collection.json",
        "sandbox collection show machines --profile plant/nodes/a",
    ),
)
def show(
    which: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help=text("option.collection_shown"))
    ],
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show a proposal, or a collection as a node keeps it."""
    from sandbox.cli.joint import kept, read
    from sandbox.cli.profile import accepted_by
    from sandbox.crypto.identity import load_public

    names = {}
    if profile is not None:
        own = load_public(party_folder(profile))
        known = {own.fingerprint: own, **accepted_by(party_folder(profile))}
        names = {who: identity.name for who, identity in known.items()}
    file = Path(which)
    is_file = file.is_file() or profile is None
    proposal = read(file) if is_file else kept(party_folder(profile), which)
    rows = [
        {
            "node": member.node,
            "name": names.get(member.node, ""),
            "dataset": member.dataset,
            "signed": any(signed.signer == member.node for signed in proposal.signatures),
        }
        for member in proposal.collection.members
    ]
    if format is Format.JSON:
        show_json(name=proposal.collection.name, members=rows)
    else:
        show_rows(format, "members", rows, ("node", "name", "dataset", "signed"))


def _report(proposal: Proposal) -> None:
    facts = {
        "name": proposal.collection.name,
        "file": proposal.file,
        "signed": len(proposal.signatures),
        "members": len(proposal.collection.members),
    }
    say("collection.complete" if proposal.complete else "collection.proposed", **facts)
