"""A policy as TOML: read with the file, line and nearest key of every mistake; written with all keys.

Keys left out keep the default of `default_policy()`. Numbers may be TOML numbers or strings and are
read exactly.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, NoReturn

from sandbox.catalog import Grade
from sandbox.errors import InputError
from sandbox.messages import text
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import (
    ANY,
    CLASS_OF,
    Approval,
    Approved,
    OperationClass,
    Policy,
    default_policy,
)

_DURATION = re.compile(r"P([1-9][0-9]{0,4})D")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEADER = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"\s*[\"']?([^\"'=\s]+)[\"']?\s*=")


def parse_policy(toml: str, file: str) -> Policy:
    """Return the policy in `toml`; `file` is its name in messages.

    Raises InputError SB-2000 (not TOML), SB-2001 (unknown key, with the nearest), SB-2002 (a value
    that its key does not take), SB-2003 (limits that contradict each other).
    """
    return _File(toml, file).policy()


def policy_toml(policy: Policy) -> str:
    """Return the policy as TOML that `parse_policy` reads back to an equal policy."""
    lines = [f"version = {policy.version}"]
    if policy.expires is not None:
        lines.append(f"expires = {policy.expires.isoformat()}")
    lines += [
        f"researchers = {_strings(policy.researchers)}",
        f"purposes = {_strings(policy.purposes)}",
        f"operations = {_strings(policy.operations)}",
        f"join_modes = {_strings(policy.join_modes)}",
        f"disclose_ids_to = {_strings(policy.disclose_ids_to)}",
        f"require_malicious = {str(policy.require_malicious).lower()}",
        f"require_verify = {str(policy.require_verify).lower()}",
        f"minimum_group_size = {policy.minimum_group_size}",
        f"maximum_cells = {policy.maximum_cells}",
        f"collusion = {policy.collusion}",
        f'approval = "{policy.approval.value}"',
        "",
        "[grades]",
        f'dataset = "{policy.dataset_grade.name}"',
        *(f'{c.value} = "{policy.maximum_grades[c].name}"' for c in OperationClass),
        "",
        "[columns]",
        f"allowed = {_strings(policy.allowed_columns)}",
        f"denied = {_strings(policy.denied_columns)}",
        "",
        "[job]",
        f'epsilon_min = "{policy.epsilon_min}"',
        f'epsilon_max = "{policy.epsilon_max}"',
        f'delta_max = "{policy.delta_max}"',
    ]
    for name, limits in (
        ("researcher", policy.researcher_budget),
        ("dataset", policy.dataset_budget),
    ):
        lines += [
            "",
            f"[budget.{name}]",
            f'epsilon = "{limits.epsilon}"',
            f'delta = "{limits.delta}"',
            f'period = "P{limits.period.days}D"',
            f'lifetime_epsilon = "{limits.lifetime_epsilon}"',
            f'extra_delta = "{limits.extra_delta:f}"',
        ]
    for entry in policy.approved:
        lines += [
            "",
            "[[approved]]",
            f'digest = "{entry.digest}"',
            f"researcher = {_quoted(entry.researcher)}",
            f"until = {entry.until.isoformat()}",
        ]
    return "\n".join(lines) + "\n"


class _File:
    def __init__(self, toml: str, file: str) -> None:
        self.toml = toml
        self.file = file

    def policy(self) -> Policy:
        try:
            tree = tomllib.loads(self.toml, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"at line (\d+)", str(error))
            line = int(found[1]) if found else self.toml.count("\n") + 1
            raise InputError("SB-2000", file=self.file, line=line) from None
        approved = tree.pop("approved", [])
        values = self._values(tree, _KEYS, "")
        base = default_policy()
        default = _flat(base)
        budgets = {name: self._budget(name, values, default) for name in ("researcher", "dataset")}
        merged = default | values
        if merged["job.epsilon_min"] > merged["job.epsilon_max"]:
            self._contradiction("job.epsilon_max", "epsilon_min <= epsilon_max")
        return Policy(
            version=merged["version"],
            expires=merged["expires"],
            researchers=merged["researchers"],
            purposes=merged["purposes"],
            operations=merged["operations"],
            join_modes=merged["join_modes"],
            disclose_ids_to=merged["disclose_ids_to"],
            require_malicious=merged["require_malicious"],
            require_verify=merged["require_verify"],
            dataset_grade=merged["grades.dataset"],
            maximum_grades={c: merged[f"grades.{c.value}"] for c in OperationClass},
            allowed_columns=merged["columns.allowed"],
            denied_columns=merged["columns.denied"],
            minimum_group_size=merged["minimum_group_size"],
            maximum_cells=merged["maximum_cells"],
            collusion=merged["collusion"],
            epsilon_min=merged["job.epsilon_min"],
            epsilon_max=merged["job.epsilon_max"],
            delta_max=merged["job.delta_max"],
            researcher_budget=budgets["researcher"],
            dataset_budget=budgets["dataset"],
            approval=merged["approval"],
            approved=self._approved(approved),
        )

    def _values(self, tree: Mapping[str, Any], keys: Mapping[str, str], at: str) -> dict[str, Any]:
        """Return {dotted key: parsed value}; every key must be one of `keys`."""
        values: dict[str, Any] = {}
        for name, value in tree.items():
            key = f"{at}{name}"
            if isinstance(value, dict) and any(k.startswith(f"{key}.") for k in keys):
                values |= self._values(value, keys, f"{key}.")
            elif key in keys:
                values[key] = self._value(key, value, keys[key])
            else:
                near = get_close_matches(key, [*keys, "approved"], 1, 0)[0]
                raise InputError(
                    "SB-2001", file=self.file, line=self._line(key), key=key, nearest=near
                )
        return values

    def _value(self, key: str, value: object, form: str) -> Any:
        try:
            return _FORMS[form](value)
        except (ValueError, KeyError, TypeError, InvalidOperation):
            expected = text(f"policy.expected.{form}")
            raise InputError(
                "SB-2002", file=self.file, line=self._line(key), key=key, expected=expected
            ) from None

    def _budget(self, name: str, values: dict[str, Any], default: dict[str, Any]) -> BudgetLimits:
        at = f"budget.{name}."
        merged = {key: values.get(at + key, default[at + key]) for key in _BUDGET}
        try:
            return BudgetLimits(**merged)
        except InputError:
            self._contradiction(f"budget.{name}", "0 < epsilon <= lifetime_epsilon <= 1000")

    def _approved(self, entries: object) -> tuple[Approved, ...]:
        approved = []
        for entry in self._value("approved", entries, "approvals"):
            values = self._values({"approved": entry}, _APPROVED, "")
            fields = {key.removeprefix("approved."): value for key, value in values.items()}
            approved.append(Approved(**fields))
        return tuple(approved)

    def _contradiction(self, key: str, rule: str) -> NoReturn:
        raise InputError("SB-2003", file=self.file, line=self._line(key), key=key, rule=rule)

    def _line(self, key: str) -> int:
        """Return the line a dotted key (or table) stands on, 1 if it is written some other way."""
        section = ""
        for number, line in enumerate(self.toml.splitlines(), 1):
            if header := _HEADER.match(line):
                section = header[1]
                if section == key:
                    return number
            elif (found := _KEY.match(line)) and f"{section}.{found[1]}".lstrip(".") == key:
                return number
        return 1


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(x, str) and x for x in value):
        raise ValueError
    return tuple(value)


def _peers(value: object) -> tuple[str, ...]:
    """Return who is named, one by one: ids are never disclosed to whoever asks."""
    names = _names(value)
    if ANY in names:
        raise ValueError
    return names


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _operations(value: object) -> tuple[str, ...]:
    names = _names(value)
    if not set(names) <= {*CLASS_OF, ANY}:
        raise ValueError
    return names


def _positive(value: object) -> Decimal:
    number = _exact(value)
    if not 0 < number <= 1000:
        raise ValueError
    return number


def _probability(value: object) -> Decimal:
    number = _exact(value)
    if not 0 <= number < 1:
        raise ValueError
    return number


def _exact(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise TypeError
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError
    return number


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _day(value: object) -> date:
    if type(value) is not date:
        raise ValueError
    return value


def _period(value: object) -> timedelta:
    found = _DURATION.fullmatch(str(value))
    if found is None:
        raise ValueError
    return timedelta(days=int(found[1]))


def _grade(value: object) -> Grade:
    return Grade[str(value)]


def _approval(value: object) -> Approval:
    return Approval(value)


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError
    return value


def _name(value: object) -> str:
    return _names([value])[0]


def _approvals(value: object) -> list[dict[str, object]]:
    tables: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(t, dict) and len(t) == len(_APPROVED) for t in tables):
        raise ValueError
    return tables


_FORMS: dict[str, Callable[[object], Any]] = {
    "names": _names,
    "peers": _peers,
    "yes_or_no": _yes_or_no,
    "operations": _operations,
    "positive": _positive,
    "probability": _probability,
    "whole": _whole,
    "day": _day,
    "period": _period,
    "grade": _grade,
    "approval": _approval,
    "digest": _digest,
    "name": _name,
    "approvals": _approvals,
}
"""What a key may hold; messages describe each as policy.expected.FORM."""
_BUDGET = {
    "epsilon": "positive",
    "delta": "probability",
    "period": "period",
    "lifetime_epsilon": "positive",
    "extra_delta": "probability",
}
_APPROVED = {
    "approved.digest": "digest",
    "approved.researcher": "name",
    "approved.until": "day",
}
_KEYS = {
    "version": "whole",
    "expires": "day",
    "researchers": "names",
    "purposes": "names",
    "operations": "operations",
    "join_modes": "names",
    "disclose_ids_to": "peers",
    "require_malicious": "yes_or_no",
    "require_verify": "yes_or_no",
    "minimum_group_size": "whole",
    "maximum_cells": "whole",
    "collusion": "whole",
    "approval": "approval",
    "grades.dataset": "grade",
    **{f"grades.{c.value}": "grade" for c in OperationClass},
    "columns.allowed": "names",
    "columns.denied": "names",
    "job.epsilon_min": "positive",
    "job.epsilon_max": "positive",
    "job.delta_max": "probability",
    **{f"budget.{who}.{key}": f for who in ("researcher", "dataset") for key, f in _BUDGET.items()},
}


def _flat(policy: Policy) -> dict[str, Any]:
    """Return the policy's values by dotted key."""
    values: dict[str, Any] = {
        "version": policy.version,
        "expires": policy.expires,
        "researchers": policy.researchers,
        "purposes": policy.purposes,
        "operations": policy.operations,
        "join_modes": policy.join_modes,
        "disclose_ids_to": policy.disclose_ids_to,
        "require_malicious": policy.require_malicious,
        "require_verify": policy.require_verify,
        "minimum_group_size": policy.minimum_group_size,
        "maximum_cells": policy.maximum_cells,
        "collusion": policy.collusion,
        "approval": policy.approval,
        "grades.dataset": policy.dataset_grade,
        "columns.allowed": policy.allowed_columns,
        "columns.denied": policy.denied_columns,
        "job.epsilon_min": policy.epsilon_min,
        "job.epsilon_max": policy.epsilon_max,
        "job.delta_max": policy.delta_max,
    }
    values |= {f"grades.{c.value}": grade for c, grade in policy.maximum_grades.items()}
    for who, limits in (
        ("researcher", policy.researcher_budget),
        ("dataset", policy.dataset_budget),
    ):
        values |= {f"budget.{who}.{key}": getattr(limits, key) for key in _BUDGET}
    return values


def _strings(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quoted(name) for name in names) + "]"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
