"""What explain predicts of a semi-join is the noise that its receivers draw."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from sandbox.sql.explain import explain
from sandbox.sql.noise import job_noise, member_laws
from sandbox.sql.plan import plan
from tests.sql.test_runnable import TABLES


@pytest.mark.parametrize("collusion", [1, 2])
def test_a_semi_joins_predicted_noise_is_what_its_members_draw(collusion: int) -> None:
    planned = plan("SELECT COUNT(*), SUM(x) FROM a WHERE k IN (SELECT k FROM b)", TABLES)
    noise = job_noise(planned, Decimal(1), Decimal("1e-6"), {})
    laws = [member_laws(planned, noise, node) for node in ("a", "b")]
    assert laws[1] == []
    drawn = [math.sqrt(law.variance) for law in laws[0]]
    told = [measure.sigma for measure in explain(planned, noise, collusion).measures]
    assert told == pytest.approx(drawn)
