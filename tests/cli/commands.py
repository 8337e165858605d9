"""Runs `sandbox …` in this process, as `main` does: errors on stderr, exit codes kept."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.cli.app import main


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed, which must be one JSON document with a version."""
        document = json.loads(self.stdout)
        assert document["schema_version"] == 1
        return document


class _Bytes(io.TextIOWrapper):
    """A stream with a buffer, as stdout has."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


def run(*arguments: str | Path) -> Ended:
    """Run a command and return how it ended."""
    code, out, err = run_bytes(*arguments)
    return Ended(code, out.decode(), err)


def run_bytes(*arguments: str | Path) -> tuple[int, bytes, str]:
    """Run a command and return its exit code, its bytes on stdout, its text on stderr."""
    out, err, before = _Bytes(), _Bytes(), sys.argv
    sys.argv = ["sandbox", *map(str, arguments)]
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = before
    return code, out.written(), err.written().decode()


def ok(*arguments: str | Path) -> Ended:
    """Run a command that must succeed."""
    ended = run(*arguments)
    assert ended.code == 0, ended.stderr
    return ended


def refused(code: int, error: str, *arguments: str | Path) -> Ended:
    """Run a command that must end with exit code `code` and the error `error`, nothing on stdout."""
    ended = run(*arguments)
    assert ended.code == code, ended.stderr
    assert f"\n{error} " in f"\n{ended.stderr}", ended.stderr
    assert ended.stdout == ""
    return ended
