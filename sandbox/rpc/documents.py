"""Signed documents as messages, and back: the bytes are carried, never rebuilt."""

from __future__ import annotations

from sandbox.crypto.identity import Signed
from sandbox.rpc import common_pb2


def to_message(signed: Signed) -> common_pb2.Document:
    """Return the message that carries `signed`."""
    return common_pb2.Document(
        kind=signed.kind, body=signed.body, signer=signed.signer, signature=signed.signature
    )


def from_message(message: common_pb2.Document) -> Signed:
    """Return the signed document in `message`; it is not verified yet."""
    return Signed(message.kind, message.body, message.signer, message.signature)
