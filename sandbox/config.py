"""The configuration of each party: one `config.toml` in its folder, checked before anything starts.

A wrong file is named with its line, its key and the nearest key that exists.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from sandbox.errors import InputError
from sandbox.files import read_text
from sandbox.rules import rule_of

CONFIG_FILE = "config.toml"
MOST_PORT = 65_535
HOST = "127.0.0.1"
"""Where parties on one machine reach each other."""
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - where one listens, not where one is reached


def _name(written: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", written):
        raise PydanticCustomError("name", "name")
    return written


def is_address(written: str) -> bool:
    """Tell whether this is HOST:PORT, HOST a name or an IPv4 address."""
    place = re.fullmatch(r"[^\s:/]+:(\d{1,5})", written)
    return place is not None and 0 < int(place[1]) <= MOST_PORT


def require_address(written: str) -> None:
    """Raise InputError SB-1134 for what is no address."""
    if not is_address(written):
        raise InputError("SB-1134", address=written)


def place_of(address: str) -> str:
    """Return an address in the one way that stands for all that lead to the same server."""
    host, _, port = address.lower().rpartition(":")
    return f"{HOST if host in ('localhost', EVERY_INTERFACE) else host}:{int(port)}"


def one_listener(first: str, second: str) -> bool:
    """Tell whether two servers that listen at these addresses would get each other's callers."""
    (host, port), (other, other_port) = (place_of(a).split(":") for a in (first, second))
    everywhere = any(address.startswith(EVERY_INTERFACE) for address in (first, second))
    return port == other_port and (host == other or everywhere)


def _address(written: str) -> str:
    if not is_address(written):
        raise PydanticCustomError("address", "address")
    return written


Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]
Fingerprint = Annotated[str, StringConstraints(min_length=8, max_length=80)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Peer(_Strict):
    """A node as its coordinator reaches it."""

    name: Name
    address: Address
    fingerprint: Fingerprint


class CoordinatorConfig(_Strict):
    """coordinator/config.toml. `job_deadline_s`: for how long shares are waited for, seconds; those of a
    join for longer, where its sizes ask for it. `join_rows`: of all tables of one join together, dummies
    included; each takes 8 bytes of memory and 20 of disk."""

    name: Name
    listen: Address
    enrol_listen: Address
    nodes: tuple[Peer, ...] = Field(default=(), strict=False)
    job_deadline_s: int = Field(default=600, ge=1, le=86_400)
    join_rows: int = Field(default=150_000_000, ge=1, le=1 << 32)


class NodeConfig(_Strict):
    """nodes/NAME/config.toml. Memory and temporary space in MiB (2^20 bytes); `worker_threads`: of one
    worker, for DuckDB and for a join's kernels."""

    name: Name
    listen: Address
    coordinator: Address
    coordinator_fingerprint: Fingerprint
    workers_active: int = Field(default=2, ge=1, le=64)
    worker_threads: int = Field(default=2, ge=1, le=256)
    worker_memory_mb: int = Field(default=1024, ge=64)
    temp_limit_mb: int = Field(default=8192, ge=0)


class ResearcherConfig(_Strict):
    """researcher/ and supervisor/config.toml. ε and δ are for queries that state none."""

    name: Name
    coordinator: Address
    coordinator_fingerprint: Fingerprint
    purpose: str = ""
    epsilon: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False, strict=False)
    delta: Decimal | None = Field(default=None, ge=0, lt=1, allow_inf_nan=False, strict=False)


Config = TypeVar("Config", bound=BaseModel)
AnyConfig = CoordinatorConfig | NodeConfig | ResearcherConfig
MODELS: dict[str, type[AnyConfig]] = {
    "coordinator": CoordinatorConfig,
    "node": NodeConfig,
    "researcher": ResearcherConfig,
    "supervisor": ResearcherConfig,
}


def load_coordinator(profile: Path) -> CoordinatorConfig:
    """Return the coordinator's configuration; raises InputError SB-1300..SB-1304."""
    return _load(profile / CONFIG_FILE, CoordinatorConfig)


def load_node(profile: Path) -> NodeConfig:
    """Return a node's configuration; raises InputError SB-1300..SB-1304."""
    return _load(profile / CONFIG_FILE, NodeConfig)


