"""Budget groups: whatever an owner does with names, copies, views and data, no budget grows."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.assessment import group_demands
from nodes.ledger import reserve
from nodes.registry import Registry
from nodes.sources import Source, ViewSource
from nodes.vault import Vault
from sandbox.errors import InputError, Refusal
from sandbox.privacy.budget import strictest
from tests.nodes.registries import CARD, card, source_of
from tests.nodes.vaults import RESEARCHER, charge, job_id, limits, open_vault, signed_job

WHO = RESEARCHER.public.fingerprint


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_vault(tmp_path))


def add(registry: Registry, name: str, rows: str, domain: str = "") -> tuple[str, ...]:
    return registry.add(name, card(domain), source_of(name), rows).groups


def view_of(registry: Registry, *names: str) -> Source:
    return ViewSource("SELECT 1", tuple((name, registry.dataset(name).source) for name in names))


def test_dataset_alone_has_its_own_group(registry: Registry) -> None:
    assert add(registry, "x", "rows x") == ("data:x",)
    assert add(registry, "y", "rows y") == ("data:y",)


def test_view_belongs_to_every_dataset_below_it(registry: Registry) -> None:
    add(registry, "x", "rows x")
    add(registry, "y", "rows y")
    both = registry.add("both", CARD, view_of(registry, "x", "y"), "v").groups
    above = registry.add("above", CARD, view_of(registry, "both"), "w").groups
    assert both == above == ("data:x", "data:y")


def test_datasets_of_one_unit_domain_share_a_group(registry: Registry) -> None:
    assert add(registry, "x", "rows x", "person") == add(registry, "y", "rows y", "person")


def test_copy_of_data_that_was_ever_here_spends_its_budget(registry: Registry) -> None:
    add(registry, "x", "rows x")
    registry.replace({"x": (source_of("x2"), "rows x2")})
    assert add(registry, "old", "rows x") == ("data:x",)
    assert add(registry, "new", "rows x2") == ("data:x",)


def test_name_keeps_its_groups_through_removal_new_data_and_a_new_domain(
    registry: Registry,
) -> None:
    add(registry, "x", "rows x")
    registry.remove("x")
    assert add(registry, "x", "other rows", "person") == ("data:x", "unit:person")


def test_data_put_in_place_of_others_brings_its_groups_along_to_views_too(
    registry: Registry,
) -> None:
    add(registry, "x", "rows x")
    add(registry, "y", "rows y")
    registry.add("view", CARD, view_of(registry, "y"), "v")
    fresh = source_of("y2")
    above = ViewSource("SELECT 1", (("y", fresh),))
    registry.replace({"y": (fresh, "rows x"), "view": (above, "v2")})
    assert registry.dataset("y").groups == ("data:x", "data:y")
    assert registry.dataset("view").groups == ("data:x", "data:y")


def test_taken_name_is_refused(registry: Registry) -> None:
    add(registry, "x", "rows x")
    with pytest.raises(InputError, match="SB-1441"):
        add(registry, "x", "others")


def test_every_registration_is_in_the_log(registry: Registry) -> None:
    add(registry, "x", "rows x")
    registry.replace({"x": (source_of("x2"), "rows x2")})
    registry.remove("x")
    entries = registry._vault.log.entries()
    assert [record.entry.kind for record in entries].count("dataset") == 3


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=4))
def test_strictest_limits_are_as_strict_as_each(choices: list[tuple[int, int]]) -> None:
    each = [limits(str(epsilon), str(epsilon + more)) for epsilon, more in choices]
    found = strictest(each)
    assert all(found.epsilon <= one.epsilon for one in each)
    assert all(found.lifetime_epsilon <= one.lifetime_epsilon for one in each)
    assert all(found.period >= one.period and found.delta <= one.delta for one in each)


NAMES = ("x", "y", "z", "w")
CONTENTS = ("rows 1", "rows 2", "rows 3")


class Owner:
    """Acts of an owner at random, and what each content and each domain has lost, counted apart."""

    def __init__(self, seed: int, vault: Vault) -> None:
        self.chance = random.Random(seed)
        self.vault = vault
        self.registry = Registry(vault)
        self.contents: dict[str, set[str]] = {}
        self.lost: dict[str, int] = dict.fromkeys(CONTENTS, 0)
        self.jobs = 0

    def act(self) -> None:
        acts = (self.add, self.add_view, self.replace, self.remove, self.spend, self.spend)
        # A name that is taken or unknown, a view over itself: refused, and nothing happened.
        with suppress(InputError):
            self.chance.choice(acts)()

    def name(self) -> str:
        return self.chance.choice(NAMES)

    def add(self) -> None:
        name, rows = self.name(), self.chance.choice(CONTENTS)
        domain = self.chance.choice(("", "", "person"))
        self.registry.add(name, card(domain), source_of(name), rows)
        self.contents[name] = {rows}

    def add_view(self) -> None:
        name, below = self.name(), self.name()
        if name == below:
            return
        source = view_of(self.registry, below)
        self.registry.add(name, CARD, source, f"view over {below}")
        self.contents[name] = set(self.contents[below])

    def replace(self) -> None:
        name, rows = self.name(), self.chance.choice(CONTENTS)
        # As nodes/datasets.py: views over it read the new rows, all in one act.
        changed: dict[str, tuple[Source, str]] = {name: (source_of(name), rows)}
        held = {name: {rows}}
        for dataset in self.registry.datasets():
            source = dataset.source
            if isinstance(source, ViewSource) and name in dict(source.inputs):
                changed[dataset.name] = (source, f"view over {rows}")
                held[dataset.name] = {rows}
        self.registry.replace(changed)
        self.contents.update(held)

    def remove(self) -> None:
        name = self.name()
        self.registry.remove(name)
        del self.contents[name]

    def spend(self) -> None:
        """A job over one dataset: what its rows have lost must fit the budget of 3, ever."""
        name = self.name()
        groups = self.registry.dataset(name).groups
        self.jobs += 1
        self.vault.accept_job(job_id(self.jobs), signed_job(self.jobs))
        try:
            with self.vault.database.write("spend") as connection:
                for group in groups:
                    for demand in group_demands(group, name, WHO, self.registry):
                        tight = type(demand)(group, demand.researcher, limits("3", "3"), name)
                        reserve(connection, job_id(self.jobs), charge(), tight, self.vault.now_s())
        except Refusal:
            return
        for rows in self.contents[name]:
            self.lost[rows] += 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_no_sequence_of_owners_acts_makes_a_budget_grow(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    vault = open_vault(tmp_path_factory.mktemp("owner"))
    owner = Owner(seed, vault)
    groups: dict[str, set[str]] = {}
    for _ in range(25):
        before = {group: vault.spent(group) for known in groups.values() for group in known}
        owner.act()
        for group, spent in before.items():
            now = vault.spent(group)
            assert spent is None or (now is not None and now.lifetime_loss >= spent.lifetime_loss)
        for dataset in owner.registry.datasets():
            known = groups.setdefault(dataset.name, set())
            assert known <= set(dataset.groups), "a dataset left a budget group"
            known.update(dataset.groups)
        # The same rows, under whatever names, never lose more than the budget.
        assert max(owner.lost.values()) <= 3
    vault.close()
