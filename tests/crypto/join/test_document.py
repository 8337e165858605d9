"""docs/protocols.md says what the code does: every constant and every label, in either direction."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox import _native
from sandbox.crypto.join import blind, channel, dealer, machine, many, psi, shape
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.prg import derive_key
from sandbox.privacy import allocate

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
PROSE = " ".join(DOCUMENT.split())
KERNELS = {
    str(file.relative_to(ROOT)): file.read_text(encoding="utf-8")
    for file in sorted((ROOT / "native" / "src").rglob("*.rs"))
}
TABLE = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", DOCUMENT.split("## 5.")[1], re.MULTILINE))


def rust(file: str, name: str) -> str:
    """The text of a constant in a kernel."""
    found = re.search(rf"const {name}: [^=]+= ([^;]+);", KERNELS[f"native/src/{file}"])
    assert found, name
    return found[1]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("label of protocol and version", f"`{channel.PROTOCOL.decode()}`"),
        ("frame: F", f"{machine.FRAME_BYTES} bytes"),
        ("GCM tag", f"{channel.TAG_BYTES} bytes"),
        (
            "tag of a row; bits of what is sent of it beyond 2 ℓ",
            f"{shape.TAG_BYTES} bytes; {shape.FALSE_MATCH_BITS}",
        ),
        ("seed", f"{channel.SEED_BYTES} bytes"),
        ("most rows, most dummies of a member", f"{shape.MOST_ROWS}"),
        ("most columns of a member", f"{shape.MOST_COLUMNS}"),
        ("most products, members of a join", f"{shape.MOST_PRODUCTS}, {shape.MOST_MEMBERS}"),
        ("messages that a dealer is ahead", f"{many.WINDOW}"),
        ("check keys", f"{shape.CHECK_KEYS}"),
        (
            "columns, bytes of a word to check a matching",
            f"{shape.MATCHING_COLUMNS}, {shape.MATCHING_WIDTH}",
        ),
        ("bytes more of a verified word", f"{shape.CHECKING_BYTES}"),
        ("slots of a chunk", f"{_native.SLOTS_PER_CHUNK}"),
        (
            "share of ε, of δ for matching",
            f"1/{1 / allocate.MATCHING_EPSILON:f}, 1/{1 / allocate.MATCHING_DELTA:f}",
        ),
        ("H_B, code constant 1", f"`{rust('psi/mod.rs', 'H_B')}`"),
        ("H_O, code constant 2", f"`{rust('psi/mod.rs', 'H_O')}`"),
        ("noise entries of a chunk", rust("vole/parameters.rs", "WEIGHT")),
        ("most direct entries", rust("vole/parameters.rs", "MOST_DIRECT")),
        (
            "most, least leaves",
            f"{rust('vole/parameters.rs', 'MOST_LEAVES')}, {rust('vole/parameters.rs', 'LEAST_LEAVES')}",
        ),
        ("statistical bits", rust("psi/mod.rs", "STATISTICAL_BITS")),
        ("keys of a bucket, about", f"{psi.BUCKET_KEYS}"),
        ("slots that are matched at once", f"{dealer.BUCKET_ROWS}"),
    ],
)
def test_a_constant_is_the_codes(row: str, value: str) -> None:
    assert TABLE[row] == value


def test_the_codes_constants_are_in_order_and_bins_as_large() -> None:
    seeds = re.findall(r"0x[0-9a-f_]+", rust("vole/code.rs", "SEEDS"))
    rows = ["H_B, code constant 1", "H_O, code constant 2", "code constant 3"]
    assert [TABLE[row] for row in rows] == [f"`{seed}`" for seed in seeds]
    assert rust("okvs/parameters.rs", "BIN_ITEMS") == "1 << 14"
    assert TABLE["items of an OKVS bin"] == str(1 << 14)
    assert blind.SLOT_BYTES == blind.COUNT_BYTES == 4


def test_every_label_of_a_session_is_named() -> None:
    """Except those of a party's own draws and orders, which nobody else must know."""
    own = (
        "randomness",
        "permutation",
        "matching",
        "psi order",
        "psi padding",
        "psi vole",
        "psi own",
    )
    kernels = "".join(text for name, text in KERNELS.items() if "tests" not in name)
    labels = set(re.findall(r'"(fedsandbox [a-z0-9 ]+)[ {"]', kernels))
    inner = {label for label in labels if not any(word in label for word in (*own, "psi values"))}
    assert len(inner) >= 9
    for label in inner:
        assert label.strip() in PROSE, label


def test_a_shared_key_and_a_streams_key_are_as_written() -> None:
    pair = Pair(b"Z" * 32, b"S" * 64, "b", "a")
    assert pair.key("tags") == derive_key(b"Z" * 32, b"S" * 64, b"join/1", b"tags", b"a", b"b")
    sealed = pair._directed("matching", outgoing=True)
    labels = (b"join/1", b"seal", b"matching", b"b", b"a")
    assert sealed == derive_key(b"Z" * 32, b"S" * 64, *labels)


def test_every_purpose_and_phase_in_use_is_named() -> None:
    code = "".join(
        file.read_text(encoding="utf-8")
        for folder in ("sandbox/crypto/join", "nodes")
        for file in sorted((ROOT / folder).glob("*.py"))
    )
    used = set(re.findall(r'\.(?:key|seed|stream)\("([a-z ]+)"\)', code))
    assert used == {"tags", "dummies", "zero", "psi keys", "matching"} | {
        "left mask",
        "right mask",
        "kept matching",
        "check keys",
        "check words",
        "left check mask",
        "right check mask",
        "check product",
        "verify matching",
        "matching equality",
        "verify product",
        "product equality",
    }
    assert all(f"`{name}`" in DOCUMENT for name in used)
    assert "`psi ` ‖ *bucket* (`psi`)" in DOCUMENT
