"""Write the vectors beside this file from the slow models: `python -m tests.vectors.generate`."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from sandbox.crypto.rings import RINGS
from tests.audit import model as tree
from tests.crypto import model
from tests.vectors.native.blocks import aes, gcm, stream, to_bytes

HERE = Path(__file__).parent
BASE_POINT = (9).to_bytes(32, "little")
NAMES = ("fs1a", "fs1b", "fs1c")


def main() -> None:
    """Write every file anew."""
    for name, vectors in (
        ("canonical", canonical()),
        ("masks", masks()),
        ("framing", framing()),
        ("log", log()),
        ("channel", channel()),
    ):
        (HERE / f"{name}.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")


def canonical() -> dict[str, Any]:
    """Documents with their one text, and texts that are no document."""
    documents: list[dict[str, Any]] = [
        {},
        {"b": 1, "a": [True, False, None], "Z": -5, "é": 'ü\n"\\\u0001', "设备": "𝔘"},
        {"deep": {"x": [{"y": []}, {}], "": ""}, "big": 2**70},
    ]
    return {
        "good": [
            {
                "document": document,
                "text": model.canonical(document),
                "digest_as_job": model.document_digest("job", model.canonical(document)),
            }
            for document in documents
        ],
        "bad": [
            '{"b":1,"a":2}',
            '{"a":1,"a":1}',
            '{"a": 1}',
            '{"a":1.0}',
            '{"a":1e3}',
            '{"a":NaN}',
            '{"a":"\\u00e9"}',
            '{"a":1}\n',
            '{"a":01}',
            '{"a":-0}',
            "[1]",
            "7",
            "",
            '{"a":' + "[" * 3 + "}",
        ],
    }


def masks() -> list[dict[str, Any]]:
    """Every member's mask in each ring."""
    privates = {name: sha256(name.encode()).digest() for name in NAMES}
    publics = {name: model.x25519(key, BASE_POINT) for name, key in privates.items()}
    transcript = sha256(b"job and roster").digest()
    return [
        {
            "ring": ring.name,
            "length": length,
            "transcript": transcript.hex(),
            "private": {name: key.hex() for name, key in privates.items()},
            "public": {name: key.hex() for name, key in publics.items()},
            "masks": {
                name: [
                    model.mask(name, privates[name], publics, transcript, t, ring.slots(length))
                    for t in ring.plain_moduli
                ]
                for name in NAMES
            },
        }
        for ring, length in zip(RINGS, (3, 1, 2), strict=True)
    ]


def framing() -> list[dict[str, Any]]:
    """Two members' frames, in full for short vectors and by digest where there are two chunks."""
    seed, transcript = bytes(range(32)), sha256(b"job and roster").digest()
    cases: list[dict[str, Any]] = []
    for ring, length in zip((*RINGS, RINGS[0]), (4, 3, 5, 4100), strict=True):
        values = [(-1) ** i * (i * i * 12345 + i) for i in range(length)]
        slots = [
            model.frame(values, t, ring.chunk_values, seed, transcript, "fs1a")
            for t in ring.plain_moduli
        ]
        text = ",".join(str(slot) for row in slots for slot in row)
        short = {"values": values, "slots": slots} if length < 10 else {}
        cases.append(
            {
                "ring": ring.name,
                "length": length,
                "seed": seed.hex(),
                "transcript": transcript.hex(),
                "member": "fs1a",
                "sha256_of_slots": sha256(text.encode()).hexdigest(),
                **short,
            }
        )
    return cases


def log() -> list[dict[str, Any]]:
    """Roots and proofs of trees of 1 to 9 entries."""
    leaves = [tree.leaf(f"entry {i}".encode()) for i in range(9)]
    return [
        {
            "leaves": [f"entry {i}" for i in range(size)],
            "root": tree.root(leaves[:size]).hex(),
            "inclusion": [
                [step.hex() for step in tree.path(i, leaves[:size])] for i in range(size)
            ],
            "consistency": {
                str(m): [step.hex() for step in tree.consistency(m, leaves[:size])]
                for m in range(1, size + 1)
            },
        }
        for size in range(1, 10)
    ]


def channel() -> dict[str, Any]:
    """What two members of a join derive and the frames that one seals (docs/protocols.md, section 1)."""
    privates = [sha256(name.encode()).digest() for name in NAMES[:2]]
    shared = model.x25519(privates[0], model.x25519(privates[1], BASE_POINT))
    salt = sha256(b"job").digest() + sha256(b"roster").digest()
    names = [name.encode() for name in NAMES[:2]]
    sealing = model.derive_key(shared, salt, b"join/1", b"seal", b"matching", *reversed(names))
    frames = [b"first frame, of more than one block", b"second"]
    common, hashes = sha256(b"common").digest(), stream(7, 3)
    of_common = {
        name: model.derive_key(common, b"", b"join/1", *labels)[:16]
        for name, labels in (("tags", [b"tags"]), ("dummies", [b"dummies", bytes([6])]))
    }
    return {
        "private": [key.hex() for key in privates],
        "salt": salt.hex(),
        "fingerprints": NAMES[:2],
        "keys": {
            purpose: model.derive_key(shared, salt, b"join/1", purpose.encode(), *names).hex()
            for purpose in ("tags", "zero", "psi keys", "psi 3")
        },
        "phase": "matching",
        "frames": [
            {
                "text": text.decode(),
                "sealed": gcm(sealing, number.to_bytes(12, "big"), text).hex(),
            }
            for number, text in enumerate(frames)
        ],
        "many": {
            "hashing": model.derive_key(b"", salt, b"join/1", b"hashes").hex(),
            "common": common.hex(),
            "hashes": to_bytes(hashes).hex(),
            "tags": to_bytes(aes(int.from_bytes(of_common["tags"], "little"), hashes)).hex(),
            "set": 6,
            "dummies": to_bytes(stream(int.from_bytes(of_common["dummies"], "little"), 2)).hex(),
        },
    }


if __name__ == "__main__":
    main()
