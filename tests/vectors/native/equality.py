"""The test of two values for equality by an independent, slow model (docs/protocols.md, section 2, 3d):
writes equality.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.vectors.native import blake3, ristretto

SESSION: Final = bytes([3] * 32)
ENTROPY: Final = (bytes(range(64)), bytes(range(100, 164)))
VALUES: Final = ((b"", b""), (b"value", b"value"), (b"value", b"other"), (bytes(300), bytes(300)))


class Party:
    """One of two; `left`: whether it is the one of that name."""

    def __init__(self, session: bytes, value: bytes, entropy: bytes, *, left: bool) -> None:
        self._session, self._left = session, left
        self._scalar = int.from_bytes(entropy, "little") % ristretto.ORDER
        text = b"fedsandbox equality point v1" + value
        point = ristretto.from_uniform(blake3.keyed(session, text, 64))
        self.point = (self._scalar * point).encode()

    def proofs(self, point: bytes) -> tuple[bytes, bytes]:
        """What this party sends, and what it is sent if the values are equal."""
        shared = (self._scalar * ristretto.decode(point)).encode()
        text = b"fedsandbox equality proof v1"
        of_left, of_right = (
            blake3.keyed(self._session, text + bytes([side]) + shared) for side in (1, 0)
        )
        return (of_left, of_right) if self._left else (of_right, of_left)


def vectors() -> list[dict[str, Any]]:
    out = []
    for values in VALUES:
        left, right = (
            Party(SESSION, value, entropy, left=side)
            for value, entropy, side in zip(values, ENTROPY, (True, False), strict=True)
        )
        (sent, awaited), (answered, expected) = (
            left.proofs(right.point),
            right.proofs(left.point),
        )
        if (sent == expected, answered == awaited) != (values[0] == values[1],) * 2:
            raise AssertionError("equality is not told")
        out.append(
            {
                "values": [value.hex() for value in values],
                "points": [left.point.hex(), right.point.hex()],
                "left": [sent.hex(), awaited.hex()],
                "right": [answered.hex(), expected.hex()],
            }
        )
    return out


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
