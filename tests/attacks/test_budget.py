"""Attacks on the budget: what many questions, many accounts or many processes can get out of nodes that
keep their word."""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from nodes import assessment, ledger
from nodes.ledger import Demand
from nodes.migrations import STEPS
from nodes.vault import Vault
from sandbox.database import Database
from sandbox.errors import Refusal
from sandbox.privacy import budget
from sandbox.privacy.accounting import Charge, rho_of
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.noise import Law, Mechanism
from sandbox.privacy.policy import Policy
from tests.attacks import broken
from tests.nodes import vaults
from tests.noise import SeededSampler

DELTA = Decimal("0.000001")


# 23 · the same question a thousand times


def test_attack_23_the_same_job_asked_a_thousand_times_gives_the_stored_bytes(
    tmp_path: Path,
) -> None:
    vault, job, roster = vaults.open_vault(tmp_path), vaults.signed_job(1), vaults.digest_of("r")
    _until_reserved(vault, 1)
    lease = vault.reserve(job.digest, roster, vaults.charge(), vaults.demands())
    release = vaults.release_of(job, roster, b"noised", vaults.party("a"))
    vault.commit_share(job.digest, lease, b"noised", release)
    spent = vault.spent("data:t")
    assert spent is not None
    assert spent.loss > 0
    for _ in range(1000):
        vault.accept_job(vaults.job_id(1), job)
        stored = vault.stored_share(job.digest)
        assert stored is not None
        assert stored.share == b"noised"
    assert vault.spent("data:t") == spent


def _until_reserved(vault: Vault, number: int) -> None:
    """Bring job `number` to where it may reserve, under the roster "r"."""
    job, roster = vaults.signed_job(number), vaults.digest_of("r")
    vault.accept_job(vaults.job_id(number), job)
    vault.store_offer(job.digest, 1, b"offer", b"secret")
    vault.sign_roster(job.digest, 1, roster)


def test_attack_23_the_same_statement_in_new_jobs_is_charged_each_time(tmp_path: Path) -> None:
    vault, roster, answered = vaults.open_vault(tmp_path), vaults.digest_of("r"), 0
    for number in range(40):
        _until_reserved(vault, number)
        digest = vaults.signed_job(number).digest
        with suppress(Refusal):
            vault.reserve(digest, roster, vaults.charge("0.5"), vaults.demands())
            answered += 1
    assert answered == 8  # of epsilon 4


# 24 · reconstruction


@pytest.mark.statistical
def test_attack_24_secrets_are_not_reconstructed_from_sums_over_chosen_subsets() -> None:
    """Dinur and Nissim: counts of a secret bit over random halves of 100 people, solved by least
    squares. The filter stops after what epsilon 4 allows; a coin guesses 50%, and 70% is 4 standard
    errors above it (seeded)."""
    people, rng = 100, np.random.default_rng(24)
    secret = rng.integers(0, 2, people)
    limits = BudgetLimits(Decimal(4), DELTA, timedelta(days=30), Decimal(4))
    each, now = Decimal("0.5"), datetime(2027, 1, 1, tzinfo=UTC)
    charge = Charge(each, DELTA, rho=rho_of(each, DELTA), length=1)
    law = Law(
        Mechanism.GAUSSIAN, Fraction(math.isqrt(math.ceil(10**6 / (2 * charge.rho))) + 1, 1000)
    )
    spent, subsets = None, []
    for _ in range(4000):
        try:
            spent = budget.admit(spent, limits, charge, now, "readings")
        except Refusal:
            break
        subsets.append(rng.integers(0, 2, people))
    asked = np.array(subsets)
    answers = asked @ secret + SeededSampler(24).array(law, (len(subsets),))
    guess, *_ = np.linalg.lstsq(asked.astype(float), answers - 0.0, rcond=None)
    found = ((guess > 0.5) == secret).mean()
    assert len(subsets) > 20
    assert found < 0.7


# 27 · the last epsilon, asked for by many at once


LAST = vaults.limits("1", "1")


def test_attack_27_of_a_hundred_jobs_at_once_one_gets_the_last_epsilon(tmp_path: Path) -> None:
    vault = vaults.open_vault(tmp_path)
    for number in range(100):
        _until_reserved(vault, number)

    def spend(number: int) -> bool:
        digest, roster = vaults.signed_job(number).digest, vaults.digest_of("r")
        try:
            vault.reserve(digest, roster, vaults.charge("1"), vaults.demands(most=LAST))
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(spend, range(100))) == 1


def test_attack_27_processes_on_one_file_share_one_budget(tmp_path: Path) -> None:
    vault = vaults.open_vault(tmp_path)
    for number in range(100):
        vault.accept_job(vaults.job_id(number), vaults.signed_job(number))
    vault.close()
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        won = pool.starmap(spend_from_a_process, [(str(tmp_path), 25 * n) for n in range(4)])
    assert sum(won) == 1


def spend_from_a_process(folder: str, first: int) -> int:
    """Try to spend the last epsilon 25 times; return how often that went well."""
    if broken.active():
        broken.apply(broken.active())
    database, won = Database(Path(folder) / "vault.db", STEPS), 0
    for number in range(first, first + 25):
        try:
            with database.write("reserve") as connection:
                demand = vaults.demands(most=LAST)[0]
                ledger.reserve(
                    connection, vaults.job_id(number), vaults.charge("1"), demand, 1_790_000_000
                )
            won += 1
        except Refusal:
            pass
    return won


# 28 · a second account


def test_attack_28_a_second_account_finds_the_same_budget_spent(tmp_path: Path) -> None:
    vault, policy = vaults.open_vault(tmp_path), Policy(dataset_budget=vaults.limits("1", "1"))
    policy = replace(policy, researcher_budget=vaults.limits("1", "1"))
    registry = SimpleNamespace(
        budget_policies=lambda group: (policy,),
        dataset=lambda name: SimpleNamespace(groups=("data:readings",)),
    )

    def wanted(researcher: str) -> list[Demand]:
        job = SimpleNamespace(researcher=researcher)
        read = SimpleNamespace(datasets=("readings",))
        return assessment.demands(cast(Any, job), cast(Any, read), cast(Any, registry))

    def spend(researcher: str, number: int) -> None:
        vault.accept_job(vaults.job_id(number), vaults.signed_job(number))
        with vault.database.write("reserve") as connection:
            for demand in wanted(researcher):
                job = vaults.job_id(number)
                ledger.reserve(connection, job, vaults.charge("1"), demand, vault.now_s())

    spend("first account", 1)
    with pytest.raises(Refusal, match="SB-210"):
        spend("second account", 2)
