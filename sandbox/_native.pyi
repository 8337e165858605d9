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

def hash_keys(chunks: Sequence[Sequence[KeyColumn]], key: ReadOnly) -> tuple[Buffer, Buffer]:
    """BLAKE3 under a 32-byte key, 16 bytes per row; a byte per row: 0 where a column is NULL.

    Each chunk of rows has all columns of the key.
    """

def is_plain(column: KeyColumn) -> bool:
    """Whether every text is ASCII, not empty, and has no blank at either end; NULL and integers are."""

def permutation(seed: ReadOnly, items: int) -> Buffer:
    """A uniform permutation of 0..items from a 32-byte seed, as uint32."""

def take(parts: Sequence[ReadOnly], width: int, order: ReadOnly) -> Buffer:
    """`values[order]` for elements of 4, 8 or 16 bytes, the values of all parts; `order` is uint32."""

def shorten_tags(parts: Sequence[ReadOnly], width: int, order: ReadOnly) -> Buffer:
    """The last `width` bytes, 1 to 16, of `tags[order]`, the 16-byte tags of all parts."""

def lengthen_tags(tags: ReadOnly, width: int) -> Buffer:
    """16-byte tags of shortened ones, zeros for what was left out; PeerError unless they are whole."""

def match_tags(parties: Sequence[ReadOnly], seed: ReadOnly) -> list[Buffer]:
    """Slots (uint32, in 0..M, M = all rows) of 2 to 5 parties' distinct 16-byte tags; equal ones share.

    PeerError if a party states a tag twice.
    """

def has_repeats(hashes: ReadOnly, present: ReadOnly) -> bool:
    """Whether two rows that are present (a byte each) have equal 16-byte hashes.

    By chance, without equal ones, with probability rows^2 / 2^65.
    """

SLOTS_PER_CHUNK: int
"""A message is one or more whole chunks: 8 bytes × columns × this many slots (the last: the rest)."""

class Placement:
    """Where a party's rows lie among `total` slots; made once for a matching."""

    def __init__(self, total: int, slots: ReadOnly, order: ReadOnly | None = None) -> None:
        """`slots[i]` (uint32) is the slot of row `order[i]` (uint32; without it of row i).

        PeerError if a slot is outside or given twice.
        """
    @property
    def slots(self) -> int: ...

class SlotColumns:
    """A party's factor: 1 to 64 columns of 64-bit words over all slots."""

    @staticmethod
    def placed(placement: Placement, columns: Sequence[ReadOnly]) -> SlotColumns:
        """Columns over rows; a row of the placement past a column's end is a dummy: zero."""
    @staticmethod
    def dense(slots: int, columns: int, words: ReadOnly) -> SlotColumns:
        """Shares of every slot, as the messages of a SlotwiseProduct, joined, have them."""
    @property
    def slots(self) -> int: ...
    @property
    def columns(self) -> int: ...

def local_product(x: SlotColumns, y: SlotColumns) -> Buffer:
    """XᵀY of two factors of one party: p × q words, row by row."""

def deal_inner(seed_a: ReadOnly, seed_b: ReadOnly, slots: int, p: int, q: int) -> Buffer:
    """The dealer's p × q words for B, from both parties' 16-byte seeds."""

class InnerProduct:
    """One party of XᵀY on shares modulo 2^64: X (p columns) is A's, Y (q columns) is B's."""

    @staticmethod
    def a(own: SlotColumns, peer_columns: int, seed: ReadOnly) -> InnerProduct:
        """A's party; the seed (16 bytes) is fresh, its own, and sealed to the dealer."""
    @staticmethod
    def b(own: SlotColumns, peer_columns: int, seed: ReadOnly) -> InnerProduct: ...
    def next_message(self, chunks: int) -> Buffer:
        """The next chunks for the peer; empty at the end."""
    def absorb(self, message: ReadOnly) -> None:
        """Take the peer's next chunks, however they are cut. PeerError if they are not whole."""
    def finish(self, w_b: ReadOnly | None = None) -> Buffer:
        """This party's share, p × q words; B gives what the dealer dealt."""

