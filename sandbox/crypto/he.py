"""Adding up shares under encryption: BFV (Fan-Vercauteren 2012) through TenSEAL.

A node frames its values (rings.frame), masks the slots (masks.py) and encrypts them; the
coordinator adds; the researcher opens. Only sums of fresh ciphertexts occur: a context carries a
public key and nothing else. BFV itself protects no integrity; the keyed checks inside a frame do.
Everything from a peer passes envelope.py before TenSEAL parses it. TenSEAL takes half a second to
import, so functions import it themselves.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.crypto import envelope as envelopes
from sandbox.crypto.identity import read_secret, write_secret
from sandbox.crypto.rings import CHECK_SLOTS, RINGS, Ring, Slots, choose_ring, frame, unframe
from sandbox.errors import InputError, StateError, TrustError

__all__ = [
    "CHECK_SLOTS",
    "RINGS",
    "ResultKey",
    "Ring",
    "add",
    "check_context",
    "check_vector",
    "choose_ring",
    "encrypt_slots",
    "frame",
    "unframe",
]


def check_context(public_contexts: bytes, ring: Ring) -> str:
    """Return the digest of a result key's public contexts; raises TrustError if they are not that.

    Refused by name: a secret key, key-generation flags, relinearisation or Galois keys, other
    parameters, any other size. Nothing of it has been parsed by TenSEAL.
    """
    envelopes.unpack_context(public_contexts, ring, _parameters(ring))
    return envelopes.digest(public_contexts)


def check_vector(vector: bytes, ring: Ring, length: int, context: str) -> None:
    """Check a share or a sum; raises TrustError unless it is one of `ring`, `length`, `context`."""
    envelopes.unpack_vector(vector, ring, length, context)


def encrypt_slots(public_contexts: bytes, ring: Ring, length: int, slots: Slots) -> bytes:
    """Encrypt framed and masked slots of `length` values under a result key's public contexts.

    Raises TrustError for contexts that `check_context` refuses, InputError for slots of another
    shape.
    """
    if slots.shape != (len(ring.plain_moduli), ring.slots(length)):
        raise InputError("SB-3035", expected=ring.slots(length), found=slots.shape[-1])
    contexts = envelopes.unpack_context(public_contexts, ring, _parameters(ring))
    ends = np.cumsum([size + CHECK_SLOTS for size in ring.chunk_sizes(length)])[:-1]
    ciphertexts: list[bytes] = []
    for context, row in zip(contexts, slots, strict=True):
        parsed = _parse_context(context)
        ciphertexts += [_encrypt(parsed, part.tolist()) for part in np.split(row, ends)]
    return envelopes.pack_vector(ring, length, envelopes.digest(public_contexts), ciphertexts)


def add(vectors: Sequence[bytes]) -> bytes:
    """Return the encrypted sum of vectors of one ring, length and context; needs no key.

    Raises TrustError if they differ or one is not what its envelope says.
    """
    ring, length, context = envelopes.vector_ring(vectors[0])
    checked = [envelopes.unpack_vector(vector, ring, length, context) for vector in vectors]
    ciphertexts: list[bytes] = []
    for row, parsed in enumerate(_workspaces(ring)):
        for column in zip(*(terms[row] for terms in checked), strict=True):
            total = _parse_vector(parsed, column[0])
            with _readable():
                for term in column[1:]:
                    total.add_(_parse_vector(parsed, term))
            ciphertexts.append(total.serialize())
    return envelopes.pack_vector(ring, length, context, ciphertexts)


class ResultKey:
    """The researcher's secret: a folder with one BFV key for each plain modulus in use.

    Keys are made when first needed and kept in files that only their owner can read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._contexts: dict[tuple[str, int], Any] = {}

    @classmethod
    def generate(cls, directory: Path) -> ResultKey:
        """Make the folder of a new result key; raises StateError if it exists."""
        try:
            directory.mkdir(mode=0o700, parents=True)
        except FileExistsError as error:
            raise StateError("SB-3008", path=str(directory)) from error
        return cls(directory)

    @classmethod
    def load(cls, directory: Path) -> ResultKey:
        """Return the result key in a folder; raises StateError if there is none."""
        if not directory.is_dir():
            raise StateError("SB-3006", path=str(directory))
        return cls(directory)

    def public_contexts(self, ring: Ring) -> bytes:
        """Return what nodes encrypt under: an envelope of public keys, always the same bytes."""
        # Rebuilt from the public key's bytes alone: TenSEAL's make_context_public() leaves a
        # decryptor that still works.
        written = [_public(context) for context in self._secret(ring)]
        return envelopes.pack_context(
            ring,
            [
                envelopes.context_message(parameters, envelopes.public_key_of(context))
                for parameters, context in zip(_parameters(ring), written, strict=True)
            ],
        )

    def digest(self, ring: Ring) -> str:
        """Return the digest of the ring's public contexts, by which jobs name them."""
        return envelopes.digest(self.public_contexts(ring))

    def open(
        self,
        vector: bytes,
        ring: Ring,
        length: int,
        *,
        seed: bytes,
        transcript: bytes,
        members: Sequence[str],
    ) -> list[int]:
        """Decrypt a sum and return its values, centred modulo the ring's modulus.

        Raises TrustError unless it is the exact sum of one share of each of `members`
        (fingerprints) for this `transcript`: altered, incomplete, under another key, or with its
        noise spent.
        """
        context = envelopes.digest(self.public_contexts(ring))
        rows = envelopes.unpack_vector(vector, ring, length, context)
        with _readable():
            slots = [
                [value % modulus for part in row for value in _parse_vector(secret, part).decrypt()]
                for row, secret, modulus in zip(
                    rows, self._secret(ring), ring.plain_moduli, strict=True
                )
            ]
        return unframe(
            np.array(slots, dtype=np.uint64),
            ring,
            length,
            seed=seed,
            transcript=transcript,
            members=members,
        )

    def _secret(self, ring: Ring) -> list[Any]:
        return [self._secret_context(ring, modulus) for modulus in ring.plain_moduli]

    def _secret_context(self, ring: Ring, modulus: int) -> Any:
        key = (ring.name, modulus)
        if key not in self._contexts:
            path = self._directory / f"{ring.name}.{ring.plain_moduli.index(modulus)}.key"
            if not path.exists():
                self._create(path, ring, modulus)
            self._contexts[key] = _parse_context(read_secret(path))
        return self._contexts[key]

    @staticmethod
    def _create(path: Path, ring: Ring, modulus: int) -> None:
        # Written aside and linked: two processes that start at once end up with one key.
        fresh = path.with_suffix(f".{secrets.token_hex(8)}.new")
        content = _new_context(ring, modulus).serialize(
            save_public_key=True,
            save_secret_key=True,
            save_galois_keys=False,
            save_relin_keys=False,
        )
        write_secret(fresh, content)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()


