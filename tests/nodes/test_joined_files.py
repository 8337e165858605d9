"""A file of ids that matched is whole, or it is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.joined_files import JoinedFiles

KILLED = """
import os, signal, sys
from pathlib import Path
from nodes.joined_files import JoinedFiles
with JoinedFiles(Path(sys.argv[1])).writing("job", "csv") as file:
    file.write_text("id\\nP0001\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_node_killed_before_its_file_is_complete_leaves_no_part_of_it(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [file.name for file in (tmp_path / "joined").iterdir()] == ["job.unfinished"]
    JoinedFiles(tmp_path)
    assert list((tmp_path / "joined").iterdir()) == []


def test_join_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with JoinedFiles(tmp_path).writing("job", "csv") as file:
            file.write_text("id\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / "joined").iterdir()) == []


def test_whole_file_has_its_name_in_a_folder_that_is_the_owners_alone(tmp_path: Path) -> None:
    files = JoinedFiles(tmp_path)
    with files.writing("job", "parquet") as file:
        file.write_bytes(b"PAR1")
    assert [file.name for file in files.folder.iterdir()] == ["job.parquet"]
    assert files.folder.stat().st_mode & 0o777 == 0o700
    JoinedFiles(tmp_path)
    assert os.listdir(files.folder) == ["job.parquet"]
