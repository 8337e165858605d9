"""Break j46: members look for the dummies, too, whose number hides how many rows match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sandbox import _native
from sandbox.crypto.join.shape import TAG_BYTES
from sandbox.crypto.join.verified import MatchingCheck
from sandbox.crypto.join.words import Words


def apply() -> None:
    columns = MatchingCheck.columns

    def of_all(self: MatchingCheck, tags: Sequence[_native.Buffer], checks: slice) -> Words:
        # Check tags come after the rows' own, dummies after them.
        h, g = self._words(tags[1:3])
        self._expected = int(np.sum(h * g, dtype=np.uint64))
        dummies = len(tags[2]) // TAG_BYTES
        return columns(self, tags, slice(checks.start, checks.stop + dummies))

    MatchingCheck.columns = of_all  # type: ignore[method-assign]
