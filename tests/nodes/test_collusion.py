"""h: an owner may demand more than a job states, and a job more than an owner; never less."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nodes.assessment import Assessment, collusion
from nodes.registry import Registry
from sandbox.jobs import JobSpec
from sandbox.privacy.policy import Policy


@pytest.mark.parametrize(
    ("stated", "demanded", "used"), [(1, 1, 1), (1, 3, 3), (4, 3, 4), (2, 2, 2)]
)
def test_the_larger_of_job_and_owner_counts(stated: int, demanded: int, used: int) -> None:
    policies = {"plain": Policy(), "strict": Policy(collusion=demanded)}
    registry: Any = SimpleNamespace(policy=policies.__getitem__)
    spec: Any = SimpleNamespace(collusion=stated)
    read: Any = SimpleNamespace(datasets=("plain", "strict"))
    found = collusion(cast(JobSpec, spec), cast(Assessment, read), cast(Registry, registry))
    assert found == used
