"""Attack j11: whatever bytes arrive, a party of a join answers or refuses with a code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.machine import FRAME_BYTES, Machine, Receive, Send
from sandbox.crypto.join.shape import CHECK_KEYS, Shape, read_shapes, write_shapes
from sandbox.errors import ProtocolError, SandboxError
from tests.attacks.join.test_dealer import C, draws, pair, provider

MOST_STEPS = 300
SHAPE = Shape(("a", "b"), (2, 2), (1, 1), 1)
VERIFIED = replace(SHAPE, dummies=CHECK_KEYS + 1, verify=True)
TAGS = SHAPE.tag_bytes * 3

numbers = st.one_of(st.integers(), st.sampled_from([0, 1, 2, 63, 64, 65, 1 << 16, 1 << 27]))
names = st.sampled_from(["a", "b", "c", ""])
documents = st.fixed_dictionaries(
    {
        "members": st.one_of(st.lists(names, max_size=4), st.text(max_size=3), st.none()),
        "rows": st.one_of(st.lists(numbers, max_size=4), st.none()),
        "columns": st.one_of(st.lists(numbers, max_size=4), st.text(max_size=2)),
        "dummies": st.one_of(numbers, st.floats(), st.booleans()),
        "width": st.one_of(st.integers(0, 9), st.none()),
        "products": st.just([]),
        "stage": st.sampled_from(["whole", "match", "multiply", ""]),
        "verify": st.one_of(st.booleans(), st.just(1)),
    }
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), documents),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner)),
)
stated = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.lists(documents, max_size=3).map(lambda value: json.dumps(value).encode()),
)
frames = st.one_of(
    st.binary(max_size=TAGS + 2),
    st.integers(0, 3).map(lambda n: bytes([n]) * TAGS),
    st.binary(min_size=TAGS, max_size=TAGS),
    st.binary(min_size=16, max_size=16),
)


def fed(machine: Machine[Any], says: Callable[[str], bytes]) -> object:
    """Run a machine on whatever its peers say, for some steps; its result, None if it waits still."""
    step = next(machine)
    for _ in range(MOST_STEPS):
        try:
            step = machine.send(says(step.party)) if isinstance(step, Receive) else next(machine)
        except StopIteration as end:
            return end.value
    return None


@settings(max_examples=400)
@given(stated)
def test_attack_j11_any_first_frame_is_read_or_refused(frame: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for shape in read_shapes(frame, "a"):
            assert shape.slots >= 0
            assert len(shape.members) == 2
            assert read_shapes(write_shapes([shape]), "a") == [shape]


@pytest.mark.parametrize(
    "change",
    [
        {"columns": [65, 1]},
        {"columns": [1, 0]},
        {"rows": [2, (1 << 27) + 1]},
        {"dummies": -1},
        {"width": 0},
        {"width": 9},
        {"verify": True},
        {"verify": 0},
        {"members": ["a", "b", "c"], "rows": [2] * 3, "columns": [1] * 3},
        {
            "members": ["a", "b", "c"],
            "rows": [2] * 3,
            "columns": [1] * 3,
            "products": [[0, 0, 0]],
            "dummies": CHECK_KEYS,
            "verify": True,
        },
        {"members": ["a", "a"]},
    ],
)
def test_attack_j11_shape_that_no_kernel_takes_is_refused_before_anything_is_made(
    change: dict[str, Any],
) -> None:
    document = json.loads(write_shapes([SHAPE]))[0] | change
    with pytest.raises(ProtocolError, match="SB-4010"):
        fed(deal(["a", "b"], draws("")), lambda _: json.dumps([document]).encode())


@settings(max_examples=300)
@given(st.data())
def test_attack_j11_dealer_of_hostile_members_ends_with_a_code(data: st.DataObject) -> None:
    known = st.sampled_from([SHAPE, VERIFIED]).map(lambda shape: write_shapes([shape]))
    first = data.draw(st.one_of(stated, known))
    agreed = data.draw(st.booleans())
    heard: set[str] = set()

    def says(party: str) -> bytes:
        if party not in heard:
            heard.add(party)
            return first if agreed else data.draw(stated)
        return data.draw(frames)

    with contextlib.suppress(SandboxError):
        fed(deal(["a", "b"], draws("")), says)


@pytest.mark.parametrize("own", ["a", "b"])
@pytest.mark.parametrize("shape", [SHAPE, VERIFIED], ids=["plain", "verified"])
@settings(max_examples=100)
@given(st.data())
def test_attack_j11_member_among_hostile_others_ends_with_a_code(
    own: str, shape: Shape, data: st.DataObject
) -> None:
    """The peer holds the keys: its frames open, with anything in them."""
    peer = pair("b" if own == "a" else "a")
    streams = [peer.stream("matching"), peer.stream("columns")]

    def says(party: str) -> bytes:
        if party == C:
            slots = data.draw(st.lists(st.integers(0, 6), min_size=3, max_size=3))
            slots += range(7, 7 + shape.padded[0] - len(slots))
            return data.draw(
                st.one_of(frames, st.just(b"".join(n.to_bytes(4, "little") for n in slots)))
            )
        sealed = streams[0 if own == "b" and streams[0]._sent == 0 else 1]
        payload = data.draw(st.one_of(st.binary(min_size=1, max_size=64), st.just(bytes(48))))
        return data.draw(st.one_of(st.just(opened(sealed, payload)), frames))

    with contextlib.suppress(SandboxError):
        fed(provider(own, shape, [1, 2], [3, 4], pair(own), 1), says)


def opened(stream: Any, payload: bytes) -> bytes:
    step = next(stream.send(payload))
    assert isinstance(step, Send)
    return bytes(step.payload)


@pytest.mark.parametrize("role", ["receiver", "sender"])
@pytest.mark.parametrize("malicious", [False, True])
@settings(max_examples=15)
@given(st.data())
def test_attack_j11_party_of_an_intersection_ends_with_a_code(
    role: str, malicious: bool, data: st.DataObject
) -> None:
    sizes = psi.Sizes(2, 2, malicious)
    keys = memoryview(bytes(memoryview(KeyHashes([pa.array([1, 2])], bytes(32)).tags)))
    own, peer = Pair(bytes(32), b"", "a", "b"), Pair(bytes(32), b"", "b", "a").stream("psi 0")
    machine: Machine[Any] = (psi.receiver if role == "receiver" else psi.sender)(
        sizes, 0, own, lambda: keys, draws("")
    )
    lengths = st.sampled_from([1, 32, 4096, 8192, 20_000, FRAME_BYTES])

    def says(_: str) -> bytes:
        return opened(peer, bytes([data.draw(st.integers(0, 255))]) * data.draw(lengths))

    with contextlib.suppress(SandboxError):
        fed(machine, says)
