"""What `sandbox doctor` examines, each finding with what to do about it. Every wait is bounded."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.cli.profile import coordinator_of
from sandbox.errors import InputError, SandboxError
from sandbox.messages import text

if TYPE_CHECKING:
    from sandbox.crypto.identity import PublicIdentity
    from sandbox.health import NodeHealth

PEER_TIMEOUT_S = 5.0
EXPIRES_SOON = timedelta(days=30)
DISK_NEEDED_BYTES = 2 << 30
SKEW_ALLOWED_MS = 60_000
PYTHONS = ((3, 11), (3, 14))
PACKAGES = (
    "cryptography",
    "duckdb",
    "grpc",
    "numpy",
    "opendp",
    "pyarrow",
    "pydantic",
    "rich",
    "sqlglot",
    "tenseal",
)


class State(StrEnum):
    """How a check ended. ATTENTION: it works, and will not for ever."""

    OK = "ok"
    ATTENTION = "attention"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, how it ended, what was found, what to do.

    party: whose it is, "" for the machine's.
    """

    name: str
    state: State
    found: str
    cure: str = ""
    party: str = ""


def examine(profile: Path | None) -> list[Check]:
    """Return the findings on this machine and, if given, on the party or deployment in `profile`."""
    checks = [_python(), *_packages(), _disk(profile or Path.cwd())]
    asked: set[str] = set()
    for folder in _party_folders(profile):
        checks.extend(replace(check, party=folder.name) for check in _party(folder, asked))
    return checks


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Check("python", State.OK, found)
    return Check("python", State.FAILED, found, text("doctor.cure_python"))


def _packages() -> Iterator[Check]:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        cure = text("doctor.cure_packages")
        yield Check("packages", State.FAILED, ", ".join(missing), cure)
    else:
        yield Check("packages", State.OK, text("doctor.packages", count=len(PACKAGES)))


def _disk(folder: Path) -> Check:
    here = next(
        parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists()
    )
    free = shutil.disk_usage(here).free
    found = text("doctor.disk", gib=f"{free / (1 << 30):.1f}", folder=here)
    if free >= DISK_NEEDED_BYTES:
        return Check("disk", State.OK, found)
    return Check("disk", State.FAILED, found, text("doctor.cure_disk"))


def _party_folders(profile: Path | None) -> list[Path]:
    if profile is None:
        return []
    if (profile / "identity.json").exists():
        return [profile]
    nodes = profile / "nodes"
    own = [profile / name for name in ("coordinator", "researcher", "supervisor")]
    own[1:1] = sorted(nodes.iterdir()) if nodes.is_dir() else []
    found = [folder for folder in own if (folder / "identity.json").exists()]
    if not found:
        raise InputError("SB-1311", folder=str(profile))
    return found


def _party(folder: Path, asked: set[str]) -> Iterator[Check]:
    """Check one party: configuration, certificate, its port, and the peers it must reach.

    asked: coordinators that have told of their nodes already.
    """
    from sandbox.config import check

    try:
        role = check(folder / "config.toml")
    except SandboxError as error:
        yield Check("configuration", State.FAILED, error.sentence, error.cure)
        return
    yield Check("configuration", State.OK, str(folder / "config.toml"))
    certificate = _certificate(folder, role)
    yield certificate
    if certificate.state is State.FAILED:
        return  # Without it nobody can be asked.
    if role == "coordinator":
        from sandbox.config import load_coordinator

        yield _served(folder, load_coordinator(folder).listen)
        return
    if role == "node":
        from sandbox.config import load_node

        yield _served(folder, load_node(folder).listen)
        yield _owners(folder)
    try:
        address, coordinator = coordinator_of(folder)
    except SandboxError as error:
        yield Check("peer", State.FAILED, error.sentence, error.cure)
        return
    yield from _peers(folder, address, coordinator, asked)


def _owners(folder: Path) -> Check:
    """Remark on a node that takes orders from anybody who may write in its folder."""
    from nodes.owners import Owners
    from sandbox.cli.owner import opened
    from sandbox.crypto.identity import load_public

    with opened(folder) as vault:
        owners = Owners(vault, load_public(folder).fingerprint).registered()
    names = ", ".join(owner.name for owner in owners.values())
    return Check("owners", State.OK, names or text("doctor.no_owners"))


