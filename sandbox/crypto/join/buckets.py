"""Pseudorandom tags cut into buckets by their leading bits: what exceeds memory is met bucket by bucket.

Tags of different buckets differ, so that a bucket can be matched or intersected without the others; and
how many fall into one is binomial, whatever the keys were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sandbox.crypto.join.shape import TAG_BYTES

MOST_BUCKETS = 1 << 16


def buckets_for(tags: int, of_bucket: int) -> int:
    """Return the least power of two of buckets that have at most `of_bucket` tags on average."""
    return 1 << (max(1, -(-tags // of_bucket)) - 1).bit_length()


def cut(tags: memoryview, buckets: int) -> tuple[NDArray[np.intp], list[slice]]:
    """Return an order of `tags` (16 bytes each) in which a bucket's follow each other as they came, and
    each bucket's part of it. buckets: a power of two, at most MOST_BUCKETS."""
    words = np.frombuffer(tags, "<u2").reshape(-1, TAG_BYTES // 2)[:, -1]
    bucket = words // np.uint16(MOST_BUCKETS // buckets) if buckets > 1 else np.zeros_like(words)
    order = np.argsort(bucket, kind="stable")
    sizes = np.bincount(bucket, minlength=buckets)
    ends = np.cumsum(sizes)
    return order, [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
