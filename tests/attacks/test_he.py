"""Attacks on the encryption: what a context or ciphertext from a peer may hold, and what a sum is.

All with TenSEAL's own bytes. The coordinator of these tests does as it likes with the shares.
"""

from __future__ import annotations

import ast
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tenseal

import nodes
import sandbox
from sandbox.crypto import envelope as envelopes
from sandbox.crypto import he, rings
from sandbox.crypto.he import ResultKey
from sandbox.crypto.rings import RINGS, Ring
from sandbox.errors import InputError, TrustError
from tests.crypto.shares import Attempt, new_attempt

RING = RINGS[0]


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    return new_attempt(tmp_path_factory.mktemp("he"))


@pytest.fixture(scope="module")
def shares(attempt: Attempt) -> list[bytes]:
    return attempt.shares()


def seal_context(ring: Ring = RING) -> Any:
    return tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        poly_modulus_degree=ring.poly_modulus_degree,
        plain_modulus=ring.plain_moduli[0],
        coeff_mod_bit_sizes=list(ring.coeff_mod_bit_sizes),
        n_threads=1,
    )


def written(context: Any, **keys: bool) -> bytes:
    flags = {f"save_{name}": keys.get(name, False) for name in ("secret_key", "galois_keys")}
    flags["save_relin_keys"] = keys.get("relin_keys", False)
    return bytes(context.serialize(save_public_key=True, **flags))


def refused(code: str, context: bytes, ring: Ring = RING) -> None:
    """Both who keeps a context and who encrypts under it must refuse it."""
    envelope = envelopes.pack_context(ring, [context])
    with pytest.raises(TrustError, match=code):
        he.check_context(envelope, ring)
    with pytest.raises(TrustError, match=code):
        he.encrypt_slots(
            envelope, ring, 1, rings.frame([1], ring, seed=bytes(32), transcript=b"", member="fs1a")
        )


# Contexts


def test_attack_41_a_context_with_a_secret_key_is_refused_by_name() -> None:
    context = seal_context()
    refused("SB-3052", written(context, secret_key=True))
    # The same key smuggled in behind a context that is sound by itself.
    sound = envelopes.context_message(
        envelopes.parameters_of(written(context)), envelopes.public_key_of(written(context))
    )
    private = {n: v for n, _, v in envelopes._fields(written(context, secret_key=True))}[3]
    refused("SB-3052", sound + envelopes._field(3, private))
    refused("SB-305", sound + sound)


def test_attack_42_what_a_researcher_publishes_cannot_decrypt(tmp_path: Path) -> None:
    key = ResultKey.generate(tmp_path / "key")
    public = key.public_contexts(RING)
    (part,) = envelopes.unpack_context(public, RING, he._parameters(RING))
    parsed = tenseal.context_from(part)
    assert not parsed.has_secret_key()
    with pytest.raises(ValueError, match="secret_key"):
        tenseal.bfv_vector(parsed, [7]).decrypt()
    secret = (tmp_path / "key" / f"{RING.name}.0.key").read_bytes()
    held = {n: v for n, _, v in envelopes._fields(secret)}[3]
    assert held[-64:] not in public


@pytest.mark.parametrize("keys", ["relin_keys", "galois_keys"])
def test_attack_47_evaluation_keys_in_a_context_are_refused(keys: str) -> None:
    context = seal_context()
    getattr(context, f"generate_{keys}")()
    # Galois keys are 55 MB: they fall to the limit on a context's size already.
    refused("SB-305[03]", written(context, **{keys: True}))


@pytest.mark.parametrize("flags", [0, 1, 3, 15, 127])
def test_attack_47_flags_that_make_tenseal_generate_keys_are_refused(flags: int) -> None:
    context = written(seal_context())
    public = envelopes._field(1, envelopes.public_key_of(context))
    tail = bytes([0x10, flags, 0x19]) + struct.pack("<d", -1.0)
    body = envelopes._field(1, envelopes.parameters_of(context))
    refused("SB-305", body + envelopes._field(2, public + tail))


def test_attack_47_parameters_off_the_menu_are_refused() -> None:
    for degree, modulus in ((8192, 1032193), (4096, 1032193)):
        other = tenseal.context(
            tenseal.SCHEME_TYPE.BFV, poly_modulus_degree=degree, plain_modulus=modulus
        )
        refused("SB-3054", written(other))


