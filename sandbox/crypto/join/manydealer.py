"""What the coordinator deals for a blind join of three to five, product after product, once matched.

It sees which pseudonyms each set of members has in common, with that set's own dummies among them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox import _native
from sandbox.crypto.join.machine import Machine, receive, send
from sandbox.crypto.join.many import TAKEN, WINDOW, chunks_in, seed_of, stretches
from sandbox.crypto.join.schedule import Step, steps
from sandbox.crypto.join.shape import Shape
from sandbox.errors import ProtocolError


def deal_products(shape: Shape, seeds: Sequence[bytes]) -> Machine[None]:
    """Deal for all products of a join; seeds: of each member. Raises ProtocolError SB-4010."""
    product = 0
    for step in steps(shape):
        for holder in step.holders:
            a, b = (seed_of(seeds[place], product) for place in (holder, step.member))
            yield from _deal(shape, step, a, b)
            product += 1


def _deal(shape: Shape, step: Step, seed_a: bytes, seed_b: bytes) -> Machine[None]:
    """Send one product's correction to the member whose columns it multiplies by, never far ahead."""
    member, left, right = shape.members[step.member], len(step.left), len(step.right)
    if step.last:
        correction = _native.deal_inner(seed_a, seed_b, shape.slots, left, right)
        yield from send(member, memoryview(correction))
        return
    dealer = _native.SlotwiseDealer(seed_a, seed_b, shape.slots, left, right, step.pairs)
    for number in range(len(stretches(step, shape.slots))):
        if number >= WINDOW and (yield from receive(member, len(TAKEN))) != TAKEN:
            raise ProtocolError("SB-4010", party=member)
        yield from send(member, memoryview(dealer.next_message(chunks_in(step))))
