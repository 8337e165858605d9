"""The messages of a join's stream: a frame's payload is cut out of its message, not copied.

A join carries hundreds of megabytes; protobuf's own classes copy each payload twice on either end.
What is written is byte for byte what they would write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from sandbox.rpc import node_pb2

METHOD = "/sandbox.v1.Node/Join"


@dataclass(frozen=True)
class Frame:
    """From a node: whom it is for. From the coordinator: whose it is."""

    party: str
    payload: bytes | memoryview


Part = Frame | node_pb2.JoinPart
"""A frame, or any other of JoinPart's kinds."""

_LENGTH_DELIMITED = 2
_FRAME = bytes([node_pb2.JoinPart.FRAME_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_PARTY = bytes([node_pb2.JoinFrame.PARTY_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_PAYLOAD = bytes([node_pb2.JoinFrame.PAYLOAD_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])


def write_part(part: Part) -> bytes:
    """Return a part as protobuf encodes it."""
    if not isinstance(part, Frame):
        return part.SerializeToString()
    party = part.party.encode()
    head = b"".join((_PARTY, _varint(len(party)), party, _PAYLOAD, _varint(len(part.payload))))
    length = _varint(len(head) + len(part.payload))
    return b"".join((_FRAME, length, head, part.payload))


def read_part(message: bytes) -> Part:
    """Return what `write_part` or any protobuf library wrote; raises DecodeError for anything else."""
    frame = _cut(message)
    if frame is not None:
        return frame
    part = node_pb2.JoinPart.FromString(message)
    if part.WhichOneof("part") == "frame":
        return Frame(part.frame.party, part.frame.payload)
    return part


def _cut(message: bytes) -> Frame | None:
    """Return the frame that `write_part` wrote; None for a message of another form."""
    try:
        at = _after(message, 0, _FRAME)
        length, at = _read_varint(message, at)
        if at + length != len(message):
            return None
        length, at = _read_varint(message, _after(message, at, _PARTY))
        party, at = message[at : at + length].decode(), at + length
        length, at = _read_varint(message, _after(message, at, _PAYLOAD))
    except (IndexError, ValueError):
        return None
    return Frame(party, memoryview(message)[at:]) if at + length == len(message) else None


def _after(message: bytes, at: int, key: bytes) -> int:
    if message[at : at + 1] != key:
        raise ValueError("another field")
    return at + 1


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends; raises IndexError or ValueError where there is none."""
    number = 0
    for shift in range(0, 35, 7):
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("too long")


def serve_join(
    server: grpc.aio.Server,
    handler: Callable[[AsyncIterator[Part], Any], AsyncIterator[Part]],
) -> None:
    """Let `handler` serve Join in the place of the generated one, whose messages are protobuf's."""
    service, method = METHOD.strip("/").split("/")
    stream = grpc.stream_stream_rpc_method_handler(
        handler, request_deserializer=read_part, response_serializer=write_part
    )
    # The generated code calls this too; grpc's stubs do not know it yet.
    server.add_registered_method_handlers(service, {method: stream})  # type: ignore[attr-defined]
