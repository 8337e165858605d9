"""`make breaks`: remove each attack's one defence and demand that the attack's tests then fail.

python tests/attacks/run_breaks.py [NN …] does so for some attacks only. First the tests must pass
as they are. An attack that has tests but no break, or a break that its tests survive, is an error;
so is a break that keeps its tests from running at all.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ATTACKS = Path(__file__).resolve().parent
ROOT = ATTACKS.parents[1]
NAME = re.compile(r"test_attack_(\d\d|j\d\d)_")
"""j: an attack on joins alone (tests/attacks/join/)."""
TIMEOUT_S = 300
AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """What happened to an attack's tests; `good` if that shows the defence to be the defence."""

    number: str
    good: bool
    told: str
    seconds: float


def attacks() -> dict[str, list[Path]]:
    """Return the files that hold tests of each attack, by its number."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(ATTACKS.rglob("test_*.py")):
        names = {
            match[1]
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (match := NAME.match(node.name))
        }
        for number in names:
            found[number].append(file)
    return dict(found)


def run(number: str, files: list[Path], *extra: str) -> tuple[int, dict[str, int], str]:
    """Run an attack's tests; return the exit status, counts by outcome, and the output."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        arguments = [*map(str, files), "-k", f"test_attack_{number}_", "--tb=line", *extra]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                *arguments,
                f"--junitxml={report}",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        counts = {"tests": 0, "failures": 0, "errors": 0}
        if report.exists():
            suite = ElementTree.parse(report).find("testsuite")  # noqa: S314 - our own file
            if suite is not None:
                counts = {name: int(suite.get(name, "0")) for name in counts}
    return done.returncode, counts, done.stdout + done.stderr


def show(number: str, files: list[Path]) -> Outcome:
    """Show that an attack's tests pass, and that they fail once its defence is removed."""
    began = time.monotonic()

    def outcome(good: bool, told: str) -> Outcome:
        return Outcome(number, good, told, time.monotonic() - began)

    if not (ATTACKS / "breaks" / f"attack_{number}.py").exists():
        return outcome(False, "has tests but no break")
    try:
        status, counts, output = run(number, files)
        if status != 0:
            return outcome(False, f"fails with its defence in place\n{output[-2000:]}")
        status, counts, output = run(number, files, "--break", number)
    except subprocess.TimeoutExpired:
        return outcome(False, f"took longer than {TIMEOUT_S} s")
    if status == 0:
        return outcome(False, f"survives: {counts['tests']} tests pass without the defence")
    if status != 1 or not counts["failures"]:
        return outcome(
            False, f"does not run without the defence (status {status})\n{output[-2000:]}"
        )
    return outcome(True, f"{counts['failures']} of {counts['tests']} tests fail")


def main() -> int:
    """Print a line for each attack; return 1 if any does not show its defence."""
    chosen = {number.zfill(2) for number in sys.argv[1:]}
    found = attacks()
    orphans = {
        file.stem.removeprefix("attack_") for file in (ATTACKS / "breaks").glob("attack_*.py")
    } - set(found)
    wanted = {n: files for n, files in sorted(found.items()) if not chosen or n in chosen}
    missing = (orphans if not chosen else set()) | (chosen - set(found))
    failed = len(missing)
    for number in sorted(missing):
        print(f"attack {number}  BAD  has no tests")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(show, wanted, wanted.values()):
            mark = "ok " if outcome.good else "BAD"
            print(f"attack {outcome.number}  {mark}  {outcome.told} ({outcome.seconds:.0f} s)")
            sys.stdout.flush()
            failed += not outcome.good
    print(f"{len(wanted)} attacks, {failed} without a shown defence")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
