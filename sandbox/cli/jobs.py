"""A researcher's `jobs`, `job`, `cancel`, `budget`; an owner's `approvals`, `approve`, `reject`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.owners import AsOption
from sandbox.cli.profile import ProfileOption, party_folder, researcher_folder
from sandbox.cli.terminal import (
    Format,
    FormatOption,
    remark,
    say,
    show_facts,
    show_json,
    show_json_line,
    show_rows,
)
from sandbox.messages import text
from sandbox.progress import member_at

if TYPE_CHECKING:
    from sandbox.client import Session
    from sandbox.errors import SandboxError
    from sandbox.jobview import JobView

app = Commands()

Job = Annotated[str, typer.Argument(metavar="JOB", help=text("option.job"))]


@app.command("jobs", help=text("help.jobs"), epilog=examples("sandbox jobs"))
def jobs(
    limit: Annotated[
        int, typer.Option("--limit", metavar="COUNT", min=1, help=text("option.limit"))
    ] = 20,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """List the newest jobs."""
    rows = [_summary(state) for state in _session(profile).jobs(limit)]
    show_rows(format, "jobs", rows, ("job", "phase", "created", "waiting", "statement"))


@app.command(
    "job", help=text("help.job"), epilog=examples("sandbox job JOB", "sandbox job JOB --watch")
)
def job(
    id: Job,
    watch: Annotated[bool, typer.Option("--watch", help=text("option.watch"))] = False,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show one job: phase, whom it waits for and since when, what happens next."""
    session = _session(profile)
    states = session.watch(id) if watch else [session.job(id)]
    for state in states:
        if format is Format.JSON:
            (show_json_line if watch else show_json)(**_document(state))
        else:
            show_facts(format, {key: said for key, said in _details(state).items() if said})


@app.command("cancel", help=text("help.cancel"), epilog=examples("sandbox cancel JOB"))
def cancel(id: Job, profile: ProfileOption = None) -> None:
    """Cancel a job."""
    state = _session(profile).cancel(id)
    say("jobs.cancelled", job=id, phase=text(f"stage.{state.phase}"))
    if state.phase == "cancelled" and state.begun:
        remark("jobs.stopped")
        if state.untold:
            remark("jobs.untold", parties=", ".join(state.untold))


@app.command("budget", help=text("help.budget"), epilog=examples("sandbox budget"))
def budget(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """Show what is left at each provider."""
    found = _session(profile).budget()
    if format is Format.JSON:
        unanswered = {node: _told(error) for node, error in found.unanswered.items()}
        show_json(budget=found.lines, unanswered=unanswered)
        return
    show_rows(format, "budget", found.lines, list(found.lines[0]) if found.lines else [])
    # A node that does not answer must not look like one that has no dataset.
    for error in found.unanswered.values():
        typer.echo(str(error), err=True)


@app.command(
    "approvals",
    help=text("help.approvals"),
    epilog=examples("sandbox approvals --profile plant/nodes/a"),
)
def approvals(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """List what waits for the owner's decision."""
    from sandbox.cli.owner import waiting_approvals

    rows = waiting_approvals(party_folder(profile))
    columns = ("job", "researcher", "purpose", "epsilon", "digest", "statement")
    show_rows(format, "approvals", rows, columns)


@app.command(
    "approve",
    help=text("help.approve"),
    epilog=examples('sandbox approve JOB --reason "agreed with the plant" --profile plant/nodes/a'),
)
def approve(
    id: Job,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=text("option.reason"))],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Approve a job at the node of this profile."""
    _decide(id, profile, reason, owner, approved=True)


@app.command(
    "reject",
    help=text("help.reject"),
    epilog=examples('sandbox reject JOB --reason "not our purpose" --profile plant/nodes/a'),
)
def reject(
    id: Job,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=text("option.reason"))],
    profile: ProfileOption = None,
    owner: AsOption = None,
) -> None:
    """Reject a job at the node of this profile."""
    _decide(id, profile, reason, owner, approved=False)


def _decide(
    id: str, profile: Path | None, reason: str, owner: Path | None, *, approved: bool
) -> None:
    from sandbox.cli.owner import decide

    decide(party_folder(profile), id, reason, owner, approved=approved)
    say("jobs.approved" if approved else "jobs.rejected", job=id)


def _session(profile: Path | None) -> Session:
    from sandbox import connect

    return connect(researcher_folder(profile))


def _summary(state: JobView) -> dict[str, Any]:
    return {
        "job": state.job,
        "phase": state.phase,
        "created": _when(state.created),
        "waiting": [waiting.party for waiting in state.waiting],
        "statement": " ".join(state.statement.split()),
    }


def _details(state: JobView) -> dict[str, Any]:
    waiting = [
        text(
            "jobs.waiting",
            party=each.party,
            reason=text(f"reason.{each.reason}"),
            since=_when(each.since),
        )
        for each in state.waiting
    ]
    return {
        **_summary(state),
        "changed": _when(state.changed),
        "waiting": waiting,
        "expires": _when(state.deadline),
        "progress": [member_at(each) for each in state.progress],
        "left_out": list(state.left_out),
        "problem": str(state.problem or ""),
        "next": _next(state),
    }


def _next(state: JobView) -> str:
    coming = text(f"phase.{state.phase}")
    return (
        f"{coming}. {text('jobs.stopped')}"
        if state.phase == "cancelled" and state.begun
        else coming
    )


def _document(state: JobView) -> dict[str, Any]:
    problem = state.problem
    return {
        **_details(state),
        "waiting": [
            {"party": each.party, "reason": each.reason, "since": _when(each.since)}
            for each in state.waiting
        ],
        "progress": [asdict(each) for each in state.progress],
        "problem": None if problem is None else _told(problem),
    }


def _told(error: SandboxError) -> dict[str, str]:
    return {"code": error.code, "text": error.sentence, "cure": error.cure}


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
