"""A join's frames on the wire: protobuf's bytes, read without it where they are as it writes them."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from sandbox.rpc import common_pb2, node_pb2
from sandbox.rpc.joinparts import Frame, read_part, write_part

frames = st.builds(Frame, st.text(max_size=200), st.binary(max_size=40_000))


def protobuf(frame: Frame) -> node_pb2.JoinPart:
    payload = bytes(frame.payload)
    return node_pb2.JoinPart(frame=node_pb2.JoinFrame(party=frame.party, payload=payload))


@given(frames)
def test_a_frame_is_written_as_protobuf_writes_it(frame: Frame) -> None:
    written = write_part(frame)
    # Protobuf leaves out empty fields; it reads them.
    if frame.party and len(frame.payload):
        assert written == protobuf(frame).SerializeToString()
    assert node_pb2.JoinPart.FromString(written) == protobuf(frame)


@given(frames)
def test_a_frame_of_any_protobuf_library_is_read(frame: Frame) -> None:
    for written in (write_part(frame), protobuf(frame).SerializeToString()):
        read = read_part(written)
        assert isinstance(read, Frame)
        assert (read.party, bytes(read.payload)) == (frame.party, bytes(frame.payload))


def test_fields_in_another_order_or_given_twice_are_read_as_protobuf_reads_them() -> None:
    party, payload = b"\x0a\x01a", b"\x12\x02xy"
    for inner in (payload + party, party + party + payload, party + payload + payload):
        read = read_part(b"\x12" + bytes([len(inner)]) + inner)
        assert read == Frame("a", b"xy")


def test_other_parts_pass_as_protobuf() -> None:
    for part in (
        node_pb2.JoinPart(start=node_pb2.ComputeRequest(job_digest="ab")),
        node_pb2.JoinPart(committed=common_pb2.Empty()),
        node_pb2.JoinPart(),
    ):
        assert read_part(write_part(part)) == part


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x12", b"\x12\x05\x0a", b"\x12\xff\xff\xff\xff\x0f"]),
)
def test_any_bytes_are_read_as_protobuf_reads_them_or_refused(rest: bytes, start: bytes) -> None:
    message = start + rest
    try:
        expected = node_pb2.JoinPart.FromString(message)
    except DecodeError:
        with pytest.raises(DecodeError):
            read_part(message)
        return
    read = read_part(message)
    assert (protobuf(read) if isinstance(read, Frame) else read) == expected