def _certificate(folder: Path, role: str) -> Check:
    from sandbox.crypto.certificates import check_certificate

    own = role == "coordinator"
    cure = text("doctor.cure_own_certificate" if own else "doctor.cure_certificate", folder=folder)
    try:
        peer = check_certificate(
            (folder / "tls.crt").read_bytes(), (folder / "ca.crt").read_bytes()
        )
    except SandboxError as error:
        return Check("certificate", State.FAILED, error.sentence, cure if own else error.cure)
    except OSError as error:
        return Check("certificate", State.FAILED, str(error), cure)
    found = text("doctor.certificate", name=peer.name, date=peer.not_after.date())
    if peer.not_after - datetime.now(UTC) < EXPIRES_SOON:
        return Check("certificate", State.ATTENTION, found, cure)
    return Check("certificate", State.OK, found)


def _served(folder: Path, listen: str) -> Check:
    """Whoever listens on a party's port must be that party; nobody is fine while it is stopped."""
    import socket

    from sandbox.processes import port_is_free

    host, _, port = listen.rpartition(":")
    if port_is_free(int(port)):
        return Check("port", State.SKIPPED, text("doctor.port_free", listen=listen))
    try:
        socket.create_connection((host, int(port)), PEER_TIMEOUT_S).close()
    except OSError as error:
        found = text("doctor.port_mute", listen=listen, reason=error.strerror or error)
        return Check("port", State.FAILED, found, text("doctor.cure_port", folder=folder))
    found, ours = who_answers(folder, listen)
    cure = "" if ours else text("doctor.cure_port", folder=folder)
    return Check("port", State.OK if ours else State.FAILED, found, cure)


def who_answers(folder: Path, listen: str) -> tuple[str, bool]:
    """Return who presents itself at `listen`, and whether it is this party."""
    import socket
    import ssl

    from sandbox.crypto.certificates import peer_name
    from sandbox.crypto.identity import load_public

    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.set_alpn_protocols(["h2"])
    host, _, port = listen.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), PEER_TIMEOUT_S) as raw,
            context.wrap_socket(raw) as secured,
        ):
            certificate = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")
    except OSError as error:
        return text("doctor.port_mute", listen=listen, reason=error), False
    peer = peer_name(certificate.encode())
    found = text(
        "doctor.port_served", listen=listen, name=f"{text(f'role.{peer.role.value}')} {peer.name}"
    )
    return found, peer.fingerprint == load_public(folder).fingerprint


def _peers(
    folder: Path, address: str, coordinator: PublicIdentity, asked: set[str]
) -> Iterator[Check]:
    """Ask the coordinator, and by it every node: reachable, which version, how far the clocks are."""
    import time

    from sandbox.health import ask

    party = f"{text('role.coordinator')} {address}"
    began = time.time()
    try:
        health = ask(folder, address, coordinator)
    except SandboxError as error:
        cure = text("doctor.cure_unreachable", party=party)
        yield Check("peer", State.FAILED, error.sentence, cure)
        return
    yield Check("peer", State.OK, text("doctor.reached", party=party))
    if coordinator.fingerprint in asked:
        return
    asked.add(coordinator.fingerprint)
    yield _version(party, health.version)
    here_ms = (began + time.time()) / 2 * 1000
    skew_ms = round(health.time_ms - here_ms)
    yield _clock(text("doctor.own_skew", ms=skew_ms), skew_ms)
    for node in health.nodes:
        yield from _node(node, alone=len(health.nodes) == 1)


def _node(node: NodeHealth, *, alone: bool) -> Iterator[Check]:
    name = f"{text('role.node')} {node.identity.name} {node.address}"
    if not node.reachable:
        found = text("doctor.unreachable", party=name, reason=node.problem or "")
        yield Check("peer", State.FAILED, found, text("doctor.cure_unreachable", party=name))
        return
    if node.confirmed:
        yield Check("peer", State.OK, text("doctor.confirmed", party=name))
    else:
        # The only one has no witness: others must join before it answers, but it does run.
        state = State.ATTENTION if alone else State.FAILED
        found = text("doctor.unconfirmed", party=name)
        yield Check("peer", state, found, text("doctor.cure_unconfirmed"))
    yield _version(name, node.version)
    yield _clock(text("doctor.skew", party=name, ms=node.skew_ms), node.skew_ms)


def _clock(found: str, skew_ms: int) -> Check:
    if abs(skew_ms) > SKEW_ALLOWED_MS:
        return Check("clock", State.FAILED, found, text("doctor.cure_clock"))
    return Check("clock", State.OK, found)


def _version(party: str, version: str) -> Check:
    from sandbox.version import __version__

    found = text("doctor.version", party=party, version=version)
    if version == __version__:
        return Check("version", State.OK, found)
    cure = text("doctor.cure_version", party=party, version=__version__)
    return Check("version", State.ATTENTION, found, cure)
