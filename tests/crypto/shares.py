"""What HE and attack tests begin with: a roster, a result key, and everybody's encrypted share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sandbox.crypto.he import ResultKey, encrypt_slots
from sandbox.crypto.masks import add_modulo, pairwise_masks
from sandbox.crypto.rings import RINGS, Ring, Slots, frame

SEED = bytes(range(32))
TRANSCRIPT = b"digests of job and roster"


@dataclass
class Attempt:
    """One attempt of a job: each member's values, and what may be asked of it."""

    key: ResultKey
    columns: Mapping[str, list[int]]
    ring: Ring = RINGS[0]
    transcript: bytes = TRANSCRIPT
    seed: bytes = SEED

    def __post_init__(self) -> None:
        self.members = list(self.columns)
        self.length = len(self.columns[self.members[0]])
        self.context = self.key.public_contexts(self.ring)
        keys = {name: X25519PrivateKey.generate() for name in self.members}
        publics = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
        self.masks = {
            name: pairwise_masks(
                key,
                name,
                {peer: publics[peer] for peer in publics if peer != name},
                transcript=self.transcript,
                ring=self.ring,
                length=self.length,
            )
            for name, key in keys.items()
        }

    def slots(self, name: str) -> Slots:
        """A member's slots as they are encrypted: framed and masked."""
        own = frame(
            self.columns[name],
            self.ring,
            seed=self.seed,
            transcript=self.transcript,
            member=name,
        )
        return add_modulo(own, self.masks[name], self.ring)

    def share(self, name: str) -> bytes:
        """A member's encrypted share."""
        return encrypt_slots(self.context, self.ring, self.length, self.slots(name))

    def shares(self) -> list[bytes]:
        """Everybody's."""
        return [self.share(name) for name in self.members]

    def open(self, total: bytes, key: ResultKey | None = None) -> list[int]:
        """What the researcher reads."""
        return (key or self.key).open(
            total,
            self.ring,
            self.length,
            seed=self.seed,
            transcript=self.transcript,
            members=self.members,
        )


def new_attempt(
    directory: Path, ring: Ring = RINGS[0], length: int = 3, members: int = 3
) -> Attempt:
    """An attempt with a fresh result key; member i holds i+1, -(i+2), ..."""
    columns = {
        f"fs1{chr(97 + i)}": [(-1) ** j * (i + j + 1) for j in range(length)]
        for i in range(members)
    }
    return Attempt(ResultKey.generate(directory / "result"), columns, ring)
