"""What an attacker can do in a deployment of tests: certificates of any kind, raw calls and frames,
documents that say what he likes."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc

from nodes.vault import Vault
from sandbox.audit.export import Record
from sandbox.client import Session
from sandbox.config import load_coordinator, load_node
from sandbox.crypto.certificates import CA_CERTIFICATE, Authority, issue, new_tls_key_and_csr
from sandbox.crypto.identity import Identity, Role, Signed
from sandbox.jobs import JOB_KIND
from sandbox.rpc import common_pb2, coordinator_pb2_grpc, node_pb2, node_pb2_grpc
from sandbox.rpc.documents import to_message
from sandbox.rpc.problems import METADATA_KEY
from sandbox.submission import Terms, draft_job

TIMEOUT_S = 10.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7


@dataclass(frozen=True)
class Outcome:
    """What became of a call: gRPC's status, and the code of the error that came with it."""

    status: grpc.StatusCode
    code: str
    reply: Any = None


@dataclass(frozen=True)
class Target:
    """A running deployment. `rival`: a second researcher, enrolled and pinned like the first."""

    folder: Path
    researcher: Identity
    rival: Identity

    def profile(self, party: str) -> Path:
        """Return the folder of a party, node or attacker."""
        node = self.folder / "nodes" / party
        return node if node.is_dir() else self.folder / party

    def log(self, party: str) -> str:
        """Return what a server has printed."""
        return (self.profile(party) / "process.log").read_text(encoding="utf-8")

    def entries(self, node: str) -> list[Record]:
        """Return what a node has logged."""
        profile = self.profile(node)
        vault = Vault.open(profile, Identity.load(profile))
        try:
            return vault.log.entries()
        finally:
            vault.close()

    def draft(self, session: Session, statement: str, epsilon: str = "0.01") -> Signed:
        """Return a job signed by the session's researcher, its context uploaded, not submitted."""
        draft = draft_job(
            session.sql(statement).plan,
            Terms(Decimal(epsilon), Decimal("0.000001")),
            session.catalogue(),
            session.identities(),
            session._identity.public.fingerprint,
            session._coordinator.fingerprint,
            session.result_key,
            int(time.time()),
        )
        session._upload_contexts(draft.spec)
        return session._identity.sign(JOB_KIND, draft.spec.body())


def certify(
    folder: Path,
    authority: Path,
    name: str,
    role: Role,
    *,
    age: timedelta = timedelta(0),
    lifetime: timedelta = timedelta(days=30),
) -> Identity:
    """Make an identity with a certificate of `authority` in `folder`, as old as `age`."""
    identity = Identity.generate(name, role)
    identity.save(folder)
    request = new_tls_key_and_csr(folder, identity)
    made = datetime.now(UTC) - age
    loaded = Authority.load(authority)
    (folder / "tls.crt").write_bytes(
        issue(
            loaded,
            request,
            role=role,
            name=name,
            fingerprint=identity.public.fingerprint,
            not_after=made + lifetime,
            now=made,
        )
    )
    (folder / CA_CERTIFICATE).write_bytes((authority / CA_CERTIFICATE).read_bytes())
    return identity


def address(deployment: Path, party: str) -> str:
    """Return where "coordinator" or a node listens."""
    if party == "coordinator":
        return load_coordinator(deployment / "coordinator").listen
    return load_node(deployment / "nodes" / party).listen


@contextmanager
def calling(deployment: Path, party: str, profile: Path) -> Iterator[Any]:
    """Open a stub to "coordinator" or to a node with the certificate in `profile`."""
    role = "coordinator" if party == "coordinator" else "node"
    credentials = grpc.ssl_channel_credentials(
        (deployment / "ca" / CA_CERTIFICATE).read_bytes(),
        (profile / "tls.key").read_bytes(),
        (profile / "tls.crt").read_bytes(),
    )
    options = (
        ("grpc.ssl_target_name_override", f"{role}-{party}.fedsandbox"),
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    )
    stub = coordinator_pb2_grpc.CoordinatorStub if role == "coordinator" else node_pb2_grpc.NodeStub
    with grpc.secure_channel(address(deployment, party), credentials, options) as channel:
        yield stub(channel)


def outcome(method: Any, request: Any, **options: Any) -> Outcome:
    """Call and say what came of it; a stream is read to its end."""
    options.setdefault("timeout", TIMEOUT_S)
    try:
        reply = method(request, **options)
        if isinstance(reply, grpc.Call):
            reply = list(reply)
    except grpc.RpcError as error:
        metadata = {datum.key: datum.value for datum in error.trailing_metadata() or ()}
        problem = common_pb2.Problem.FromString(metadata.get(METADATA_KEY, b""))
        return Outcome(error.code(), problem.code)
    return Outcome(grpc.StatusCode.OK, "", reply)


def offered(deployment: Path, node: str, job: Signed) -> str:
    """Hand a job to a node as its coordinator would; return the code of its refusal, or ""."""
    with calling(deployment, node, deployment / "coordinator") as stub:
        request = node_pb2.OfferRequest(job=to_message(job), attempt=1)
        reply = stub.Offer(request, timeout=TIMEOUT_S)
    return str(reply.problem.code)


def altered(job: Signed, signer: Identity, **changes: Any) -> Signed:
    """Return the job with other fields, signed by `signer`."""
    body: Mapping[str, Any] = json.loads(job.body)
    return signer.sign(JOB_KIND, {**body, **changes})


class Http2:
    """A TLS connection on which single frames are sent and read (RFC 9113)."""

    def __init__(self, at: str, authority: Path, profile: Path | None) -> None:
        host, _, port = at.rpartition(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(authority / CA_CERTIFICATE)
        if profile is not None:
            context.load_cert_chain(profile / "tls.crt", profile / "tls.key")
        context.set_alpn_protocols(["h2"])
        self._plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self.tls = context.wrap_socket(self._plain)
        self.tls.sendall(PREFACE + self._frame(SETTINGS, 0, b""))

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_: object) -> None:
        self.tls.close()

    def send(self, kind: int, stream: int, payload: bytes, flags: int = 0) -> None:
        """Send one frame."""
        self.tls.sendall(self._frame(kind, stream, payload, flags))

    def open_stream(self, stream: int, path: str) -> None:
        """Send the headers of a gRPC call; HPACK literals without indexing (RFC 7541, 6.2.2)."""
        headers = (
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "x"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )
        block = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in headers
        )
        self.send(HEADERS, stream, block, flags=0x4)

    def read(self) -> tuple[int, int, bytes]:
        """Return (type, stream, payload) of the next frame; raises OSError when there is none."""
        head = self._exactly(9)
        size = int.from_bytes(head[:3], "big")
        return head[3], int.from_bytes(head[5:9], "big"), self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            part = self.tls.recv(size - len(read))
            if not part:
                raise ConnectionResetError("closed")
            read += part
        return read

    @staticmethod
    def _frame(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
        return (
            len(payload).to_bytes(3, "big")
            + bytes([kind, flags])
            + stream.to_bytes(4, "big")
            + payload
        )


def handshake(at: str, authority: Path, profile: Path | None) -> bool:
    """Tell whether a server admits a certificate: its settings come only after the handshake."""
    try:
        with Http2(at, authority, profile) as connection:
            return connection.read()[0] == SETTINGS
    except OSError:
        return False
