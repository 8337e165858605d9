"""A whole deployment in one folder: authority, identities, certificates, configuration, pins.

Whoever runs `init` owns every party in it, so it may pin for all of them. In production each owner
makes his own folder and pins by hand; nothing here is needed then but `make_coordinator`.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.config import (
    CONFIG_FILE,
    HOST,
    load_coordinator,
    load_node,
    one_listener,
    place_of,
    require_address,
)
from sandbox.crypto.certificates import (
    CA_CERTIFICATE,
    TLS_KEY,
    Authority,
    PeerName,
    create_authority,
    issue,
    new_tls_key_and_csr,
    peer_name,
)
from sandbox.crypto.identity import Identity, PublicIdentity, Role, load_public
from sandbox.crypto.trust import Trust
from sandbox.errors import InputError, Unavailable
from sandbox.messages import text
from sandbox.privacy.policy import default_policy
from sandbox.processes import HealthCheck, Program, port_is_free, serve_command

CERTIFICATE_LIFETIME = timedelta(days=825)
# Below the ports that operating systems give to outgoing connections (from 32768 up).
PORTS = range(20_000, 32_000)
_NODE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Party:
    """One party of a deployment; `port` is None for those that serve nothing."""

    identity: PublicIdentity
    folder: Path
    port: int | None


def init(
    folder: Path, nodes: Sequence[str], researcher: str = "researcher", base_port: int | None = None
) -> list[Party]:
    """Make a deployment in `folder`, which must be new or empty, and return its parties.

    Raises InputError: SB-1320 the folder has content, SB-1323 a name is bad or given twice,
    SB-1324 too few free ports. Nothing is left behind then.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError("SB-1320", folder=str(folder))
    _check_names([*nodes, researcher])
    if not nodes:
        raise InputError("SB-1325")
    ports = free_ports(len(nodes) + 2, base_port)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        parties = _make(draft, nodes, researcher, ports)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    folder.chmod(0o700)
    return [replace(party, folder=folder / party.folder.relative_to(draft)) for party in parties]


def make_coordinator(folder: Path, name: str, listen: str, enrol_listen: str) -> Party:
    """Make an authority and a coordinator that knows nobody yet; nodes join by invitation.

    Raises InputError SB-1320 if one is there already, SB-1134 for what is no address, SB-1133 if both
    addresses are one.
    """
    require_address(listen)
    require_address(enrol_listen)
    if one_listener(listen, enrol_listen):
        raise InputError("SB-1133", address=enrol_listen)
    if (folder / "ca").exists() or (folder / "coordinator").exists():
        raise InputError("SB-1320", folder=str(folder))
    authority = create_authority(folder / "ca")
    party = _make_party(
        authority, folder / "coordinator", name, Role.COORDINATOR, _hosts_of(listen)
    )
    _write_config(party.folder, {"name": name, "listen": listen, "enrol_listen": enrol_listen})
    return replace(party, port=int(listen.rpartition(":")[2]))


def renew_coordinator(profile: Path) -> PeerName:
    """Certify the coordinator in `profile` anew, with a new TLS key; return what its certificate says.

    Its identity stays, and with it the fingerprint that others pinned: none of them has to do
    anything. A running coordinator shows the old certificate until it is started again. Raises
    InputError SB-1397 for another party; StateError where there is no authority beside it.
    """
    identity = Identity.load(profile)
    if identity.public.role is not Role.COORDINATOR:
        raise InputError(
            "SB-1397", folder=str(profile), role=text(f"role.{identity.public.role.value}")
        )
    authority = Authority.load(profile.parent / "ca")
    hosts = _hosts_of(load_coordinator(profile).listen)
    with tempfile.TemporaryDirectory(dir=profile) as draft:
        certificate = _certified(authority, Path(draft), identity, hosts)
        # The certificate last: what stops in between, the next renewal mends.
        for name in (TLS_KEY, "tls.crt"):
            (Path(draft) / name).replace(profile / name)
    return peer_name(certificate)


def programs(folder: Path) -> list[Program]:
    """Return the processes of the deployment in `folder`; raises InputError SB-1321."""
    if not (folder / "ca").is_dir() or not (folder / "coordinator" / CONFIG_FILE).is_file():
        raise InputError("SB-1321", folder=str(folder))
    coordinator = load_coordinator(folder / "coordinator")
    found = [_program("coordinator", coordinator.name, folder / "coordinator", coordinator.listen)]
    for node_folder in _node_folders(folder):
        node = load_node(node_folder)
        found.append(_program("node", node.name, node_folder, node.listen))
    return found


def health_check(folder: Path) -> HealthCheck:
    """Return the check of the deployment in `folder`: its coordinator reaches every one of its nodes,
    has read its catalogue, and a witness has confirmed its log."""
    from sandbox.health import ask, lacking

    profile = folder / "coordinator"
    listen = load_coordinator(profile).listen
    coordinator = load_public(profile)
    nodes = [load_public(node) for node in _node_folders(folder)]
    expected = {node.fingerprint: node.name for node in nodes}

    def check() -> Unavailable | None:
        try:
            return lacking(ask(profile, listen, coordinator), expected)
        except Unavailable as error:
            return error

    return check


