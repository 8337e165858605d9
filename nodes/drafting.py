"""A first draft of a dataset card: what the file's format says, and marks for the rest.

Names and types come from the file. Bounds, domains and the number of rows would leak if they were
read off the rows, so the draft holds the mark OWNER there and no card with a mark is accepted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from nodes.inspection import columns_of, sniffed_columns, where
from nodes.sources import CsvSource, Source
from sandbox.cards import OWNER
from sandbox.catalog import ColumnType
from sandbox.errors import InputError
from sandbox.messages import text

Bounds = Mapping[str, tuple[str, str]]
"""Lower and upper bound by column, as they were typed."""

_NUMBERS = (ColumnType.INTEGER, ColumnType.DECIMAL)
_TIMES = (ColumnType.DATE, ColumnType.TIMESTAMP)


def draft_card(
    source: Source,
    name: str,
    unit: str | None = None,
    bounds: Bounds | None = None,
    row_bound: int | None = None,
) -> str:
    """Return a draft (TOML) of the card of dataset `name`.

    unit: the privacy unit's column. bounds, row_bound: as the owner gave them. Raises InputError
    SB-1409 where these name a column that is not there, SB-1416 where a bound does not fit its
    column's type.
    """
    bounds = bounds or {}
    found = _typed_columns(source, name)
    named = [("--unit", unit)] if unit else []
    for option, column in (*named, *(("--bounds", column) for column in bounds)):
        if column not in found:
            place, there = where(source, name), ", ".join(found)
            raise InputError("SB-1409", path=place, column=column, option=option, found=there)
    lines = [
        _said("draft.title", mark=json.dumps(OWNER)),
        f"name = {_toml(name)}",
        _said("draft.unit"),
        f"privacy_unit = {_toml(unit or OWNER)}",
        _said("draft.row_bound"),
        f"row_bound = {_toml(OWNER) if row_bound is None else row_bound}",
        _said("draft.cap"),
        "contribution_cap = 1",
        _said("draft.span"),
        "units_span_nodes = true",
        _said("draft.domain_of_units"),
        'unit_domain = ""',
        _said("draft.grade"),
        'grade = "L2"',
        "",
        "[description]",
        'en = ""',
        'zh = ""',
    ]
    for column, kind in found.items():
        lines += ["", *_draft_column(column, kind, column == unit, bounds.get(column))]
    return "\n".join(lines) + "\n"


def _draft_column(
    name: str, kind: ColumnType, is_unit: bool, bounds: tuple[str, str] | None
) -> Sequence[str]:
    lines = [
        "[[columns]]",
        f"name = {_toml(name)}",
        f'type = "{kind.value}"',
        'grade = "L2"',
        f"nullable = {'false' if is_unit else 'true'}",
    ]
    if bounds is not None:
        option = f"{name}={':'.join(bounds)}"
        lower, upper = (_bound(value, kind, option) for value in bounds)
        if not _ordered(lower, upper, kind):
            raise InputError("SB-1416", bounds=option)
        lines += [f"lower = {lower}", f"upper = {upper}"]
    elif kind in (*_NUMBERS, *_TIMES) and not is_unit:
        lines += [
            _said("draft.bounds"),
            f"lower = {_toml(OWNER)}",
            f"upper = {_toml(OWNER)}",
        ]
    if kind is ColumnType.DECIMAL:
        lines += [_said("draft.scale"), "scale = 2"]
    if kind in _NUMBERS and not is_unit:
        lines.append('unit = ""')
    if kind is ColumnType.TEXT and not is_unit:
        lines.append(_said("draft.domain", line='domain = ["...", "..."]'))
    if is_unit:
        lines.append(_said("draft.join_key", line='join_key = true, normaliser = "..."'))
    return lines


def parse_bounds(given: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Read `column=lower:upper` options, numbers or dates; raises InputError SB-1416."""
    bounds: dict[str, tuple[str, str]] = {}
    for option in given:
        match = re.fullmatch(r"(.+)=([-+.\deE]+):([-+.\deE]+)", option)
        if match is None:
            raise InputError("SB-1416", bounds=option)
        column, lower, upper = match.groups()
        bounds[column] = lower, upper
    return bounds


def _bound(written: str, kind: ColumnType, option: str) -> str:
    """Return a bound as a TOML value of the column's type."""
    try:
        if kind in _NUMBERS:
            return f"{Decimal(written):f}"
        if kind is ColumnType.DATE:
            return date.fromisoformat(written).isoformat()
        if kind is ColumnType.TIMESTAMP:
            return datetime.fromisoformat(written).isoformat()
    except (InvalidOperation, ValueError):
        pass
    raise InputError("SB-1416", bounds=option)


def _ordered(lower: str, upper: str, kind: ColumnType) -> bool:
    if kind in _NUMBERS:
        return Decimal(lower) <= Decimal(upper)
    return lower <= upper  # ISO dates sort as text.


def _typed_columns(source: Source, name: str) -> dict[str, ColumnType]:
    """Return declared types; a CSV's are those that its first rows read as."""
    found = sniffed_columns(source) if isinstance(source, CsvSource) else columns_of(source, name)
    return {column: _declared(kind) for column, kind in found.items()}


def _declared(kind: str) -> ColumnType:
    if kind.endswith("INT") or kind in ("INTEGER", "UINTEGER"):
        return ColumnType.INTEGER
    if kind.startswith("DECIMAL") or kind in ("DOUBLE", "FLOAT", "REAL"):
        return ColumnType.DECIMAL
    if kind.startswith("TIMESTAMP"):
        return ColumnType.TIMESTAMP
    return {"BOOLEAN": ColumnType.BOOLEAN, "DATE": ColumnType.DATE}.get(kind, ColumnType.TEXT)


def _said(key: str, **facts: str) -> str:
    return f"# {text(key, **facts)}"


def _toml(written: str) -> str:
    # A TOML basic string takes the escapes of JSON.
    return json.dumps(written, ensure_ascii=False)
