"""What a value in a file has to be, in the reader's language: pydantic's own words are English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.messages import text

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = {
    "int": "whole_number",
    "bool": "truth",
    "string": "text",
    "decimal": "number",
    "float": "number",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "list": "list",
    "tuple": "list",
    "dict": "table",
    "model": "table",
    "name": "name",
    "address": "address",
}
_LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def rule_of(problem: ErrorDetails) -> str:
    """Return the rule that a value breaks; never the value."""
    facts: dict[str, Any] = problem.get("ctx", {})
    kind = problem["type"].removeprefix("finite_").split("_")[0]
    for limit, sign in _LIMITS.items():
        if limit in facts:
            return f"{sign} {facts[limit]}"
    if "max_length" in facts:
        return text("rule.at_most", length=facts["max_length"])
    if "min_length" in facts:
        return text("rule.at_least", length=facts["min_length"])
    if kind == "enum":
        return str(facts["expected"]).replace("'", "").replace(" or ", ", ")
    return text(f"value_kind.{_KINDS.get(kind, 'other')}")
