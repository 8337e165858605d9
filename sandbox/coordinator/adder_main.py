"""`python -m sandbox.coordinator.adder_main FD COUNT`: workers that add one job's shares and exit."""

from __future__ import annotations

from sandbox import disposable
from sandbox.crypto import he
from sandbox.crypto.rings import RINGS
from sandbox.disposable import Header, Talker


def imports() -> None:
    """Import and learn what adding needs, so that children inherit it; starts no thread."""
    # Left to children, both imports would be most of what adding costs.
    import pyarrow  # noqa: F401
    import tenseal  # noqa: F401

    he.learn_workspaces(disposable.in_a_child(he.workspaces_document))


def prepare() -> Talker:
    """Return what adds vectors. Small queries, which wait for it, find their ring ready."""
    he.prepare_to_add(RINGS[0])
    return disposable.watched(add)


def add(request: Header, part: bytes) -> tuple[Header, bytes]:
    """Add the vectors that lie in `part` one after the other, in bytes as `sizes` says."""
    vectors: list[bytes] = []
    start = 0
    for size in request["sizes"]:
        vectors.append(part[start : start + size])
        start += size
    return {}, he.add(vectors)


def main() -> None:
    """Serve until the coordinator is gone."""
    disposable.run(imports, prepare)


if __name__ == "__main__":
    main()
