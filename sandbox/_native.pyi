"""The Rust kernels (native/).

Arguments are read-only contiguous buffers; results are buffers that own their memory.
"""

from collections.abc import Sequence

from typing_extensions import Buffer as ReadOnly

class Buffer:
    """Bytes in the kernels' own memory; numpy.frombuffer, pyarrow.py_buffer read them in place."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def expand(seed: ReadOnly, blocks: int) -> Buffer:
    """The first `blocks` blocks of AES-128 over the counters 0, 1, … (16 bytes, little-endian)."""

class PeerError(ValueError):
    """A peer's bytes do not have the shape that the session fixed, or failed a check."""

class KeyColumn:
    """One column of a join key: an Arrow array's buffers, offset and length."""

    @staticmethod
    def int64(
        values: ReadOnly, validity: ReadOnly | None, offset: int, length: int
    ) -> KeyColumn: ...
    @staticmethod
    def utf8(
        offsets: ReadOnly,
        data: ReadOnly,
        validity: ReadOnly | None,
        offset: int,
        length: int,
        *,
        large: bool,
    ) -> KeyColumn:
        """`large`: offsets of 64 bits, not 32."""

    @staticmethod
    def binary(
        offsets: ReadOnly,
        data: ReadOnly,
        validity: ReadOnly | None,
        offset: int,
        length: int,
        *,
        large: bool,
    ) -> KeyColumn:
        """`large`: offsets of 64 bits, not 32."""

def hash_keys(columns: Sequence[KeyColumn], key: ReadOnly) -> tuple[Buffer, Buffer]:
    """BLAKE3 under a 32-byte key, 16 bytes per row; a byte per row: 0 where a column is NULL."""

def permutation(seed: ReadOnly, items: int) -> Buffer:
    """A uniform permutation of 0..items from a 32-byte seed, as uint32."""

def take(values: ReadOnly, width: int, order: ReadOnly) -> Buffer:
    """`values[order]` for elements of 4, 8 or 16 bytes; `order` is uint32."""

def match_tags(parties: Sequence[ReadOnly], seed: ReadOnly) -> list[Buffer]:
    """Slots (uint32, in 0..M, M = all rows) of 2 to 5 parties' distinct 16-byte tags; equal ones share.

    PeerError if a party states a tag twice.
    """

class PsiReceiver:
    """The party of a private set intersection that learns which of its keys the other has.

    receiver, sender: what each set is padded to. session: 32 bytes that name this run and no other.
    keys: distinct, 16 bytes each. secret: 32 bytes drawn for this session.
    """

    def __init__(
        self,
        receiver: int,
        sender: int,
        session: ReadOnly,
        keys: ReadOnly,
        secret: ReadOnly,
        *,
        malicious: bool,
    ) -> None: ...
    def awaits(self) -> int | None:
        """Bytes of the message that comes next, which may be 0; None at the end."""
    def advance(self, message: ReadOnly) -> Buffer:
        """Take the message that comes next, return the one to send (empty at the end).

        Raises PeerError for another length or a failed check; nothing follows then.
        """
    def matches(self) -> Buffer:
        """The indices of the keys that the sender has, 32-bit, once all messages have come."""

class PsiSender:
    """The party of a private set intersection that learns nothing; see PsiReceiver."""

    @staticmethod
    def start(
        receiver: int,
        sender: int,
        session: ReadOnly,
        keys: ReadOnly,
        secret: ReadOnly,
        *,
        malicious: bool,
    ) -> tuple[PsiSender, Buffer]:
        """The sender and its first message."""
    def awaits(self) -> int | None:
        """Bytes of the message that comes next, which may be 0; None at the end."""
    def advance(self, message: ReadOnly) -> Buffer:
        """Take the message that comes next, return the one to send; raises as PsiReceiver's."""
