"""What others wrote is shown as they wrote it, and commands no terminal."""

from __future__ import annotations

import pytest

from sandbox.cli.terminal import Format, say, show_error, show_facts, show_rows
from sandbox.errors import InputError

HOSTILE = "SELECT 1 -- [/bold]\x1b[1A\x1b[2K\x9b2J\r\u202eneddih\u2066 [red]x[/red]"
SHOWN = "SELECT 1 -- [/bold]\ufffd[1A\ufffd[2K\ufffd2J\ufffd\ufffdneddih\ufffd [red]x[/red]"


@pytest.mark.parametrize("way", ["table", "facts", "sentence", "error"])
def test_hostile_text_of_a_statement_or_card_neither_hides_nor_breaks_anything(
    way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if way == "table":
        show_rows(Format.TABLE, "jobs", [{"statement": HOSTILE}], ["statement"])
    elif way == "facts":
        show_facts(Format.TABLE, {"statement": HOSTILE})
    elif way == "sentence":
        say("node.trusted", role="node", name=HOSTILE, fingerprint="fs1")
    else:
        show_error(InputError("SB-1440", name=HOSTILE, nearest=""), as_json=False)
    out, err = capsys.readouterr()
    assert SHOWN in (out + err)