def _new_context(ring: Ring, modulus: int) -> Any:
    import tenseal

    return tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        poly_modulus_degree=ring.poly_modulus_degree,
        plain_modulus=modulus,
        coeff_mod_bit_sizes=list(ring.coeff_mod_bit_sizes),
        n_threads=1,
    )


@cache
def _workspaces(ring: Ring) -> tuple[Any, ...]:
    """Return contexts of the ring with keys that nothing uses: enough to parse and add ciphertexts."""
    known = _WORKSPACES.get(ring.name)
    if known is not None:
        return tuple(_parse_context(written) for written in known)
    return tuple(_new_context(ring, modulus) for modulus in ring.plain_moduli)


_WORKSPACES: dict[str, tuple[bytes, ...]] = {}
"""What `_workspaces` needs, by the ring's name, where another process has made it."""


def prepare_to_add(ring: Ring) -> None:
    """Make ready what adding in a ring needs, so that the first sum does not wait for it."""
    _workspaces(ring)


def workspaces_document() -> dict[str, list[str]]:
    """Return the workspaces (hex) of every ring, for `learn_workspaces`."""
    return {ring.name: [_public(each).hex() for each in _workspaces(ring)] for ring in RINGS}


def learn_workspaces(document: Mapping[str, Sequence[str]]) -> None:
    """Take `workspaces_document` of another process instead of making keys: parsing is faster."""
    for name, written in document.items():
        _WORKSPACES[name] = tuple(bytes.fromhex(each) for each in written)


def _public(context: Any) -> bytes:
    return bytes(
        context.serialize(
            save_public_key=True,
            save_secret_key=False,
            save_galois_keys=False,
            save_relin_keys=False,
        )
    )


_PARAMETERS: dict[str, tuple[bytes, ...]] = {}
"""SEAL's own bytes for a ring's parameters by the ring's name, one for each plain modulus."""


def _parameters(ring: Ring) -> tuple[bytes, ...]:
    if ring.name not in _PARAMETERS:
        _PARAMETERS[ring.name] = tuple(
            envelopes.parameters_of(_public(context)) for context in _workspaces(ring)
        )
    return _PARAMETERS[ring.name]


def parameters_document() -> dict[str, list[str]]:
    """Return SEAL's bytes (hex) for the parameters of every ring, for `learn_parameters`."""
    return {ring.name: [each.hex() for each in _parameters(ring)] for ring in RINGS}


def learn_parameters(document: Mapping[str, Sequence[str]]) -> None:
    """Take `parameters_document` of another process instead of asking SEAL, which makes keys for it."""
    for name, written in document.items():
        _PARAMETERS[name] = tuple(bytes.fromhex(each) for each in written)


def _parse_context(context: bytes) -> Any:
    import tenseal

    try:
        return tenseal.context_from(context, n_threads=1)
    except (ValueError, RuntimeError) as error:
        raise TrustError("SB-3055") from error


def _parse_vector(context: Any, vector: bytes) -> Any:
    import tenseal

    with _readable():
        return tenseal.bfv_vector_from(context, vector)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Name what SEAL finds wrong in a ciphertext: some of it shows only when it is used."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise TrustError("SB-3059") from error


def _encrypt(context: Any, values: list[int]) -> bytes:
    import tenseal

    return bytes(tenseal.bfv_vector(context, values).serialize())