def load_researcher(profile: Path) -> ResearcherConfig:
    """Return a researcher's or supervisor's configuration; raises InputError SB-1300..SB-1304."""
    return _load(profile / CONFIG_FILE, ResearcherConfig)


def check(file: Path) -> str:
    """Return the role whose configuration `file` validly is; raises InputError SB-1300..SB-1304."""
    role = _role_of(file)
    _load(file, MODELS[role])
    return role


def _load(file: Path, model: type[Config]) -> Config:
    written = read_text(file)
    try:
        found = model.model_validate(tomllib.loads(written, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        line, column = syntax_fault(written, error)
        raise InputError("SB-1301", file=str(file), line=line, column=column) from None
    except ValidationError as error:
        raise _first_problem(file, written, model, error) from None
    if isinstance(found, CoordinatorConfig):
        _refuse_shared(file, written, found)
    return found


def _refuse_shared(file: Path, written: str, config: CoordinatorConfig) -> None:
    """Two servers cannot listen at one address, nor two nodes be told apart by what they share."""
    if one_listener(config.listen, config.enrol_listen):
        line = line_of(written, ("enrol_listen",))
        raise InputError(
            "SB-1130", file=str(file), line=line, first="listen", second="enrol_listen"
        )
    for key in Peer.model_fields:
        owners: dict[str, str] = {}
        for number, peer in enumerate(config.nodes):
            said = getattr(peer, key)
            first = owners.setdefault(place_of(said) if key == "address" else said, peer.name)
            if len(owners) <= number:
                facts = {"first": first, "second": peer.name, "key": key}
                line = line_of(written, ("nodes", number, key))
                raise InputError("SB-1131", file=str(file), line=line, **facts)


def _first_problem(
    file: Path, written: str, model: type[BaseModel], error: ValidationError
) -> InputError:
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt key is also a missing one; the misspelling is what to correct.
    problem = min(problems, key=lambda found: found["type"] != "extra_forbidden")
    path = problem["loc"]
    key = str(path[-1])
    inside = Peer if len(path) > 1 else model
    line = line_of(written, path)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, inside.model_fields, n=1, cutoff=0.0)
        return InputError("SB-1302", file=str(file), line=line, key=key, nearest=near[0])
    if problem["type"] == "missing":
        return InputError("SB-1303", file=str(file), line=line, key=key)
    return InputError("SB-1304", file=str(file), line=line, key=key, expected=rule_of(problem))


def syntax_fault(written: str, error: tomllib.TOMLDecodeError) -> tuple[int, int]:
    """Return the line and column, from 1, of what is no TOML; tomllib's own words are English."""
    place = re.search(r"at line (\d+), column (\d+)", str(error))
    if place:
        return int(place[1]), int(place[2])
    lines = written.splitlines() or [""]
    return len(lines), len(lines[-1]) + 1


def line_of(written: str, path: tuple[str | int, ...]) -> int:
    """Return the 1-based line where `path` stands, or where its table begins, or 1."""
    table, wanted = _table_of(path), str(path[-1])
    here, count, found = "", -1, 1
    for number, line in enumerate(written.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line):
            if path == (header[1],):
                return number
            count = count + 1 if header[1] == here else 0
            here = header[1]
            if (here, count) == table:
                found = number
        elif (here, max(count, 0)) == table and re.match(rf'\s*"?{re.escape(wanted)}"?\s*=', line):
            return number
        elif len(path) > 1 and re.match(rf"\s*{re.escape(str(path[0]))}\s*=", line):
            found = number
    return found


def _table_of(path: tuple[str | int, ...]) -> tuple[str, int]:
    if len(path) == 1:
        return "", 0
    return str(path[0]), path[1] if isinstance(path[1], int) else 0


def _role_of(file: Path) -> str:
    """Tell a configuration's role by the identity beside it, else its folder, else its keys."""
    identity = file.parent / "identity.json"
    if identity.exists():
        role = str(json.loads(identity.read_text(encoding="utf-8")).get("role", ""))
        if role in MODELS:
            return role
    folder = file.absolute().parent
    if folder.name in MODELS:
        return folder.name
    if folder.parent.name == "nodes":
        return "node"
    keys = set(re.findall(r"^\s*\[*\s*(\w+)", read_text(file), flags=re.MULTILINE))
    return max(MODELS, key=lambda role: len(keys & set(MODELS[role].model_fields)))