def free_ports(count: int, base_port: int | None = None) -> list[int]:
    """Return `count` free ports: from `base_port` up, else from a random place in PORTS.

    Raises InputError SB-1324.
    """
    if base_port is not None:
        wanted = range(base_port, base_port + count)
        taken = [port for port in wanted if port > 65_535 or not port_is_free(port)]
        if taken or base_port < 1:
            raise InputError("SB-1324", count=count, port=taken[0] if taken else base_port)
        return list(wanted)
    start = secrets.randbelow(len(PORTS))
    rotated = (PORTS[(start + step) % len(PORTS)] for step in range(len(PORTS)))
    free: list[int] = []
    for port in rotated:
        if port_is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise InputError("SB-1324", count=count, port=PORTS.start)


def _make(folder: Path, nodes: Sequence[str], researcher: str, ports: list[int]) -> list[Party]:
    authority = create_authority(folder / "ca")
    coordinator = replace(
        _make_party(authority, folder / "coordinator", "coordinator", Role.COORDINATOR),
        port=ports[0],
    )
    hosts = [
        replace(_make_party(authority, folder / "nodes" / name, name, Role.NODE), port=port)
        for name, port in zip(nodes, ports[2:], strict=True)
    ]
    asker = _make_party(authority, folder / "researcher", researcher, Role.RESEARCHER)
    reader = _make_party(authority, folder / "supervisor", "supervisor", Role.SUPERVISOR)
    parties = [coordinator, *hosts, asker, reader]
    _configure(coordinator, hosts, [asker, reader], enrol_port=ports[1])
    for party in (coordinator, asker, reader):
        trust = Trust(party.folder)
        for other in parties:
            if other is not party:
                trust.accept(other.identity)
    for host in hosts:
        _settle_node(host, [other for other in parties if other is not host], asker.identity)
    return parties


def _make_party(
    authority: Authority, folder: Path, name: str, role: Role, hosts: Sequence[str] = ()
) -> Party:
    identity = Identity.generate(name, role)
    identity.save(folder)
    _certified(authority, folder, identity, hosts)
    (folder / CA_CERTIFICATE).write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return Party(identity.public, folder, None)


def _certified(
    authority: Authority, folder: Path, identity: Identity, hosts: Sequence[str]
) -> bytes:
    """Make a TLS key and its certificate (PEM) in `folder`; return the latter."""
    request = new_tls_key_and_csr(folder, identity, hosts)
    public = identity.public
    certificate = issue(
        authority,
        request,
        role=public.role,
        name=public.name,
        fingerprint=public.fingerprint,
        not_after=datetime.now(UTC) + CERTIFICATE_LIFETIME,
    )
    (folder / "tls.crt").write_bytes(certificate)
    return certificate


def _hosts_of(listen: str) -> Sequence[str]:
    """Return what a certificate names beside this machine, for who serves at `listen`."""
    return () if place_of(listen).startswith(f"{HOST}:") else (listen.rpartition(":")[0],)


def _configure(
    coordinator: Party, nodes: Sequence[Party], clients: Sequence[Party], enrol_port: int
) -> None:
    at = f"{HOST}:{coordinator.port}"
    there = {
        "coordinator": at,
        "coordinator_fingerprint": coordinator.identity.fingerprint,
    }
    peers = [
        {
            "name": node.identity.name,
            "address": f"{HOST}:{node.port}",
            "fingerprint": node.identity.fingerprint,
        }
        for node in nodes
    ]
    _write_config(
        coordinator.folder,
        {
            "name": coordinator.identity.name,
            "listen": at,
            "enrol_listen": f"{HOST}:{enrol_port}",
            "nodes": peers,
        },
    )
    for node in nodes:
        name, listen = node.identity.name, f"{HOST}:{node.port}"
        _write_config(node.folder, {"name": name, "listen": listen, **there})
    for client in clients:
        _write_config(client.folder, {"name": client.identity.name, **there})


def _settle_node(node: Party, others: Sequence[Party], researcher: PublicIdentity) -> None:
    """Pin the others in the node's vault and let the researcher ask, both logged."""
    from nodes.registry import NODE_DEFAULT, Registry
    from nodes.vault import Vault

    vault = Vault.open(node.folder, Identity.load(node.folder))
    try:
        for other in others:
            vault.pins.pin(other.identity)
        policy = replace(default_policy(), researchers=(researcher.fingerprint,))
        Registry(vault).set_policy(NODE_DEFAULT, policy)
    finally:
        vault.close()


def _write_config(folder: Path, content: dict[str, object]) -> None:
    import tomlkit

    (folder / CONFIG_FILE).write_text(tomlkit.dumps(content), encoding="utf-8")


def _node_folders(folder: Path) -> list[Path]:
    return sorted(file.parent for file in (folder / "nodes").glob(f"*/{CONFIG_FILE}"))


def _program(role: str, name: str, folder: Path, listen: str) -> Program:
    port = int(listen.rpartition(":")[2])
    return Program(role, name, folder, port, serve_command(role, folder))


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not _NODE_NAME.fullmatch(name) or names.count(name) > 1:
            raise InputError("SB-1323", name=name)
