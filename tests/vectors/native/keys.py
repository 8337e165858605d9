"""Join keys encoded and hashed by an independent, slow model, which writes keys.json when run.

The encoding and the hash are those of docs/protocols.md, section 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.vectors.native import blake3

Value = int | str | bytes


def encode(key: tuple[Value, ...]) -> bytes:
    """The canonical encoding of a composite key."""
    out = b""
    for value in key:
        if isinstance(value, int):
            out += b"\x01" + value.to_bytes(8, "little", signed=True)
        else:
            text = value.encode() if isinstance(value, str) else value
            kind = b"\x02" if isinstance(value, str) else b"\x03"
            out += kind + len(text).to_bytes(4, "little") + text
    return out.ljust(-len(out) // 64 * -64, b"\0")


def hash_key(session: bytes, key: tuple[Value, ...]) -> bytes:
    """The 16 bytes that leave the provider."""
    return blake3.keyed(session, encode(key), 16)


CASES: Final[tuple[tuple[Value, ...], ...]] = (
    (42,),
    ("42",),
    (b"42",),
    (-(2**63),),
    ("",),
    ("", ""),
    ("ab", "c"),
    ("a", "bc"),
    ("x" * 59,),
    ("x" * 60,),
    ("日本", 7, b"\0"),
    ("y" * 300, 1),
)


def main() -> None:
    session = b"whats the Elvish word for friend"
    cases = [
        {
            "key": [value.hex() if isinstance(value, bytes) else value for value in case],
            "binary": [isinstance(value, bytes) for value in case],
            "hash": hash_key(session, case).hex(),
        }
        for case in CASES
    ]
    vectors = {"session_key": session.hex(), "cases": cases}
    Path(__file__).with_name("keys.json").write_text(
        json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main()
