"""`sandbox datasets`, `show`, `mock`: what a researcher may know of a table before he asks.

Names, types, bounds and domains as their owners declared them, and each provider's policy; never a
statistic of anybody's rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption, researcher_folder
from sandbox.cli.terminal import Format, FormatOption, say, show_json, show_rows
from sandbox.messages import language, text

if TYPE_CHECKING:
    from sandbox.catalog import Column, Document, Member, Table
    from sandbox.client import Session
    from sandbox.privacy.policy import Policy

app = Commands()

Name = Annotated[str, typer.Argument(metavar="NAME", help=text("option.table"))]


@app.command(
    "datasets", help=text("help.datasets"), epilog=examples("sandbox datasets --profile plant")
)
def datasets(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """List what can be asked."""
    with _session(profile) as session:
        rows = [_summary(table, session) for table in session.datasets()]
    columns = ("name", "columns", "members", "privacy_unit", "epsilon_per_job", "description")
    show_rows(format, "datasets", _readable(format, rows), columns)


@app.command(
    "show", help=text("help.show"), epilog=examples("sandbox show machines --profile plant")
)
def show(name: Name, profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """Show a table as its owners declared it, and their policies."""
    with _session(profile) as session:
        table = session.table(name)
        names = {who: identity.name for who, identity in session.identities().items()}
        policies = session.policies()
    columns = [_column(column) for column in table.card.columns]
    rules = [
        _rules(member, names, policies[member]) for member in table.members if member in policies
    ]
    if format is Format.JSON:
        show_json(
            name=table.name,
            description=table.card.description,
            grade=table.card.grade.name,
            privacy_unit=table.card.privacy_unit,
            contribution_cap=table.card.contribution_cap,
            row_bound=table.card.row_bound,
            units_span_nodes=table.card.units_span_nodes,
            members=[
                {"node": names.get(member.node, member.node), "dataset": member.dataset}
                for member in table.members
            ],
            columns=columns,
            policies=rules,
        )
        return
    say(
        "query.table",
        name=table.name,
        unit=table.card.privacy_unit,
        cap=table.card.contribution_cap,
        rows=table.card.row_bound,
        members=len(table.members),
    )
    shown = ("column", "type", "unit", "bounds", "domain", "grade", "description")
    show_rows(format, "columns", _readable(format, columns), shown)
    kept = ("node", "dataset", "epsilon_per_job", "delta", "approval", "minimum_group_size")
    rules = _readable(format, rules)
    show_rows(format, "policies", rules, (*kept, "operations", "purposes", "expires"))


@app.command(
    "mock",
    help=text("help.mock"),
    epilog=examples("sandbox mock machines -o mock.csv --profile plant"),
)
def mock(
    name: Name,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help=text("option.mock_file"))
    ],
    rows: Annotated[int, typer.Option("--rows", min=1, help=text("option.mock_rows"))] = 1000,
    profile: ProfileOption = None,
) -> None:
    """Write rows made from the card alone."""
    from sandbox.cli.mock import write_mock

    with _session(profile) as session:
        made = write_mock(session.table(name).card, output, rows)
    say("query.mocked", name=name, rows=made, file=output)


def _session(profile: Path | None) -> Session:
    from sandbox import connect

    return connect(researcher_folder(profile))


def _summary(table: Table, session: Session) -> Document:
    limits = session.limits(table.members)
    return {
        "name": table.name,
        "columns": len(table.card.columns),
        "members": len(table.members),
        "privacy_unit": table.card.privacy_unit,
        "epsilon_per_job": _span(limits.epsilon_min, limits.epsilon_max),
        "description": table.card.description.get(language(), ""),
    }


def _column(column: Column) -> Document:
    return {
        "column": column.name,
        "type": column.type.value,
        "unit": column.unit,
        "bounds": _bounds(column),
        "domain": list(column.domain),
        "grade": column.grade.name,
        "nullable": column.nullable,
        "description": column.description.get(language(), ""),
    }


def _bounds(column: Column) -> Document | None:
    if column.lower is None or column.upper is None:
        return None
    return _span(column.written(column.lower), column.written(column.upper))


def _span(low: object, high: object) -> Document:
    """Return a range as JSON; exact numbers and dates are text, as in a card's signed document."""
    return {"low": str(low), "high": str(high)}


def _readable(format: Format, rows: list[Document]) -> list[Document]:
    """Return rows as people read them in a table; in JSON a range keeps its two ends apart."""
    if format is Format.JSON:
        return rows
    return [{key: _ends(value) for key, value in row.items()} for row in rows]


def _ends(value: object) -> object:
    return f"{value['low']} … {value['high']}" if isinstance(value, dict) else value


def _rules(member: Member, names: Mapping[str, str], policy: Policy) -> Document:
    return {
        "node": names.get(member.node, member.node),
        "dataset": member.dataset,
        "version": policy.version,
        "epsilon_per_job": _span(policy.epsilon_min, policy.epsilon_max),
        "delta": _span(0, policy.delta_max),
        "approval": policy.approval.value,
        "minimum_group_size": policy.minimum_group_size,
        "maximum_cells": policy.maximum_cells,
        "collusion": policy.collusion,
        "operations": list(policy.operations),
        "purposes": list(policy.purposes),
        "columns_denied": list(policy.denied_columns),
        "expires": None if policy.expires is None else policy.expires.isoformat(),
    }
