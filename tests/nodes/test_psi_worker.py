"""A worker's part of a PSI: what takes as long as there are keys comes before the slot."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pytest
from pyarrow import parquet

from nodes import psi_rows, psi_worker
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.machine import Machine, drive
from sandbox.crypto.join.shape import TAG_BYTES

BOUND, OTHERS = 8, ("b", "c", "d")


@pytest.mark.parametrize("bucket_keys", [BOUND, 2], ids=["in memory", "by bucket"])
def test_keys_are_hashed_and_filled_up_for_every_peer_before_the_slot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket_keys: int
) -> None:
    """Else the coordinator could time how many keys a side has, however much its size is padded."""
    acts: list[str] = []
    filled = psi_rows.filled

    def hashing(columns: Any, key: bytes) -> KeyHashes:
        acts.append("hash")
        return KeyHashes(columns, key)

    def filling(tags: memoryview, most: int) -> memoryview:
        acts.append("fill")
        return filled(tags, most)

    def sender(_: Any, __: Any, ___: Any, keys: Any, ____: Any) -> bytes:
        acts.append("send")
        return bytes(keys())

    def reader() -> pa.RecordBatchReader:
        acts.append("read")
        return pa.table({"key0": pa.array([1, 2, 3], pa.int64())}).to_reader()

    monkeypatch.setattr(psi_rows, "KeyHashes", hashing)
    monkeypatch.setattr(psi_rows, "filled", filling)
    monkeypatch.setattr(psi_worker.psi, "sender", sender)
    sent: list[bytes] = []
    wire: Any = type("Wire", (), {"drive": staticmethod(sent.append)})
    pairs = {peer: Pair(b"k" * 32, b"transcript", "a", peer) for peer in OTHERS}
    sizes = psi.Sizes(BOUND, BOUND, False, bucket_keys)
    sessions = [[[BOUND, BOUND, False, bucket_keys], peer, "a"] for peer in OTHERS]
    settings = {"temp_directory": str(tmp_path)}
    request = {"own": "a", "sessions": sessions, "settings": settings, "temp_bytes": 1 << 20}
    source = psi_worker.Source(
        lambda: psi_worker.Read(reader().read_all().columns), reader, 1, distinct=True
    )
    connection: Any = None
    psi_worker.run(connection, request, wire, pairs, source, lambda: acts.append("hold"))
    every = len(OTHERS) * sizes.buckets
    assert acts[:2] == ["send", "read"]
    held = acts.index("hold")
    assert Counter(acts[2:held]) == {"hash": len(OTHERS), "fill": every}
    assert acts[held + 1 :] == ["send"] * (every - 1)
    assert [len(tags) for tags in sent] == [sizes.of_bucket[1] * TAG_BYTES] * every
    assert len(set(sent)) == every


@pytest.mark.parametrize("bucket_keys", [BOUND, 2], ids=["in memory", "by bucket"])
def test_a_receiver_compares_once_it_has_nothing_to_send(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket_keys: int
) -> None:
    """How long it takes to find matches tells how many there are; a message after it would show it.

    Rows are read within the protocol: the peer works meanwhile.
    """
    acts: list[str] = []
    matches = psi.Compared.matches

    def receiver(_: Any, __: Any, ___: Any, keys: Any, ____: Any) -> Any:
        def run() -> psi.Compared:
            acts.append("protocol")
            own = keys()
            return psi.Compared(own, own[: 2 * TAG_BYTES], TAG_BYTES)

        return run

    def comparing(self: psi.Compared) -> Any:
        acts.append("compare")
        return matches(self)

    monkeypatch.setattr(psi_worker.psi, "receiver", receiver)
    monkeypatch.setattr(psi.Compared, "matches", comparing)
    wire: Any = type("Wire", (), {"drive": staticmethod(lambda machine: machine())})
    table = pa.table({"key0": pa.array(range(BOUND), pa.int64())})
    sizes = psi.Sizes(BOUND, BOUND, False, bucket_keys)
    request = {
        "own": "a",
        "sessions": [[[BOUND, BOUND, False, bucket_keys], "a", "b"]],
        "settings": {"temp_directory": str(tmp_path)},
        "temp_bytes": 1 << 20,
        "received": 0.0,
        "names": ["id"],
        "file": str(tmp_path / "joined.csv"),
        "format": "csv",
    }
    source = psi_worker.Source(
        lambda: psi_worker.Read(table.columns), table.to_reader, 1, distinct=False
    )
    pairs = {"b": Pair(b"k" * 32, b"transcript", "a", "b")}
    psi_worker.disclose(request, wire, pairs, source, lambda: acts.append("hold"))
    assert [*dict.fromkeys(acts)] == ["protocol", "hold", "compare"]
    assert acts.count("protocol") == acts.count("compare") == sizes.buckets
    written = (tmp_path / "joined.csv").read_text().split()
    assert written[0] == '"id"'
    assert set(map(int, written[1:])) <= set(range(BOUND))


class Threaded:
    """A wire between two workers that run in threads of one process."""

    def __init__(self, inbox: Queue[bytes], outbox: Queue[bytes]) -> None:
        self._inbox, self._outbox = inbox, outbox

    def drive(self, machine: Machine[Any]) -> Any:
        return drive(
            machine,
            lambda step: self._outbox.put(bytes(step.payload)),
            lambda _: self._inbox.get(timeout=30),
        )


def wires_between() -> tuple[Any, Any]:
    there: Queue[bytes] = Queue()
    back: Queue[bytes] = Queue()
    return Threaded(back, there), Threaded(there, back)


def source_of(
    connection: duckdb.DuckDBPyConnection, sql: str, *, distinct: bool
) -> psi_worker.Source:
    def streamed() -> pa.RecordBatchReader:
        return connection.sql(sql).to_arrow_reader(100)

    def read() -> psi_worker.Read:
        return psi_worker.Read(streamed().read_all().columns, once=True)

    return psi_worker.Source(read, streamed, 1, distinct=distinct, all_rows=True)


@pytest.mark.parametrize("bucket_keys", [300, 20], ids=["in memory", "by bucket"])
@pytest.mark.parametrize("malicious", [False, True])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_two_workers_disclose_the_ids_that_match(
    tmp_path: Path, bucket_keys: int, malicious: bool, form: str
) -> None:
    """Ids may repeat at either, and be NULL."""
    sizes = [300, 200, malicious, bucket_keys]
    rows = {
        "a": "SELECT nullif(i % 250, 3)::BIGINT AS key0, '<' || nullif(i % 250, 3) || '>' AS own0 "
        "FROM range(300) t(i)",
        "b": "SELECT (i % 100 + 200)::BIGINT AS key0 FROM range(150) t(i)",
    }
    wires = dict(zip("ab", wires_between(), strict=True))

    def work(own: str, other: str) -> object:
        request = {
            "own": own,
            "sessions": [[sizes, "a", "b"]],
            "settings": {"temp_directory": str(tmp_path)},
            "temp_bytes": 1 << 20,
            "received": 0.0,
            "names": ["id"],
            "file": str(tmp_path / "joined"),
            "format": form,
        }
        pairs = {other: Pair(b"k" * 32, b"transcript", own, other)}
        with duckdb.connect() as connection:
            source = source_of(connection, rows[own], distinct=False)
            return psi_worker.disclose(request, wires[own], pairs, source, lambda: None)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, *names) for names in ("ab", "ba")]:
            assert set(done.result()) >= {"reading", "hashing", "holding", "matching"}
    found = (
        pyarrow.csv.read_csv(tmp_path / "joined")
        if form == "csv"
        else parquet.read_table(tmp_path / "joined")
    )
    assert sorted(found["id"].to_pylist()) == [f"<{n}>" for n in range(200, 250)]
    assert [file.name for file in tmp_path.iterdir()] == ["joined"]


@pytest.mark.parametrize("bucket_keys", [300, 20], ids=["in memory", "by bucket"])
def test_a_worker_counts_rows_whose_key_either_of_two_senders_has(
    tmp_path: Path, bucket_keys: int
) -> None:
    sizes = [300, 200, False, bucket_keys]
    rows = {
        "a": "SELECT i::BIGINT AS key0 FROM range(300) t(i)",
        "b": "SELECT (i + 100)::BIGINT AS key0 FROM range(50) t(i)",
        "c": "SELECT (i + 140)::BIGINT AS key0 FROM range(50) t(i)",
    }
    own_b, b = wires_between()
    own_c, c = wires_between()

    class Both:
        """One wire for both sessions, by turns: the machine says whom it speaks with."""

        def __init__(self) -> None:
            self._wires = iter([own_b] * buckets + [own_c] * buckets)

        def drive(self, machine: Machine[Any]) -> Any:
            return next(self._wires).drive(machine)

    buckets = psi.Sizes(300, 200, False, bucket_keys).buckets
    wires: dict[str, Any] = {"a": Both(), "b": b, "c": c}

    def work(own: str) -> list[list[int]]:
        others = ["b", "c"] if own == "a" else ["a"]
        request = {
            "own": own,
            "sessions": [[sizes, "a", other] for other in "bc" if own in ("a", other)],
            "settings": {"temp_directory": str(tmp_path)},
            "temp_bytes": 1 << 20,
            "once_sql": "SELECT count(*) FROM range(300) t(i) WHERE i IN (SELECT key0 FROM matched)",
        }
        pairs = {
            other: Pair(min(own, other).encode() * 32, max(own, other).encode(), own, other)
            for other in others
        }
        with duckdb.connect() as connection:
            source = source_of(connection, rows[own], distinct=True)
            return psi_worker.run(connection, request, wires[own], pairs, source, lambda: None)

    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(work, own) for own in "abc"]
        assert [each.result() for each in done] == [[[90]], [], []]


def test_a_worker_never_imports_pandas() -> None:
    """That takes a fifth of a second, and pyarrow does it by itself for an array of numpy's."""
    program = """
import sys
import duckdb
import numpy as np
from nodes import join_worker, psi_rows
table = duckdb.sql("VALUES ('a'), (NULL), ('b'), ('a'), ('c')").to_arrow_table()
rows = psi_rows.Whole([*table.columns, *table.columns], 1, b"k" * 32, 8)
found = np.array([1, 0, 1, 0, 1, 0, 0, 0], np.bool_)
rows.learn(0, type("Compared", (), {"matches": lambda _: found})())
((kept,),) = rows.matched()
assert "pandas" not in sys.modules
assert kept.to_pylist() == ["a", "a", "c"], kept
"""
    subprocess.run([sys.executable, "-c", program], check=True)
