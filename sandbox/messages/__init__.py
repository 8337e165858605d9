"""The message catalogues: every sentence a person reads, in English and Chinese.

One TOML file per area and language (`en/sql.toml`, `zh/sql.toml`). An error is a table named by its
code with `text` and `cure`; any other message is a dotted key. `SANDBOX_LANG` (en, zh) chooses, else
the locale. A test holds both languages to the same keys and the same {facts}.
"""

from __future__ import annotations

import os
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib import resources

LANGUAGES = ("en", "zh")


def language() -> str:
    """Return the reader's language, one of LANGUAGES."""
    wanted = (
        os.environ.get("SANDBOX_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG", "")
    )
    return "zh" if wanted.lower().startswith("zh") else "en"


@cache
def catalogue(lang: str) -> dict[str, str]:
    """Return all messages of a language as {dotted key: template}."""
    messages: dict[str, str] = {}
    for file in sorted((resources.files(__package__) / lang).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            _flatten("", tomllib.loads(file.read_text(encoding="utf-8")), messages)
    return messages


def text(key: str, **facts: object) -> str:
    """Return the message `key` in the reader's language; raises KeyError for an unknown key."""
    return catalogue(language())[key].format(**facts)


def error_text(code: str, part: str, facts: Mapping[str, object]) -> str:
    """Return `part` ("text" or "cure") of error `code`; a code without a message reads as itself.

    A peer of another version may send other facts than the message names: these read as "?".
    """
    template = catalogue(language()).get(f"{code}.{part}", "")
    return template.format_map(defaultdict(lambda: "?", facts))


def _flatten(prefix: str, table: Mapping[str, object], into: dict[str, str]) -> None:
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            _flatten(name, value, into)
        else:
            into[name] = str(value)
