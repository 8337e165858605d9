"""The test of two values for equality against an independent model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import _native
from tests.vectors.native.equality import ENTROPY, SESSION

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/native/equality.json").read_text())


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["values"][1][:10])
def test_points_and_proofs_are_the_models(case: dict[str, Any]) -> None:
    parties = [
        _native.Equality.start(SESSION, bytes.fromhex(value), entropy)
        for value, entropy in zip(case["values"], ENTROPY, strict=True)
    ]
    points = [bytes(point) for _, point in parties]
    assert [point.hex() for point in points] == case["points"]
    left = parties[0][0].finish(points[1], left=True)
    right = parties[1][0].finish(points[0], left=False)
    assert [bytes(proof).hex() for proof in left] == case["left"]
    assert [bytes(proof).hex() for proof in right] == case["right"]
