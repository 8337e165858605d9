"""`sandbox researcher`: join a coordinator; be admitted or revoked by the owners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption
from sandbox.cli.terminal import say
from sandbox.errors import InputError
from sandbox.messages import text

app = Commands(
    "researcher",
    help=text("help.researcher.root"),
    epilog=examples(
        "sandbox researcher join TOKEN --profile me",
        "sandbox researcher trust north/identity.json --profile me",
    ),
)


@app.command(
    "join",
    help=text("help.researcher.join"),
    epilog=examples("sandbox researcher join TOKEN --profile me"),
)
def join(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help=text("option.token"))],
    profile: Annotated[
        Path,
        typer.Option(
            "--profile", metavar="DIR", envvar="SANDBOX_PROFILE", help=text("option.new_profile")
        ),
    ],
) -> None:
    """Exchange a one-time token for a certificate."""
    from sandbox.cli.joining import join as enrol
    from sandbox.crypto.identity import Role

    joined = enrol(token, profile, (Role.RESEARCHER, Role.SUPERVISOR))
    say("researcher.joined", name=joined.name, fingerprint=joined.fingerprint, folder=profile)


@app.command(
    "trust",
    help=text("help.researcher.trust"),
    epilog=examples(
        "sandbox researcher trust fs1k3…q7 --profile me",
        "sandbox researcher trust north/identity.json --profile me",
    ),
)
def trust(
    who: Annotated[str, typer.Argument(metavar="FINGERPRINT", help=text("option.who"))],
    profile: ProfileOption = None,
) -> None:
    """Accept a provider's node: its signatures count from now on."""
    from sandbox.cli.lookup import identity_of
    from sandbox.cli.profile import researcher_folder
    from sandbox.crypto.trust import Trust

    folder = researcher_folder(profile)
    accepted = identity_of(folder, who)
    Trust(folder).accept(accepted)
    say(
        "node.trusted",
        role=text(f"role.{accepted.role.value}"),
        name=accepted.name,
        fingerprint=accepted.fingerprint,
    )


@app.command(
    "revoke",
    help=text("help.researcher.revoke"),
    epilog=examples(
        "sandbox researcher revoke FINGERPRINT --profile plant/nodes/a",
        "sandbox researcher revoke FINGERPRINT --profile plant/coordinator",
    ),
)
def revoke(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help=text("option.fingerprint"))
    ],
    profile: ProfileOption = None,
) -> None:
    """Refuse a researcher from now on, at the node or coordinator of this profile."""
    from sandbox.cli.profile import party_folder
    from sandbox.crypto.identity import Role, load_public
    from sandbox.crypto.trust import Trust

    folder = party_folder(profile)
    role = load_public(folder).role
    if role is Role.NODE:
        from sandbox.cli.owner import unpin

        unpin(folder, fingerprint)
    elif role is Role.COORDINATOR:
        trust = Trust(folder)
        if fingerprint not in trust.identities():
            raise InputError("SB-1331", fingerprint=fingerprint)
        trust.revoke(fingerprint)
    else:
        raise InputError("SB-1332", role=text(f"role.{role.value}"))
    say("researcher.revoked", fingerprint=fingerprint, folder=folder)
