"""`python -m nodes.worker_main KIND FD COUNT`: a node's workers that serve one request and exit.

Rows are read, shares encrypted and joins run here, never in the node itself (sandbox/disposable.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from sandbox import disposable
from sandbox.disposable import Handler, Header, Talker

FRAGMENT, ENCRYPTION, JOIN = "fragment", "encryption", "join"


def fragments() -> Handler:
    """Open an empty DuckDB session; the handler runs one fragment in it, locked."""
    import duckdb

    from nodes import sources

    connection = duckdb.connect(":memory:")

    def run(request: Header, _: bytes) -> tuple[Header, bytes]:
        source = sources.from_document(request["source"])
        sources.require_unchanged(source)
        sources.open_locked(connection, source, request["columns"], request["settings"])
        rows = connection.execute(request["sql"]).fetchall()
        sources.require_unchanged(source)
        return {"rows": [[_plain(value) for value in row] for row in rows]}, b""

    return run


def _plain(value: Any) -> Any:
    """Return a cell number, an integer or a histogram's counts as JSON."""
    if isinstance(value, dict):
        return {int(bin_): int(count) for bin_, count in value.items() if bin_ is not None}
    return None if value is None else int(value)


def encryptions() -> Handler:
    """Return the handler that encrypts residues under a result key's public contexts."""
    import numpy as np

    from sandbox.crypto import he
    from sandbox.crypto.rings import ring_named

    def run(request: Header, part: bytes) -> tuple[Header, bytes]:
        ring, length = ring_named(request["ring"]), request["length"]
        contexts, residues = part[: request["contexts"]], part[request["contexts"] :]
        slots = np.frombuffer(residues, dtype="<u8").reshape(len(ring.plain_moduli), -1)
        return {}, he.encrypt_slots(contexts, ring, length, slots)

    return run


def joins() -> Talker:
    """Open an empty DuckDB session; the talker runs one side of a join with its rows."""
    from nodes import join_worker

    return partial(join_worker.run, join_worker.ready())


PREPARE: dict[str, Callable[[], Talker]] = {
    FRAGMENT: lambda: disposable.watched(fragments()),
    ENCRYPTION: lambda: disposable.watched(encryptions()),
    JOIN: joins,
}
"""What a worker of each kind does before it has a request."""


def imports(kind: str) -> None:
    """Import and learn what a kind needs, so that children inherit it; starts no thread."""
    if kind == FRAGMENT:
        import duckdb  # noqa: F401
        import numpy as np  # noqa: F401

        import nodes.sources
    elif kind == JOIN:
        import nodes.join_worker  # noqa: F401
    else:
        # Left to children, both imports would be most of what a share's encryption costs.
        import pyarrow  # noqa: F401
        import tenseal  # noqa: F401

        from sandbox.crypto import he

        he.learn_parameters(disposable.in_a_child(he.parameters_document))


def main() -> None:
    """Serve until the node is gone."""
    kind = sys.argv[1]
    disposable.run(partial(imports, kind), PREPARE[kind])


if __name__ == "__main__":
    main()
