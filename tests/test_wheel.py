"""The wheel: what is in it is all that `pip install` gives, the demo and its data included."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "maturin", "build", "--release", "-o", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=110,
    )
    (built,) = target.glob("fedsandbox-*.whl")
    return zipfile.ZipFile(built)


def test_it_holds_sandbox_and_nodes_alone(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sandbox", "nodes"}


def test_it_holds_the_demos_data_and_both_languages(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {"sandbox/demo/ai4i2020.csv", "sandbox/demo/ATTRIBUTION.md"} <= names
    assert {"sandbox/py.typed", "nodes/py.typed"} <= names
    catalogues = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("sandbox/messages/*/*.toml")}
    assert catalogues
    assert catalogues <= names


def test_it_holds_the_kernels_for_every_python_and_their_types(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "sandbox/_native.pyi" in names
    assert [name for name in names if name.startswith("sandbox/_native.abi3.")]
    assert not [name for name in names if name.startswith("native/")]


def test_it_installs_two_commands(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(entry_points).decode()
    assert "sandbox=sandbox.cli.app:main" in text
    assert "fedsandbox=sandbox.cli.app:main" in text


def test_what_only_tests_may_do_is_not_in_it(wheel: zipfile.ZipFile) -> None:
    for name in wheel.namelist():
        if name.endswith(".py"):
            assert b"ZeroNoise" not in wheel.read(name), name
