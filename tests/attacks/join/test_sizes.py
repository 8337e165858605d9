"""Attack j06: on `blind`, by a provider that says it has more rows, or fewer, than its card declares."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import Machine
from sandbox.crypto.join.shape import Shape
from sandbox.errors import ProtocolError
from tests.attacks.join.test_dealer import C, draws, pair, provider
from tests.crypto.join.memory import run

SHAPE = Shape(("a", "b"), (4, 4), (1, 1), 1)
KEYS = [1, 2, 3, 4]


def join(stated: Shape, cut: int | None = None) -> None:
    """Run a join in which `a` goes by a shape of its own; cut: bytes of its tags that it keeps back,
    negative: that it adds."""
    number = itertools.count()

    def shorten(source: str, to: str, frame: bytes) -> bytes:
        if (source, to) == ("a", C) and next(number) == 1 and cut is not None:
            return frame[:-cut] if cut > 0 else frame + bytes(-cut)
        return frame

    machines: dict[str, Machine[int | None]] = {
        "a": provider("a", stated, KEYS[: stated.rows[0]], [1] * stated.rows[0], pair("a")),
        "b": provider("b", SHAPE, KEYS, [1] * 4, pair("b")),
        C: deal(["a", "b"], draws(C)),
    }
    run(machines, shorten)


@pytest.mark.parametrize("rows", [1, 3, 5, 1000])
def test_attack_j06_provider_that_states_another_size_of_its_own_ends_the_join(rows: int) -> None:
    """Fewer slots would tell how many of its rows match; more would take the coordinator's memory."""
    with pytest.raises(ProtocolError, match="SB-4011"):
        join(replace(SHAPE, rows=(rows, 4)))


def test_attack_j06_provider_that_states_another_size_of_its_peer_ends_the_join() -> None:
    with pytest.raises(ProtocolError, match="SB-4011"):
        join(replace(SHAPE, rows=(4, 2)))


@pytest.mark.parametrize("cut", [1, SHAPE.tag_bytes, -SHAPE.tag_bytes])
def test_attack_j06_provider_that_sends_another_number_of_tags_than_it_stated_ends_the_join(
    cut: int,
) -> None:
    with pytest.raises(ProtocolError, match="SB-4010"):
        join(SHAPE, cut)
