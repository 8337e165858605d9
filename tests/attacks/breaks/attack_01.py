"""Ask for no certificate, and recognise everybody."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import grpc

from nodes import server as node
from sandbox.coordinator import server as coordinator
from sandbox.rpc.guard import Guard


def apply() -> None:
    def credentials(profile: Path) -> grpc.ServerCredentials:
        return grpc.ssl_server_credentials(
            [((profile / "tls.key").read_bytes(), (profile / "tls.crt").read_bytes())]
        )

    node.server_credentials = credentials
    coordinator.server_credentials = credentials
    Guard._admitted = lambda self, method, context: nullcontext()  # type: ignore[method-assign]
