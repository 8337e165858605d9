"""Attacks by Arrow from a peer (THREATS.md 11): nothing reads it."""

from __future__ import annotations

import ast
from pathlib import Path

import nodes
import sandbox
from sandbox.rpc import coordinator_pb2
from tests.attacks.attacker import (
    Target,
    calling,
    outcome,
)

READERS = {
    "open_stream",
    "open_file",
    "read_message",
    "read_record_batch",
    "read_tensor",
    "RecordBatchStreamReader",
    "RecordBatchFileReader",
    "read_feather",
    "read_table_feather",
    "deserialize",
    "read_schema",
}


OWN_SPILL = "psi_rows.py open_stream"
"""What the same worker wrote, into a file that has no name and ends with it."""


def test_attack_11_nothing_reads_arrow_from_a_peer() -> None:
    """Shares travel as ciphertext and documents as JSON. A reader of Arrow IPC has no place here
    before it validates in full: 135 of 700 mutated streams crashed one that did not (THREATS.md)."""
    found = []
    for package in (sandbox, nodes):
        for folder in package.__path__:
            for file in Path(folder).rglob("*.py"):
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                    name = {
                        ast.Attribute: lambda n: n.attr,
                        ast.Name: lambda n: n.id,
                        ast.alias: lambda n: n.name.rpartition(".")[2],
                    }.get(type(node), lambda n: "")(node)
                    if name in READERS or name == "feather":
                        found.append(f"{file.name} {name}")
    assert found == [OWN_SPILL]


def test_attack_11_hostile_arrow_sent_as_a_share_or_context_is_refused(target: Target) -> None:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    table = pa.table({"x": [1, 2, 3]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream = sink.getvalue().to_pybytes()
    part = coordinator_pb2.UploadPart(digest="0" * 64, ring="bfv-4096-40", chunk=stream)
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        found = outcome(stub.PutContext, iter([part]))
    assert found.code == "SB-3050"
