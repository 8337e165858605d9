"""The code blocks of a document as one script.

`sh` blocks run as they stand, `python` blocks as scripts, in the document's order, in one folder and
one shell. A comment `<!-- run: COMMAND -->` runs what a reader has anyway (his files, a clean-up).
Blocks of any other language show output and do not run.
"""

from __future__ import annotations

import re

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$|^<!-- run: (.*?) -->$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"text", "toml", "sql", "json"}


def script(document: str) -> str:
    """Return the script of all blocks; raises ValueError for a block of unknown language."""
    parts = ["set -euo pipefail"]
    for language, body, hidden in _BLOCK.findall(document):
        if hidden:
            parts.append(hidden)
        elif language == "sh":
            parts.append(body.rstrip())
        elif language == "python":
            parts.append(f"python - <<'END_OF_BLOCK'\n{body}END_OF_BLOCK")
        elif language not in SHOWN_ONLY:
            raise ValueError(f"a block in {language!r}")
    return "\n".join(parts) + "\n"
