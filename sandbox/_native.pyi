"""The Rust kernels (native/).

Arguments are read-only contiguous buffers; results are buffers that own their memory.
"""

from typing_extensions import Buffer as ReadOnly

class Buffer:
    """Bytes in the kernels' own memory; numpy.frombuffer, pyarrow.py_buffer read them in place."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def expand(seed: ReadOnly, blocks: int) -> Buffer:
    """The first `blocks` blocks of AES-128 over the counters 0, 1, … (16 bytes, little-endian)."""
