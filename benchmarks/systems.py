"""What the join benchmark demands of a system, and the systems that it compares with.

A system is entered once for each pair of tables, which may take as long as it likes (a deployment
starts), and then measured several times, alternating with the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.peers import parties
from benchmarks.serials import Tables

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".peers"


@dataclass(frozen=True)
class Kind:
    """One way to join: `mode` as plans name it, and what goes in and out: csv, parquet, memory."""

    mode: str
    io: str


@dataclass(frozen=True)
class Outcome:
    """One run, in seconds, bytes, rows.

    `interval` is that of a noised count and None for an exact one. `bytes` counts each message once;
    None leaves it to the benchmark, which counts the loopback where it can. `in_memory_s` is the part
    of `seconds` from keys in memory to matches in memory, where the system tells it.
    """

    matched: int
    seconds: float
    interval: tuple[int, int] | None = None
    bytes: int | None = None
    in_memory_s: float | None = None
    start_up_s: float | None = None


Run = Callable[[Kind, Path], Outcome]
"""Joins once; the path is an empty folder for whatever it writes."""


class System(Protocol):
    """One system: `name` as --peers has it, `system` as the results have it."""

    @property
    def name(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def kinds(self) -> tuple[Kind, ...]: ...
    @property
    def against(self) -> tuple[str, ...]:
        """The modes of ours that do the same work."""

    def ready(self, tables: Tables, folder: Path) -> AbstractContextManager[Run]:
        """Start what runs all the time."""


class NotBuilt(Exception):
    """A peer's environment is missing."""


@dataclass(frozen=True)
class SecretFlow:
    """SecretFlow's PSI between two processes; `protocol` is rr22, kkrt or ecdh (Curve25519)."""

    protocol: str = "rr22"
    system: str = "secretflow"
    against: tuple[str, ...] = ("psi",)

    @property
    def name(self) -> str:
        """RR22, the fastest, has the plain name."""
        return self.system + ("" if self.protocol == "rr22" else f"-{self.protocol}")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """CSV is the only format it reads."""
        return (Kind(self.name.replace(self.system, "psi"), "csv"),)

    @contextmanager
    def ready(self, tables: Tables, folder: Path) -> Iterator[Run]:
        """Check the environment. Each run has links to the files, beside which spu keeps a cache."""
        python = _interpreter(self.system)

        def run(kind: Kind, scratch: Path) -> Outcome:
            ports = [str(port) for port in parties.free_ports(2)]
            commands = []
            for rank, file in enumerate((tables.left["csv"], tables.right["csv"])):
                link = scratch / f"in{rank}.csv"
                link.symlink_to(file)
                command = [str(python), str(HERE / "peers" / "secretflow_psi.py")]
                command += ["--rank", str(rank), "--ports", *ports, "--protocol", self.protocol]
                command += ["--input", str(link), "--output", str(scratch / f"out{rank}.csv")]
                commands.append([*command, "--log", str(scratch / f"log{rank}")])
            ran = parties.run(commands)
            assert ran.said[0]["matched"] == rows_of(scratch / "out0.csv")
            return Outcome(
                matched=ran.said[0]["matched"],
                seconds=ran.seconds,
                in_memory_s=ran.said[0].get("crypto_s"),
                start_up_s=ran.start_up_s,
            )

        yield run


@dataclass(frozen=True)
class OpenMined:
    """OpenMined's ECDH PSI between two processes."""

    name: str = "openmined"
    system: str = "openmined"
    against: tuple[str, ...] = ("psi",)
    kinds: tuple[Kind, ...] = (Kind("psi", "csv"),)

    @contextmanager
    def ready(self, tables: Tables, folder: Path) -> Iterator[Run]:
        """Check the environment."""
        python = _interpreter(self.system)

        def run(kind: Kind, scratch: Path) -> Outcome:
            program = [str(python), str(HERE / "peers" / "openmined_psi.py")]
            program += ["--port", str(*parties.free_ports(1))]
            found = scratch / "out.csv"
            client = [
                "--role",
                "client",
                "--input",
                str(tables.left["csv"]),
                "--output",
                str(found),
            ]
            server = ["--role", "server", "--input", str(tables.right["csv"])]
            ran = parties.run([program + client, program + server])
            assert ran.said[0]["matched"] == rows_of(found)
            return Outcome(
                matched=ran.said[0]["matched"],
                seconds=ran.seconds,
                bytes=sum(each["bytes"] for each in ran.said),
                in_memory_s=ran.said[0]["crypto_s"],
                start_up_s=ran.start_up_s,
            )

        yield run


@dataclass(frozen=True)
class DuckDB:
    """The plain join by one process that has both files."""

    name: str = "duckdb"
    system: str = "duckdb"
    against: tuple[str, ...] = ("psi", "blind", "prepared", "verified")
    kinds: tuple[Kind, ...] = (Kind("plain", "csv"), Kind("plain", "parquet"))

    @contextmanager
    def ready(self, tables: Tables, folder: Path) -> Iterator[Run]:
        """Nothing to start."""

        def run(kind: Kind, scratch: Path) -> Outcome:
            files = [str(tables.left[kind.io]), str(tables.right[kind.io])]
            program = str(HERE / "peers" / "duckdb_join.py")
            ran = parties.run([[sys.executable, program, *files]])
            return Outcome(ran.said[0]["matched"], ran.seconds, bytes=0, start_up_s=ran.start_up_s)

        yield run


PEERS: dict[str, System] = {
    each.name: each
    for each in (SecretFlow(), SecretFlow("kkrt"), SecretFlow("ecdh"), OpenMined(), DuckDB())
}


def rows_of(file: Path) -> int:
    """Return the rows of a CSV file with a head."""
    with file.open("rb") as opened:
        return sum(1 for _ in opened) - 1


def _interpreter(system: str) -> Path:
    python = ENVIRONMENTS / system / "bin" / "python"
    if not python.exists():
        raise NotBuilt(f"{system} is not installed here: run make peers")
    return python
