"""A worker's part of a PSI: what takes as long as there are keys comes before the slot."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from nodes import psi_worker
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes

BOUND, OTHERS = 8, ("b", "c", "d")


def test_keys_are_hashed_and_filled_up_for_every_peer_before_the_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the coordinator could time how many keys a side has, however much its size is padded."""
    acts: list[str] = []
    filled = psi_worker._filled

    def hashing(columns: Any, key: bytes) -> KeyHashes:
        acts.append("hash")
        return KeyHashes(columns, key)

    def filling(tags: memoryview, most: int) -> memoryview:
        acts.append("fill")
        return filled(tags, most)

    def sender(_: Any, __: Any, keys: Any, ___: Any) -> bytes:
        acts.append("send")
        return bytes(keys())

    def read() -> list[pa.ChunkedArray]:
        acts.append("read")
        return [pa.chunked_array([pa.array([1, 2, 3], pa.int64())])]

    monkeypatch.setattr(psi_worker, "KeyHashes", hashing)
    monkeypatch.setattr(psi_worker, "_filled", filling)
    monkeypatch.setattr(psi_worker.psi, "sender", sender)
    sent: list[bytes] = []
    wire: Any = type("Wire", (), {"drive": staticmethod(sent.append)})
    pairs = {peer: Pair(b"k" * 32, b"transcript", "a", peer) for peer in OTHERS}
    sessions = [[[BOUND, BOUND, False], peer, "a"] for peer in OTHERS]
    request = {"own": "a", "sessions": sessions}
    connection: Any = None
    psi_worker.run(connection, request, wire, pairs, read, lambda: acts.append("hold"))
    assert acts == ["send", "read", *["hash", "fill"] * 3, "hold", "send", "send"]
    assert [len(tags) for tags in sent] == [BOUND * psi_worker.TAG_BYTES] * 3
    assert len(set(sent)) == 3
