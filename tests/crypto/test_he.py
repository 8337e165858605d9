"""BFV sums: exact, within the noise budget, and from keys that stay where they are."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from sandbox.crypto import envelope as envelopes
from sandbox.crypto import he
from sandbox.crypto.he import ResultKey, add, check_context, check_vector, encrypt_slots
from sandbox.crypto.rings import RINGS, Ring
from sandbox.errors import InputError, StateError, TrustError
from tests.crypto.shares import Attempt, new_attempt

RING_NAMES = [ring.name for ring in RINGS]


@pytest.mark.parametrize("ring", RINGS, ids=RING_NAMES)
def test_the_sum_of_shares_at_the_bound_opens_exactly(ring: Ring, tmp_path: Path) -> None:
    bound = (ring.modulus - 1) // 2 // 3
    columns = {"fs1a": [bound, -bound, 0], "fs1b": [bound, -bound, 1], "fs1c": [bound, -bound, -2]}
    attempt = Attempt(ResultKey.generate(tmp_path / "k"), columns, ring)
    assert attempt.open(add(attempt.shares())) == [3 * bound, -3 * bound, -1]


@pytest.mark.parametrize("extra", [0, 1])
def test_a_share_of_one_and_of_two_chunks_opens_exactly(extra: int, tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path, length=RINGS[0].chunk_values + extra, members=2)
    expected = [sum(column) for column in zip(*attempt.columns.values(), strict=True)]
    assert attempt.open(add(attempt.shares())) == expected


def test_one_member_alone_is_a_sum_too(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path, members=1)
    assert attempt.open(add(attempt.shares())) == attempt.columns["fs1a"]


@pytest.mark.parametrize("ring", RINGS[:2], ids=RING_NAMES[:2])
@pytest.mark.parametrize("worst", ["largest", "half", "alternating"])
def test_the_noise_budget_holds_2_to_the_16_additions(
    ring: Ring, worst: str, tmp_path: Path
) -> None:
    """Doubling adds a ciphertext's noise to itself, the worst that many additions can do."""
    import tenseal

    (t,) = ring.plain_moduli
    start = {
        "largest": [t - 1] * ring.poly_modulus_degree,
        "half": [t // 2] * ring.poly_modulus_degree,
        "alternating": [0, t - 1] * (ring.poly_modulus_degree // 2),
    }[worst]
    (secret,) = ResultKey.generate(tmp_path / "k")._secret(ring)
    vector = tenseal.bfv_vector(secret, start)
    for _ in range(16):
        vector = vector + vector
    assert [v % t for v in vector.decrypt()] == [v * 2**16 % t for v in start]


def test_a_key_loads_as_it_was_made_and_gives_the_same_public_bytes(tmp_path: Path) -> None:
    key = ResultKey.generate(tmp_path / "k")
    public = key.public_contexts(RINGS[0])
    again = ResultKey.load(tmp_path / "k")
    assert again.public_contexts(RINGS[0]) == public
    assert check_context(public, RINGS[0]) == check_context(public, RINGS[0])
    for file in (tmp_path / "k").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(StateError, match="SB-3008"):
        ResultKey.generate(tmp_path / "k")
    with pytest.raises(StateError, match="SB-3006"):
        ResultKey.load(tmp_path / "none")


def test_keys_of_a_ring_are_made_once_though_two_ask(tmp_path: Path) -> None:
    first, second = ResultKey.generate(tmp_path / "k"), ResultKey.load(tmp_path / "k")
    first._create(tmp_path / "k" / f"{RINGS[0].name}.0.key", RINGS[0], RINGS[0].plain_moduli[0])
    second._create(tmp_path / "k" / f"{RINGS[0].name}.0.key", RINGS[0], RINGS[0].plain_moduli[0])
    assert first.public_contexts(RINGS[0]) == second.public_contexts(RINGS[0])
    assert len(list((tmp_path / "k").iterdir())) == 1


def test_a_result_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    ResultKey.generate(tmp_path / "k").public_contexts(RINGS[0])
    os.chmod(tmp_path / "k" / f"{RINGS[0].name}.0.key", 0o644)
    with pytest.raises(TrustError, match="SB-3009"):
        ResultKey.load(tmp_path / "k").public_contexts(RINGS[0])


def test_slots_of_another_shape_are_not_encrypted(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    with pytest.raises(InputError, match="SB-3035"):
        encrypt_slots(attempt.context, attempt.ring, 4, attempt.slots("fs1a"))


def test_adding_needs_no_key_and_keeps_the_envelope(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    digest = check_context(attempt.context, attempt.ring)
    check_vector(add(attempt.shares()), attempt.ring, attempt.length, digest)


def test_masked_slots_hide_values_and_checks(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    bare = np.array(attempt.columns["fs1a"]) % attempt.ring.modulus
    assert not (attempt.slots("fs1a")[0, :3] == bare.astype(np.uint64)).any()


def test_a_mutated_seal_header_is_refused_or_harmless(tmp_path: Path) -> None:
    """Behind a sound envelope, SEAL itself must take or refuse any header: it never crashes, and
    never opens to another answer. Such headers can only be made by packing the bytes anew. Some of
    them abort the process when SEAL reads them."""
    attempt = new_attempt(tmp_path, members=2)
    share, chance, zstd = attempt.share("fs1a"), random.Random(7), pyarrow.Codec("zstd")
    opened = envelopes.unpack(share, "vector")
    whole = {number: value for number, _, value in envelopes._fields(opened.parts[0])}[2]
    size = 2 * 4096 * 2 * 8 + envelopes._SEAL_OVERHEAD
    plain = zstd.decompress(whole[16:], decompressed_size=size, asbytes=True)
    assert len(plain) == size
    outcomes: dict[str, int] = {}
    for _ in range(200):
        mutated = bytearray(plain)
        for _ in range(chance.randint(1, 3)):
            mutated[chance.randrange(envelopes._SEAL_OVERHEAD)] = chance.choice([0, 1, 127, 255])
        packed = zstd.compress(bytes(mutated), asbytes=True)
        header = whole[:8] + (16 + len(packed)).to_bytes(8, "little")
        part = envelopes._field(1, b"\x05") + envelopes._field(2, header + packed)
        forged = envelopes.pack(opened.header, [part])
        try:
            total = add([attempt.share("fs1b"), forged])
            assert attempt.open(total) == [3, -5, 7]
            outcome = "harmless"
        except TrustError as error:
            outcome = error.code
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert set(outcomes) <= {"harmless", "SB-3058", "SB-3059"}
    assert outcomes["SB-3058"] > 100


def test_importing_the_module_does_not_import_tenseal() -> None:
    code = "import sys, sandbox.crypto.he; sys.exit('tenseal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_the_contract_promises_is_there() -> None:
    assert all(hasattr(he, name) for name in he.__all__)
