"""`sandbox health`: does this party's own server answer? For supervisors of processes, in containers.

Unlike `doctor` it asks nobody else, so that a peer that is down restarts nothing here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption, party_folder
from sandbox.cli.terminal import say
from sandbox.errors import Unavailable
from sandbox.messages import text

app = Commands()


@app.command(
    "health",
    help=text("help.health"),
    epilog=examples("sandbox health plant/nodes/a", "sandbox health --profile plant/coordinator"),
)
def health(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help=text("option.party_folder"))
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Exit with 0 if this party answers at its port with its own certificate."""
    from sandbox.cli.checks import who_answers
    from sandbox.config import CONFIG_FILE, check, load_coordinator, load_node

    party = party_folder(folder or profile)
    load = load_coordinator if check(party / CONFIG_FILE) == "coordinator" else load_node
    listen = load(party).listen
    found, ours = who_answers(party, listen)
    if not ours:
        raise Unavailable("SB-1466", listen=listen, found=found)
    say("health.serving", listen=listen)
