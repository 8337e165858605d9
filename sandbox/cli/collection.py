"""`sandbox collection`: joint tables, proposed by one owner and signed by each.

`create` writes a proposal, one file, and signs it; the file goes from owner to owner, each signs with
`add`, and the last one's file is stored at every node with `add` again. On one machine `create` does it
all when every member's folder is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.profile import ProfileOption, party_folder
from sandbox.cli.terminal import Format, FormatOption, examples, say, show_json, show_rows
from sandbox.messages import text

app = typer.Typer(
    name="collection",
    help=text("help.collection.root"),
    no_args_is_help=True,
    rich_markup_mode=None,
)
