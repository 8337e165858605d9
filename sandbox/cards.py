"""Dataset cards as files: TOML, written by the data's owner, checked before anything is registered.

Top level: what `DatasetCard` holds; one `[[columns]]` table for each column. Bounds of dates are TOML
dates. A wrong card is named with file, line, key and the nearest key that exists.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sandbox.catalog import Column, ColumnType, DatasetCard, Grade, KeyPath, card_fault
from sandbox.config import line_of, syntax_fault
from sandbox.errors import InputError
from sandbox.files import fault_of
from sandbox.rules import rule_of

OWNER = "OWNER"
"""The mark in a drafted card where the owner has to decide; no card that holds one is accepted."""
EPOCH = date(1970, 1, 1)

Text = Annotated[str, StringConstraints(max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Bound = Decimal | int | date | datetime


class _ColumnFile(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    name: Name
    type: ColumnType
    grade: str = "L2"
    unit: Text = ""
    lower: Bound | None = None
    upper: Bound | None = None
    scale: int = 0
    domain: tuple[bool | int | str, ...] = ()
    nullable: bool = False
    magnitude: Decimal | None = None
    spread: Decimal | None = None
    join_key: bool = False
    normaliser: Text = ""
    multiplicity: Annotated[int, Field(ge=1, le=10**6)] = 1
    description: dict[str, Text] = {}


class _CardFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    privacy_unit: Name
    row_bound: int
    contribution_cap: int = 1
    unit_domain: Text = ""
    units_span_nodes: bool = False
    typical_rows: int = 0
    grade: str = "L2"
    description: dict[str, Text] = {}
    columns: Annotated[tuple[_ColumnFile, ...], Field(min_length=1)]


def read_card(file: Path) -> DatasetCard:
    """Return the card in a file; raises InputError SB-1200..SB-1209."""
    try:
        written = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("SB-1200", file=str(file), reason=fault_of(error)) from None
    return parse_card(written, str(file))


def parse_card(written: str, file: str) -> DatasetCard:
    """Return the card that `written` is; `file` names it in errors. Raises InputError SB-1201.."""
    try:
        content = tomllib.loads(written, parse_float=Decimal)
        for path in _marked(content):
            line = line_of(written, path)
            raise InputError("SB-1460", file=file, line=line, key=str(path[-1]))
        found = _CardFile.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        line, column = syntax_fault(written, error)
        raise InputError("SB-1201", file=file, line=line, column=column) from None
    except ValidationError as error:
        raise _first_problem(file, written, error) from None
    return _Checked(file, written).card(found)


def card_toml(card: DatasetCard) -> str:
    """Return a card as TOML text; `parse_card` is its inverse."""
    document: dict[str, Any] = {
        "name": card.name,
        "privacy_unit": card.privacy_unit,
        "row_bound": card.row_bound,
        "contribution_cap": card.contribution_cap,
        "unit_domain": card.unit_domain,
        "units_span_nodes": card.units_span_nodes,
        "typical_rows": card.typical_rows,
        "grade": card.grade.name,
        "description": card.description,
        "columns": [_column_toml(column) for column in card.columns],
    }
    return tomlkit.dumps(document)


class _Checked:
    """Turns a validated file into a card, with the line of whatever does not fit together."""

    def __init__(self, file: str, written: str) -> None:
        self._file = file
        self._written = written

    def card(self, found: _CardFile) -> DatasetCard:
        names = [column.name for column in found.columns]
        if found.privacy_unit not in names:
            near = difflib.get_close_matches(found.privacy_unit, names, 1, 0.0)[0]
            line = line_of(self._written, ("privacy_unit",))
            raise InputError(
                "SB-1205", file=self._file, line=line, column=found.privacy_unit, nearest=near
            )
        columns = tuple(self._column(n, column) for n, column in enumerate(found.columns))
        plain = found.model_dump(exclude={"columns", "grade"})
        card = DatasetCard(columns=columns, grade=self._grade(("grade",), found.grade), **plain)
        if fault := card_fault(card):
            raise self._wrong(*fault)
        return card

    def _column(self, number: int, found: _ColumnFile) -> Column:
        lower, upper = (_exact(found.type, bound) for bound in (found.lower, found.upper))
        plain = found.model_dump(exclude={"lower", "upper", "grade"})
        grade = self._grade(("columns", number, "grade"), found.grade)
        return Column(lower=lower, upper=upper, grade=grade, **plain)

    def _grade(self, path: KeyPath, written: str) -> Grade:
        if written not in Grade.__members__:
            raise self._wrong(path, ", ".join(Grade.__members__))
        return Grade[written]

    def _wrong(self, path: KeyPath, rule: str) -> InputError:
        line = line_of(self._written, path)
        return InputError("SB-1204", file=self._file, line=line, key=str(path[-1]), rule=rule)


def _exact(kind: ColumnType, bound: Bound | None) -> Decimal | None:
    """Return a bound as the catalogue holds it: days or seconds since 1970 for dates and times."""
    if isinstance(bound, datetime):
        aware = bound if bound.tzinfo else bound.replace(tzinfo=UTC)
        seconds = int(aware.timestamp())
        return Decimal(seconds if kind is ColumnType.TIMESTAMP else seconds // 86_400)
    if isinstance(bound, date):
        days = (bound - EPOCH).days
        return Decimal(days * 86_400 if kind is ColumnType.TIMESTAMP else days)
    return None if bound is None else Decimal(bound)


def _marked(content: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the paths of values that are still the mark OWNER."""
    if content == OWNER:
        yield path
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _marked(value, (*path, key))
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from _marked(value, (*path, place))


def _first_problem(file: str, written: str, error: ValidationError) -> InputError:
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt key is also a missing one; the misspelling is what to correct.
    problem = min(problems, key=lambda found: found["type"] != "extra_forbidden")
    path = problem["loc"]
    line, key = line_of(written, path), str(path[-1])
    if problem["type"] == "extra_forbidden":
        model = _ColumnFile if path[0] == "columns" else _CardFile
        near = difflib.get_close_matches(key, model.model_fields, 1, 0.0)[0]
        return InputError("SB-1202", file=file, line=line, key=key, nearest=near)
    if problem["type"] == "missing":
        return InputError("SB-1203", file=file, line=line, key=key)
    return InputError("SB-1204", file=file, line=line, key=key, rule=rule_of(problem))


def _column_toml(column: Column) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": column.name,
        "type": column.type.value,
        "grade": column.grade.name,
        "nullable": column.nullable,
    }
    for key in ("unit", "scale", "join_key", "normaliser", "description"):
        if getattr(column, key):
            document[key] = getattr(column, key)
    if column.multiplicity > 1:
        document["multiplicity"] = column.multiplicity
    if column.domain:
        document["domain"] = list(column.domain)
    for key in ("lower", "upper", "magnitude", "spread"):
        value = getattr(column, key)
        if value is not None:
            document[key] = tomlkit.item(int(value)) if value == int(value) else _float(value)
    return document


def _float(value: Decimal) -> Any:
    return tomlkit.value(f"{value:f}")