class MaskedFactor:
    """One party of XᵀY that the coordinator evaluates on masked columns: X is the left's.

    Both parties know the seeds of both masks (16 bytes, fresh); the coordinator knows neither. Words go
    by their `width` low bytes, 1 to 8, and only so many of a share mean anything. With a common seed of
    what checks X the left one sends one more column, and words go by 1 to 16 bytes.
    """

    def __init__(
        self,
        own: SlotColumns,
        peer_columns: int,
        width: int,
        seed_u: ReadOnly,
        seed_v: ReadOnly,
        seed_alpha: ReadOnly | None = None,
        *,
        left: bool,
    ) -> None: ...
    def next_message(self, chunks: int) -> Buffer:
        """The next chunks for the coordinator; empty at the end."""
    def finish_left(self, dealt: ReadOnly) -> tuple[Buffer, Buffer]:
        """The left's share (p × q words of 8 bytes) from what the coordinator handed it, and what it
        compares with the right's if it checks: q numbers of 16 bytes, equal if the coordinator
        multiplied."""
    def finish_right(self, seed_r: ReadOnly) -> tuple[Buffer, Buffer]:
        """The right's share, and what it compares; the seed is its own, and sent to the coordinator."""

class Evaluator:
    """The coordinator of a product of masked factors, p columns by q, words of `width` bytes; p is
    without the column that checks."""

    def __init__(
        self, slots: int, p: int, q: int, width: int, *, verified: bool = False
    ) -> None: ...
    def absorb(self, a: ReadOnly, b: ReadOnly) -> None:
        """Take the next chunks of both, the same ones. PeerError if they are not whole."""
    def finish(self, seed_r: ReadOnly) -> Buffer:
        """What the left is handed, blinded for the right: p × q words of 8 bytes, of a verified product
        (p + 1) × q of 16."""

class Equality:
    """One party of a test whether two values are equal, which tells nothing else of either."""

    @staticmethod
    def start(session: ReadOnly, value: ReadOnly, entropy: ReadOnly) -> tuple[Equality, Buffer]:
        """The party, and the point for its peer (32 bytes). session: 32 bytes that both have, fresh;
        entropy: 64 bytes."""
    def finish(self, point: ReadOnly, *, left: bool) -> tuple[Buffer, Buffer]:
        """What this party sends after the peer's point came, and what it is sent if the values are
        equal: 32 bytes each. PeerError for what is no point."""

class SlotwiseDealer:
    """The dealer of a SlotwiseProduct: a stream for B."""

    def __init__(
        self,
        seed_a: ReadOnly,
        seed_b: ReadOnly,
        slots: int,
        p: int,
        q: int,
        pairs: Sequence[tuple[int, int]],
    ) -> None: ...
    def next_message(self, chunks: int) -> Buffer: ...

class SlotwiseProduct:
    """One party of x_i·y_j in every slot, on shares, for pairs (i, j) of A's and B's columns."""

    @staticmethod
    def a(
        own: SlotColumns, peer_columns: int, pairs: Sequence[tuple[int, int]], seed: ReadOnly
    ) -> SlotwiseProduct: ...
    @staticmethod
    def b(
        own: SlotColumns, peer_columns: int, pairs: Sequence[tuple[int, int]], seed: ReadOnly
    ) -> SlotwiseProduct: ...
    def next_message(self, chunks: int) -> Buffer:
        """The next chunks for the peer; empty at the end."""
    def absorb(self, message: ReadOnly, w_b: ReadOnly | None = None) -> Buffer:
        """This party's shares of those slots; B gives the dealer's chunks of the same slots."""

def zero_share(key: ReadOnly, context: ReadOnly, outputs: int, *, negative: bool) -> Buffer:
    """Words that re-randomise a pair's outputs, from its 32-byte key; one side takes the negatives."""