# Ciphertexts


def vector_message(sizes: list[int], ciphertexts: list[bytes]) -> bytes:
    """A TenSEAL vector with these sizes and these SEAL ciphertexts."""
    packed = b"".join(envelopes._varint(size) for size in sizes)
    head = envelopes._field(1, packed) if sizes else b""
    return head + b"".join(envelopes._field(2, each) for each in ciphertexts)


def seal_ciphertext(share: bytes) -> bytes:
    (part,) = envelopes.unpack(share, "vector").parts
    return {n: v for n, _, v in envelopes._fields(part)}[2]


@pytest.mark.parametrize(
    "forge",
    [
        lambda c: vector_message([], [c]),
        lambda c: vector_message([5000], [c]),
        lambda c: vector_message([4], [c]),
        lambda c: vector_message([5], []),
        lambda c: vector_message([], []),
        lambda c: vector_message([5], [c, c]),
        lambda c: vector_message([5, 5], [c]),
        lambda c: vector_message([0], [c]),
        lambda c: vector_message([1 << 40], [c]),
        lambda c: vector_message([5], [b"\0" * len(c)]),
        lambda c: vector_message([5], [c[:100]]),
        lambda c: vector_message([5], [b""]),
    ],
    ids=[
        "no sizes",
        "5000 over 4096 slots",
        "too few slots",
        "no ciphertext",
        "nothing at all",
        "two ciphertexts",
        "two sizes",
        "zero slots",
        "huge size",
        "zero bytes",
        "cut short",
        "empty",
    ],
)
def test_attack_43_a_vector_of_another_shape_never_reaches_tenseal(
    forge: Callable[[bytes], bytes],
    attempt: Attempt,
    shares: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = envelopes.digest(attempt.context)
    part = forge(seal_ciphertext(shares[0]))
    header = {"kind": "vector", "ring": RING.name, "length": 3, "context": digest}
    forged = envelopes.pack(header, [part] if part else [])
    monkeypatch.setattr(he, "_parse_vector", lambda *_: pytest.fail("TenSEAL would parse it"))
    for step in (
        lambda: he.check_vector(forged, RING, 3, digest),
        lambda: he.add([shares[1], forged]),
        lambda: attempt.open(forged),
    ):
        with pytest.raises(TrustError, match="SB-305"):
            step()


def under(share: bytes, context: str) -> bytes:
    """The share with another context's name on its envelope."""
    opened = envelopes.unpack(share, "vector")
    return envelopes.pack({**opened.header, "context": context}, opened.parts)


def test_attack_44_a_share_under_another_key_is_refused(
    attempt: Attempt, shares: list[bytes], tmp_path: Path
) -> None:
    other = Attempt(ResultKey.generate(tmp_path / "other"), attempt.columns)
    with pytest.raises(TrustError, match="SB-3056"):
        he.add([shares[0], other.share("fs1b")])
    with pytest.raises(TrustError, match="SB-3056"):
        attempt.open(he.add(other.shares()))
    # Even with the right name on it, garbage does not pass for an answer.
    renamed = [under(share, envelopes.digest(attempt.context)) for share in other.shares()]
    with pytest.raises(TrustError, match="SB-3033"):
        attempt.open(he.add(renamed))


def test_attack_44_a_sum_of_other_parameters_is_refused(
    attempt: Attempt, shares: list[bytes], tmp_path: Path
) -> None:
    other = Attempt(attempt.key, attempt.columns, RINGS[1])
    with pytest.raises(TrustError, match="SB-305"):
        he.add([shares[0], other.share("fs1b")])
    with pytest.raises(TrustError, match="SB-305"):
        attempt.open(he.add(other.shares()))


def test_attack_44_spent_noise_is_found(attempt: Attempt, shares: list[bytes]) -> None:
    total = he.add(shares)
    for _ in range(24):
        total = he.add([total, total])
    with pytest.raises(TrustError, match="SB-3033"):
        attempt.open(total)


def test_attack_44_a_sum_that_could_wrap_has_no_ring() -> None:
    for ring in RINGS:
        assert 2 * ((ring.modulus - 1) // 2) < ring.modulus
    with pytest.raises(InputError, match="SB-3032"):
        rings.choose_ring(RINGS[-1].modulus // 2 + 1)


def test_attack_45_of_300_flipped_bits_none_opens_to_another_answer(
    attempt: Attempt, shares: list[bytes]
) -> None:
    true = [sum(column) for column in zip(*attempt.columns.values(), strict=True)]
    chance = random.Random(45)
    total = he.add(shares)
    found = 0
    for _ in range(300):
        place = chance.randrange(len(total) * 8)
        flipped = bytearray(total)
        flipped[place // 8] ^= 1 << place % 8
        try:
            assert attempt.open(bytes(flipped)) == true
        except TrustError:
            found += 1
    assert found >= 290


# What passes for the sum


def forgeries(attempt: Attempt, shares: list[bytes], tmp_path: Path) -> dict[str, bytes]:
    a, b, c = shares
    again = Attempt(attempt.key, attempt.columns, transcript=b"another job and roster")
    alone = Attempt(attempt.key, {"fs1a": attempt.columns["fs1a"]})
    return {
        "one share for the sum": a,
        "a share of a roster of one": alone.share("fs1a"),
        "one dropped": he.add([a, b]),
        "one doubled": he.add([a, b, c, c]),
        "one for another": he.add([a, b, b]),
        "one of another job": he.add([a, b, again.share("fs1c")]),
        "all of another job": he.add(again.shares()),
        "the sum twice": he.add([a, b, c, a, b, c]),
    }


def test_attack_46_nothing_but_the_sum_of_the_roster_opens(
    attempt: Attempt, shares: list[bytes], tmp_path: Path
) -> None:
    assert attempt.open(he.add(shares)) == [6, -9, 12]
    for name, forged in forgeries(attempt, shares, tmp_path).items():
        try:
            opened = attempt.open(forged)
        except TrustError as error:
            assert error.code == "SB-3033", name  # noqa: PT017
        else:
            pytest.fail(f"{name} opened to {opened}")


def test_attack_46_masks_keep_single_shares_closed(attempt: Attempt, shares: list[bytes]) -> None:
    """A researcher who colludes with the coordinator decrypts one share: uniform residues."""
    (secret,) = attempt.key._secret(RING)
    (part,) = envelopes.unpack(shares[0], "vector").parts
    slots = [value % RING.modulus for value in tenseal.bfv_vector_from(secret, part).decrypt()]
    assert not set(slots[:3]) & {value % RING.modulus for value in attempt.columns["fs1a"]}


@pytest.mark.parametrize(
    "slots", [[1, 0, 0, 0, 0], [0, 0, 5, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]]
)
def test_attack_71_an_encrypted_difference_added_to_the_sum_is_found(
    slots: list[int], attempt: Attempt, shares: list[bytes]
) -> None:
    """Anybody can encrypt under the public key; only who knows the seed could mend the checks."""
    (context,) = envelopes.unpack_context(attempt.context, RING, he._parameters(RING))
    delta = tenseal.bfv_vector(tenseal.context_from(context), slots)
    header = envelopes.unpack(shares[0], "vector").header
    with pytest.raises(TrustError, match="SB-3033"):
        attempt.open(he.add([*shares, envelopes.pack(header, [bytes(delta.serialize())])]))


# CKKS


def test_attack_48_nothing_in_the_product_speaks_ckks() -> None:
    named = [
        f"{file.name}:{node.lineno}"
        for package in (sandbox, nodes)
        for folder in package.__path__
        for file in Path(folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        and "ckks" in (node.attr if isinstance(node, ast.Attribute) else node.id).lower()
    ]
    assert named == []


def test_attack_48_ckks_bytes_are_refused_where_bfv_is_expected(
    attempt: Attempt, shares: list[bytes]
) -> None:
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=4096, coeff_mod_bit_sizes=[36, 36, 37]
    )
    context.global_scale = 2.0**30
    refused("SB-305", written(context))
    vector = bytes(tenseal.ckks_vector(context, [0.5] * 5).serialize())
    header = envelopes.unpack(shares[0], "vector").header
    forged = envelopes.pack(header, [vector])
    with pytest.raises(TrustError, match="SB-305"):
        attempt.open(forged)
    with pytest.raises(TrustError, match="SB-305"):
        he.add([shares[0], forged])
