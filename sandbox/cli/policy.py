"""`sandbox node policy`: the rules of a node, and of single datasets that differ from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.owners import AsOption
from sandbox.cli.profile import ProfileOption, party_folder
from sandbox.cli.terminal import (
    Format,
    FormatOption,
    read_number,
    say,
    show_json,
    show_rows,
)
from sandbox.messages import text

app = Commands(
    "policy",
    help=text("help.node.policy.root"),
    epilog=examples(
        "sandbox node policy show --profile plant/nodes/a > policy.toml",
        "sandbox node policy set policy.toml --profile plant/nodes/a",
    ),
)

Dataset = Annotated[
    str, typer.Option("--dataset", metavar="NAME", help=text("option.policy_dataset"))
]


@app.command(
    "show",
    help=text("help.node.policy.show"),
    epilog=examples(
        "sandbox node policy show --profile plant/nodes/a > policy.toml",
        "sandbox node policy show --dataset meters --profile plant/nodes/a",
    ),
)
def show(
    dataset: Dataset = "", profile: ProfileOption = None, format: FormatOption = Format.TABLE
) -> None:
    """Print the policy in force."""
    from sandbox.cli.owner import current_policy

    version, written = current_policy(party_folder(profile), dataset)
    if format is Format.JSON:
        show_json(dataset=dataset or None, version=version, policy=written)
    else:
        typer.echo(written.rstrip())


@app.command(
    "set",
    help=text("help.node.policy.set"),
    epilog=examples(
        "sandbox node policy set policy.toml --profile plant/nodes/a",
        "sandbox node policy set meters.toml --dataset meters --profile plant/nodes/a",
    ),
)
def set_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("option.policy"))],
    dataset: Dataset = "",
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Put a policy in force, for every job that comes after."""
    from sandbox.cli.owner import set_policy

    version = set_policy(party_folder(profile), file, dataset, owner)
    if dataset:
        say("node.policy_set_for", version=version, dataset=dataset)
    else:
        say("node.policy_set", version=version)


@app.command(
    "dry-run",
    help=text("help.node.policy.dry_run"),
    epilog=examples(
        'sandbox node policy dry-run policy.toml --sql "SELECT COUNT(*) FROM a.meters" '
        "--epsilon 0.5 --researcher FINGERPRINT --profile plant/nodes/a"
    ),
)
def dry_run(
    sql: Annotated[str, typer.Option("--sql", help=text("option.sql"))],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help=text("option.policy_tried"))
    ] = None,
    epsilon: Annotated[str, typer.Option("--epsilon", help=text("option.policy_epsilon"))] = "1",
    delta: Annotated[str, typer.Option("--delta", help=text("option.policy_delta"))] = "0",
    purpose: Annotated[str, typer.Option("--purpose", help=text("option.purpose"))] = "",
    researcher: Annotated[
        str | None,
        typer.Option("--researcher", metavar="FINGERPRINT", help=text("option.researcher_tried")),
    ] = None,
    dataset: Dataset = "",
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Say what a policy would answer to a statement."""
    from sandbox.cli.dryrun import Trial, try_policy

    trial = Trial(
        sql,
        read_number("--epsilon", epsilon),
        read_number("--delta", delta),
        purpose,
        researcher,
    )
    answers = try_policy(party_folder(profile), trial, file, dataset)
    show_rows(format, "answers", answers, ("dataset", "found", "what_to_do"))
