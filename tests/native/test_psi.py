"""Private set intersection against an independent model: its vectors, and as either party's peer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import _native
from tests.crypto.join.memory import replied
from tests.vectors.native import ot, psi
from tests.vectors.native.blocks import Draws, to_bytes
from tests.vectors.native.psi import SECRETS, SESSION, Sizes

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/native/psi.json").read_text())
each_run = pytest.mark.parametrize(
    "run", VECTORS["runs"], ids=lambda run: f"{run['receiver']}-{run['malicious']}"
)


class Kernels:
    """Both parties as Python has them, with the secrets of the vectors."""

    def __init__(self, sizes: Sizes, session: bytes = SESSION) -> None:
        public = (sizes.receiver, sizes.sender, session)
        named = {"malicious": sizes.malicious, "buckets": sizes.buckets}
        self.receiver = _native.PsiReceiver(*public, SECRETS[0], **named)
        self.sender, self.offer = _native.PsiSender.start(*public, SECRETS[1], **named)


def sizes_of(run: dict[str, Any]) -> Sizes:
    return Sizes(run["receiver"], run["sender"], run["malicious"], run["buckets"])


def blake(message: _native.Buffer | bytes) -> str:
    return ot.digest(bytes(message))


@each_run
def test_a_session_is_that_of_the_vectors(run: dict[str, Any]) -> None:
    """Every message that no key touches, byte for byte; then what is compared, key by key."""
    sizes = sizes_of(run)
    ours, theirs = psi.keys(sizes)
    both = Kernels(sizes)
    digest = _native.psi_digest(
        sizes.receiver, sizes.sender, malicious=sizes.malicious, buckets=sizes.buckets
    )
    assert bytes(digest).hex() == run["digest"]
    request = replied(both.receiver, both.offer)
    answer = both.sender.advance(request)
    commitment = bytes(answer)[-32:] if sizes.malicious else b""
    messages = [both.offer, request, bytes(answer)[: len(answer) - len(commitment)]]
    challenge = proof = b""
    if sizes.malicious:
        challenge = bytes(replied(both.receiver, answer))
        proof = bytes(both.sender.advance(challenge))
    both.receiver.take_keys(to_bytes(ours))
    both.sender.take_keys(to_bytes(theirs))
    masked = replied(both.receiver, proof if sizes.malicious else answer)
    last = bytes(both.sender.advance(masked))
    replied(both.receiver, last)
    whole = [*messages[:2], answer, challenge, proof]
    assert [blake(message) for message in whole] == run["messages"]
    assert bytes(masked)[:16].hex() == run["masked"][:32] or sizes.receiver > 100
    compared = both.receiver.take_values()
    assert bytes(compared)[:160].hex() == run["compared"]
    width = both.receiver.value_bytes
    sent = {last[i : i + width].hex() for i in range(0, width * sizes.sender, width)}
    assert set(run["values"][:3]) <= sent
    found = _native.psi_matches(compared, last[: width * sizes.sender], width)
    assert [n for n, there in enumerate(bytes(found)) if there] == [0, 1, 2]


@pytest.mark.parametrize("run", VECTORS["runs"][:2], ids=["semi-honest", "malicious"])
def test_a_senders_values_are_those_of_the_vectors(run: dict[str, Any]) -> None:
    """The answer to an encoding that is not the kernel's own."""
    sizes = sizes_of(run)
    both = Kernels(sizes)
    message = both.sender.advance(replied(both.receiver, both.offer))
    if sizes.malicious:
        both.sender.advance(replied(both.receiver, message))
    both.sender.take_keys(to_bytes(psi.keys(sizes)[1]))
    last = bytes(both.sender.advance(bytes.fromhex(run["masked"])))
    width = sizes.value_bytes
    sent = {last[i : i + width].hex() for i in range(0, width * sizes.sender, width)}
    assert set(run["values"]) <= sent
    assert len(sent) == sizes.sender


LIVE = [Sizes(30, 40, False), Sizes(30, 40, True), Sizes(850, 60, True)]
each_live = pytest.mark.parametrize("sizes", LIVE, ids=lambda s: f"{s.receiver}-{s.malicious}")
OTHER = bytes(range(32))


@each_live
def test_the_model_as_receiver_meets_a_kernel(sizes: Sizes) -> None:
    """With draws of its own: the text says all that both must share."""
    ours, theirs = psi.keys(sizes)
    kernel = Kernels(sizes, OTHER).sender
    model = psi.Receiver(sizes, OTHER, ours, Draws(51), Draws(52))
    answer = bytes(kernel.advance(model.request(bytes(Kernels(sizes, OTHER).offer))))
    challenge = model.challenge(answer)
    proof = bytes(kernel.advance(challenge)) if sizes.malicious else b""
    kernel.take_keys(to_bytes(theirs))
    assert model.matches(bytes(kernel.advance(model.masked(proof)))) == ours[:3]


@each_live
def test_the_model_as_sender_meets_a_kernel(sizes: Sizes) -> None:
    ours, theirs = psi.keys(sizes)
    kernel = Kernels(sizes, OTHER).receiver
    model = psi.Sender(sizes, OTHER, theirs, Draws(61), Draws(62))
    message = model.answer(replied(kernel, model.offer))
    if sizes.malicious:
        message = model.prove(replied(kernel, message))
    kernel.take_keys(to_bytes(ours))
    last = model.last(replied(kernel, message))
    replied(kernel, last)
    values = memoryview(last)[: sizes.value_bytes * sizes.sender].toreadonly()
    found = _native.psi_matches(kernel.take_values(), values, sizes.value_bytes)
    assert [n for n, there in enumerate(bytes(found)) if there] == [0, 1, 2]


@pytest.mark.parametrize("case", VECTORS["buckets"], ids=lambda case: str(case["keys"]))
def test_buckets_are_padded_as_the_vectors_have_it(case: dict[str, int]) -> None:
    assert _native.bucket_keys(case["keys"], case["buckets"]) == case["padded"]