def psi_digest(receiver: int, sender: int, *, malicious: bool, buckets: int = 1) -> Buffer:
    """32 bytes that differ wherever two builds or parties would not understand each other."""

def bucket_keys(keys: int, buckets: int) -> int:
    """What a bucket of a set of so many keys is padded to: one of `buckets` has more with 2^-41."""

def psi_matches(own: ReadOnly, answer: ReadOnly, width: int) -> Buffer:
    """For each own 16-byte value a byte, 1 if its first `width` bytes occur in `answer`, else 0."""

class PsiReceiver:
    """The party of a private set intersection that learns which of its keys the other has.

    receiver, sender: what each set is padded to. session: 32 bytes that name this run and no other.
    secret: 32 bytes drawn for this session. buckets: how many such intersections the join has.
    """

    def __init__(
        self,
        receiver: int,
        sender: int,
        session: ReadOnly,
        secret: ReadOnly,
        *,
        malicious: bool,
        buckets: int = 1,
    ) -> None: ...
    def wants_keys(self) -> bool:
        """Whether the next message to be sent is the first that depends on keys, not taken yet."""
    def take_keys(self, keys: ReadOnly) -> None:
        """Take distinct keys, 16 bytes each, once. RuntimeError if no seed of a few encodes them."""
    def awaits(self) -> int | None:
        """Bytes of the message that comes next, which may be 0; None at the end."""
    def take(self, message: ReadOnly) -> None:
        """Take the message that comes next; all parts of the reply must be asked for then.

        Raises PeerError for another length or a failed check; nothing follows then.
        """
    def next_part(self) -> Buffer | None:
        """The next part of the reply, made when it is asked for; None once all is said."""
    def catch_up(self) -> None:
        """Do what the peer need not wait for, after a message was sent; `take` does it else."""
    def take_values(self) -> Buffer:
        """What is compared, 16 bytes for each key, after the last message; once: see psi_matches."""
    @property
    def value_bytes(self) -> int:
        """Bytes of each of the sender's values, with which the last message begins."""

class PsiSender:
    """The party of a private set intersection that learns nothing; see PsiReceiver."""

    @staticmethod
    def start(
        receiver: int,
        sender: int,
        session: ReadOnly,
        secret: ReadOnly,
        *,
        malicious: bool,
        buckets: int = 1,
    ) -> tuple[PsiSender, Buffer]:
        """The sender and its first message."""
    def wants_keys(self) -> bool:
        """Whether the next message to be sent is the first that depends on keys, not taken yet."""
    def take_keys(self, keys: ReadOnly) -> None:
        """Take distinct keys, 16 bytes each, once. RuntimeError if no seed of a few encodes them."""
    def awaits(self) -> int | None:
        """Bytes of the message that comes next, which may be 0; None at the end."""
    def advance(self, message: ReadOnly) -> Buffer:
        """Take the message that comes next, return the one to send; raises as PsiReceiver's `take`."""
    def absorbs(self) -> bool:
        """Whether the message that comes next may be absorbed piece by piece."""
    def absorb(self, piece: ReadOnly) -> None:
        """Work on a piece of the message that comes next, of whole blocks; what is left of it, or an
        empty message, is for `advance`. Raises as that does."""

def okvs_length(items: int, buckets: int) -> int:
    """Blocks of an encoding of at most `items` keys, in a join of `buckets` encodings."""

def okvs_encode(
    items: int, buckets: int, seed: ReadOnly, keys: ReadOnly, values: ReadOnly
) -> Buffer:
    """The encoding that decodes each 16-byte key to its value; RuntimeError if this seed fails."""

def okvs_decode(
    items: int, buckets: int, seed: ReadOnly, keys: ReadOnly, encoding: ReadOnly
) -> Buffer:
    """What 16-byte keys decode to; PeerError if the encoding has another length."""
