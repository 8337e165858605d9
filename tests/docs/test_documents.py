"""Every command and code block of the README and the guides runs, in order, in an empty folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.processes import stop_running
from tests.docs.blocks import script

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDES = (
    "README.md",
    "docs/providers.md",
    "docs/researchers.md",
    "docs/operating.md",
    "docs/auditing.md",
)

BASH = shutil.which("bash") or "/bin/bash"
# `make TARGET` in a document: the target must exist; running the suite inside the suite would not end.
MAKE = """#!/bin/sh
export PATH=/usr/local/bin:/usr/bin:/bin
exec make --directory {root} --dry-run --no-print-directory "$@" >/dev/null
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("guide", GUIDES)
def test_every_block_of_a_guide_runs(guide: str, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "make").write_text(MAKE.format(root=ROOT))
    (tools / "make").chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SANDBOX_LANG": "en"}
    environment.pop("SANDBOX_PROFILE", None)
    ran = subprocess.Popen(
        [BASH, "-c", script((ROOT / guide).read_text(encoding="utf-8"))],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = ran.communicate(timeout=170)
        assert ran.returncode == 0, output[-4000:]
    finally:
        # A block that failed may have left services of its own in the background.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(ran.pid, signal.SIGKILL)
        for deployment in work.glob("*/ca"):
            stop_running(deployment.parent)


def test_a_failing_block_fails_the_script() -> None:
    ran = subprocess.run(
        [BASH, "-c", script("```sh\nfalse\n```\n```sh\necho reached\n```\n")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "reached" not in ran.stdout


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    source = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", source.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (source.parent / target).exists(), f"{page} links to {target}"
