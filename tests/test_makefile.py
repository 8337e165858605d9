"""`make` on a machine that lacks something says in one line what, and how to get it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("bash", "sh", "test", "touch", "true", "env")


def made(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the Makefile where no Python is on the PATH."""
    tools = folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    return subprocess.run(
        [make, *arguments],
        cwd=folder,
        env={"PATH": str(tools), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_missing_python_is_named_in_one_line(target: str, tmp_path: Path) -> None:
    ran = made(tmp_path, target)
    assert ran.returncode != 0
    said = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1, ran.stderr
    assert "Python 3.11-3.14" in said[0]
    assert not (tmp_path / ".venv").exists()
