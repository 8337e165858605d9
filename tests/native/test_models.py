"""The slow models of the kernels: published vectors for what they stand on, theirs as committed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.native import (
    blake3,
    code,
    code_distance,
    equality,
    ot,
    permutation,
    psi,
    ristretto,
    shares,
    vole,
)  # fmt: skip
from tests.vectors.native.blocks import aes, gcm, multiply

# BLAKE3, test_vectors.json: bytes hashed; then the hash, the keyed hash and the derived key.
BLAKE3 = [
    (
        0,
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
        "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
    ),
    (
        1023,
        "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
        "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e",
        "74a16c1c3d44368a86e1ca6df64be6a2f64cce8f09220787450722d85725dea5",
    ),
    (
        1024,
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
        "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4",
        "7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706",
    ),
    (
        1025,
        "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
        "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69",
        "effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb",
    ),
    (
        5121,
        "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff",
        "6ccf1c34753e7a044db80798ecd0782a8f76f33563accaddbfbb2e0ea4b2d024",
        "b07f01e518e702f7ccb44a267e9e112d403a7b3f4883a47ffbed4b48339b3c34",
    ),
]


@pytest.mark.parametrize(("size", "plain", "keyed", "derived"), BLAKE3, ids=lambda v: str(v)[:5])
def test_blake3_gives_its_authors_vectors(size: int, plain: str, keyed: str, derived: str) -> None:
    message = bytes(i % 251 for i in range(size))
    assert blake3.plain(message).hex() == plain
    assert blake3.keyed(b"whats the Elvish word for friend", message).hex() == keyed
    context = "BLAKE3 2019-12-27 16:29:52 test vectors context"
    assert blake3.derive_key(context, message).hex() == derived


def test_blake3_gives_its_authors_vector_of_more_than_a_block() -> None:
    assert blake3.plain(b"", 131).hex() == (
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262e00f03e7b69af26b7faaf09f"
        "cd333050338ddfe085b8cc869ca98b206c08243a26f5487789e8f660afe6c99ef9e0c52b92e7393024a80459"
        "cf91f476f9ffdbda7001c22e159b402631f277ca96f2defdf1078282314e763699a31c5363165421cce14d"
    )


def test_multiples_of_the_generator_encode_as_rfc_9496_a_1_has_them() -> None:
    multiples = [(k * ristretto.GENERATOR).encode().hex() for k in (0, 2, 4, 15)]
    assert multiples == [
        "00" * 32,
        "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
        "da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57",
        "e0c418f7c8d9c4cdd7395b93ea124f3ad99021bb681dfc3302a9d99a2e53e64e",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_what_rfc_9496_a_2_calls_no_encoding_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no encoding"):
        ristretto.decode(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("label", "point"),
    [
        (
            "Ristretto is traditionally a short shot of espresso coffee",
            "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
        ),
        (
            "by using a finer grind.",
            "f8f0c87cf237953c5890aec3998169005dae3eca1fbb04548c635953c817f92a",
        ),
        (
            "and is not a Ristretto as some believe.",
            "80bd07262511cdde4863f8a7434cef696750681cb9510eea557088f76d9e5065",
        ),
    ],
)
def test_points_of_hashes_are_those_of_rfc_9496_a_3(label: str, point: str) -> None:
    assert ristretto.from_uniform(sha512(label.encode()).digest()).encode().hex() == point


def test_aes_gives_fips_197_appendix_c_1() -> None:
    key = int.from_bytes(bytes(range(16)), "little")
    (out,) = aes(key, [int.from_bytes(bytes(0x11 * i for i in range(16)), "little")])
    assert out.to_bytes(16, "little").hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_the_field_is_that_of_ghash() -> None:
    """McGrew and Viega, appendix B, case 2; a block of GCM has its coefficients the other way round."""

    def element(text: str) -> int:
        return int(f"{int(text, 16):0128b}"[::-1], 2)

    hash_key, value = element("66e94bd4ef8a2c3b884cfa59ca342b2e"), 0
    for block in ("0388dace60b6a392f328c2b971b2fe78", "00000000000000000000000000000080"):
        value = multiply(value ^ element(block), hash_key)
    assert value == element("f38cbb1ad69223dcc3457ae5b6b0f885")


def test_gcm_gives_mcgrew_and_viegas_cases_13_and_14() -> None:
    assert gcm(bytes(32), bytes(12), b"").hex() == "530f8afbc74536b9a963b4f1c4cb738b"
    assert gcm(bytes(32), bytes(12), bytes(16)).hex() == (
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    )


def test_the_voles_code_is_as_far_as_the_noise_was_chosen_for() -> None:
    """On the shortest code, of 12 leaves a tree: words nearer than the parameters say are rare as they
    say, and a greater distance would not do."""
    rust = (Path(__file__).parents[2] / "native/src/vole/parameters.rs").read_text()
    (stated,) = re.findall(r"block-accumulate 3x32 d=(0\.\d+)", rust)
    bits, further = code_distance.expected_words(
        2 * 400 * 12, (float(stated), float(stated) + 0.01)
    )
    assert bits <= -27
    assert further > -27


WRITTEN: dict[str, Callable[[], Any]] = {
    "code": code.vectors,
    "equality": equality.vectors,
    "ot": ot.vectors,
    "permutation": permutation.vectors,
    "shares": shares.vectors,
    "vole": lambda: [vole.run(*sizes) for sizes in vole.SIZES[:1]],
    "psi": lambda: [psi.run(sizes) for sizes in psi.SIZES[:2]],
}
"""The vectors of each model, or as many as take seconds."""


@pytest.mark.parametrize("name", WRITTEN)
def test_a_models_vectors_are_those_that_lie_beside_it(name: str) -> None:
    text = (Path(__file__).parent.parent / f"vectors/native/{name}.json").read_text()
    committed, made = json.loads(text), json.loads(json.dumps(WRITTEN[name]()))
    if name == "psi":
        committed = committed["runs"]
    assert committed[: len(made)] == made if isinstance(made, list) else committed == made
