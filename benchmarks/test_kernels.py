"""What a job is made of, each alone: `pytest benchmarks/test_kernels.py` (pytest-benchmark)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import meters
from sandbox.audit.log import Tree, verify_inclusion
from sandbox.catalog import Member, Table
from sandbox.crypto import he
from sandbox.crypto.he import ResultKey
from sandbox.crypto.masks import pairwise_masks
from sandbox.crypto.rings import RINGS, Ring, Slots, frame
from sandbox.privacy import accounting
from sandbox.privacy.budget import BudgetLimits, admit
from sandbox.privacy.noise import Law, Mechanism, OpenDPSampler
from sandbox.sql.answer import DisplayRules, answer
from sandbox.sql.explain import explain
from sandbox.sql.noise import job_noise
from sandbox.sql.plan import plan

MEMBERS = ("a", "b", "c")
LENGTH = 48
"""Integers of meters.QUERY."""
SEED, TRANSCRIPT = bytes(32), bytes(64)
TABLE = Table("meters", meters.card(1_000_000), tuple(Member(m, "meters") for m in MEMBERS))
ROWS_A_GROUP = 300_000
MEANS = (1, -1_300, 1_750_000, 0, 0, 3_333)
"""Of the measures of meters.QUERY in the order of its plan, in their own units."""
each_ring = pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ResultKey:
    """A result key."""
    return ResultKey.generate(tmp_path_factory.mktemp("key") / "key")


@each_ring
def test_masks(benchmark: BenchmarkFixture, ring: Ring) -> None:
    """The masks of one node among three, agreements included."""
    private = X25519PrivateKey.generate()
    others = {m: X25519PrivateKey.generate().public_key().public_bytes_raw() for m in "bc"}
    benchmark(pairwise_masks, private, "a", others, transcript=TRANSCRIPT, ring=ring, length=LENGTH)


def _shares(key: ResultKey, ring: Ring) -> list[bytes]:
    contexts = key.public_contexts(ring)
    return [he.encrypt_slots(contexts, ring, LENGTH, _framed(ring, member)) for member in MEMBERS]


def _framed(ring: Ring, member: str) -> Slots:
    return frame(range(LENGTH), ring, seed=SEED, transcript=TRANSCRIPT, member=member)


@each_ring
def test_encrypt(benchmark: BenchmarkFixture, key: ResultKey, ring: Ring) -> None:
    """One share, the check of the researcher's contexts included."""
    benchmark(he.encrypt_slots, key.public_contexts(ring), ring, LENGTH, _framed(ring, "a"))


@each_ring
def test_add(benchmark: BenchmarkFixture, key: ResultKey, ring: Ring) -> None:
    """Three shares, each checked before it is parsed."""
    benchmark(he.add, _shares(key, ring))


@each_ring
def test_open(benchmark: BenchmarkFixture, key: ResultKey, ring: Ring) -> None:
    """Decrypt a sum and check it against its roster."""
    summed = he.add(_shares(key, ring))
    opened = benchmark(
        key.open, summed, ring, LENGTH, seed=SEED, transcript=TRANSCRIPT, members=MEMBERS
    )
    assert opened == [3 * value for value in range(LENGTH)]


def test_account(benchmark: BenchmarkFixture) -> None:
    """What one job costs, from (epsilon, delta), derived anew, and whether it fits."""
    limits = BudgetLimits(Decimal(8), Decimal("0.000001"), timedelta(days=90), Decimal(16))
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def account() -> None:
        for cached in (accounting.rho_of, accounting.best_order, accounting.epsilon_of):
            cached.cache_clear()
        rho = accounting.rho_of(Decimal(1), Decimal("0.000001"))
        charge = accounting.Charge(Decimal(1), Decimal("0.000001"), rho=rho, length=LENGTH)
        admit(None, limits, charge, now, "dataset")

    benchmark(account)


def test_admit(benchmark: BenchmarkFixture) -> None:
    """Whether one more job of a known cost fits a budget."""
    limits = BudgetLimits(Decimal(8), Decimal("0.000001"), timedelta(days=90), Decimal(16))
    rho = accounting.rho_of(Decimal(1), Decimal("0.000001"))
    charge = accounting.Charge(Decimal(1), Decimal("0.000001"), rho=rho, length=LENGTH)
    benchmark(admit, None, limits, charge, datetime(2026, 1, 1, tzinfo=UTC), "dataset")


def test_plan(benchmark: BenchmarkFixture) -> None:
    """From text to the plan of meters.QUERY."""
    benchmark(plan, meters.QUERY, {"meters": TABLE})


def test_noise_plan(benchmark: BenchmarkFixture) -> None:
    """The noise of every measure, for an epsilon."""
    planned = plan(meters.QUERY, {"meters": TABLE})
    benchmark(job_noise, planned, Decimal(1), Decimal("0.000001"), {})


def test_explain(benchmark: BenchmarkFixture) -> None:
    """What it costs and who learns what."""
    planned = plan(meters.QUERY, {"meters": TABLE})
    noise = job_noise(planned, Decimal(1), Decimal("0.000001"), {})
    benchmark(lambda: str(explain(planned, noise, 1)))


def test_draw_noise(benchmark: BenchmarkFixture) -> None:
    """One discrete Gaussian for each integer of a share."""
    benchmark(OpenDPSampler().draw, Law(Mechanism.GAUSSIAN, Fraction(100)), LENGTH)


@pytest.mark.parametrize("leaves", [1_000, 100_000])
def test_prove_inclusion(benchmark: BenchmarkFixture, leaves: int) -> None:
    """The proof that a log of so many entries contains one of them, and its check."""
    hashes = [number.to_bytes(32, "big") for number in range(leaves)]
    tree, index = Tree(hashes), leaves // 3
    root = tree.root()

    def prove() -> bool:
        proof = tree.inclusion_proof(index)
        return verify_inclusion(hashes[index], index, leaves, proof, root)

    assert benchmark(prove)


def test_intervals(benchmark: BenchmarkFixture) -> None:
    """The answer of meters.QUERY with its forty intervals."""
    planned = plan(meters.QUERY, {"meters": TABLE})
    noise = job_noise(planned, Decimal(1), Decimal("0.000001"), {})
    laws = [[noise.node_law(m, 3, 1)] * 3 for m in range(len(planned.measures))]
    values = [mean * ROWS_A_GROUP for mean in MEANS for _ in meters.REGIONS]
    rows = benchmark(answer, planned, values, laws, DisplayRules(10, "a")).rows
    assert len(rows) == len(meters.REGIONS)
