"""What joined plans refuse, cost, and tell; whose noise is added to what."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from sandbox.catalog import Member, Table
from sandbox.errors import InputError, Refusal, SandboxError
from sandbox.jobs import MOST_RUN_S
from sandbox.privacy.allocate import MATCHING_DELTA, MatchingNoise
from sandbox.privacy.policy import default_policy, smallest_change
from sandbox.sql.cost import cost, run_s
from sandbox.sql.explain import explain
from sandbox.sql.noise import capacity, job_noise
from sandbox.sql.plan import plan
from sandbox.sql.request import request
from tests.sql.town import catalogue

ON = "ON p.person = o.person"
PEOPLE, ORDERS = "a.people p", "b.orders o"
EPSILON, DELTA = Decimal(1), Decimal("0.000001")


def asked(select: str, rest: str = "", join: str = f"JOIN {ORDERS} {ON}") -> str:
    return f"SELECT {select} FROM {PEOPLE} {join} {rest}".strip()


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (asked("COUNT(*)", join=f"JOIN {ORDERS} ON p.person = o.number"), "SB-1060", "p.person ="),
        (asked("COUNT(*)", join=f"JOIN {ORDERS} ON p.age = o.number"), "SB-1068", "b.orders"),
        (asked("COUNT(*)", "JOIN visits v ON v.person = o.person JOIN e.stock t ON t.week = p.level"),
         "SB-1060", "t.week"),
        (asked("COUNT(*)", "JOIN e.notes n ON n.person = p.person AND n.person = o.person "
               "JOIN e.stock t ON t.week = t.week"), "SB-1061", "e.stock"),
        (asked("COUNT(*)", "WHERE p.income = o.amount"), "SB-1062", "p.income"),
        (asked("SUM(p.age / o.amount)"), "SB-1063", "p.age"),
        (asked("COUNT(*)", "GROUP BY p.level + o.level"), "SB-1063", "p.level"),
        (asked("COUNT(*)", "GROUP BY p.person"), "SB-1053", "p.person"),
        (asked("COUNT(*)", "GROUP BY COALESCE(o.kind, 'x')", f"LEFT JOIN {ORDERS} {ON}"), "SB-1064",
         "COALESCE"),
        (asked("COUNT(*)", "JOIN visits v ON v.person = o.person", f"LEFT JOIN {ORDERS} {ON}"),
         "SB-1064", "v.person"),
        (asked("COUNT(DISTINCT o.amount)"), "SB-1065", "o.amount)"),
        ("SELECT COUNT(DISTINCT half) FROM (SELECT person, person / 2 AS half FROM a.people) "
         f"p JOIN {ORDERS} {ON}", "SB-1065", "half) FROM"),
        (f"SELECT COUNT(*) FROM (SELECT person * 2 AS twice FROM a.people) p JOIN {ORDERS} "
         "ON p.twice = o.person", "SB-1068", "b.orders"),
        ("SELECT COUNT(*) FROM b.orders WHERE person IN (SELECT person * 2 FROM a.people)", "SB-1060",
         "person * 2"),
        ("SELECT COUNT(*) FROM (SELECT person * 2 AS twice FROM b.orders) WHERE twice IN "
         "(SELECT person FROM a.people)", "SB-1060", "twice IN"),
        ("SELECT COUNT(DISTINCT o.number) FROM visits JOIN b.orders o USING (person)", "SB-1055",
         "o.number)"),
        (asked("COUNT(DISTINCT p.person)", "WHERE p.age > 3 OR o.paid"), "SB-1065", "p.person)"),
        ("SELECT COUNT(DISTINCT v.person) FROM visits v JOIN a.people p USING (person)", "SB-1055",
         "v.person"),
        (asked("COUNT(person)"), "SB-1067", "person)"),
        (asked("COUNT(*)", join=f"FULL JOIN {ORDERS} {ON}"), "SB-1069", "b.orders"),
        (asked("MEDIAN(p.age)"), "SB-1073", "MEDIAN"),
        (asked("APPROX_QUANTILE(p.age, 0.5)"), "SB-1073", "APPROX_QUANTILE"),
        (asked("HISTOGRAM(p.age)"), "SB-1073", "HISTOGRAM"),
        (asked("COUNT(*)", join="LEFT JOIN visits v USING (person)"), "SB-1074", "visits"),
        (asked("COUNT(*)", join=f"JOIN {ORDERS} USING (person) JOIN a.people q USING (person)"),
         "SB-1017", "a.people q"),
        (asked("COUNT(*)", "WHERE p.person IN (SELECT person FROM e.notes)"), "SB-1076", "p.person IN"),
        (asked("COUNT(*)", "WHERE o.amount < (SELECT AVG(weight) FROM e.notes)"), "SB-1003",
         "AVG(weight"),
        ("SELECT COUNT(*) FROM b.orders WHERE paid OR person IN (SELECT person FROM a.people)",
         "SB-1076", "person IN"),
        ("SELECT COUNT(*) FROM b.orders WHERE person IN (SELECT MAX(person) FROM a.people)",
         "SB-1060", "MAX(person)"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_refused_with_code_and_place(
    text: str, code: str, place: str
) -> None:
    with pytest.raises(SandboxError) as caught:
        plan(text, catalogue())
    assert caught.value.code == code, caught.value
    pointed = text[int(str(caught.value.facts["column"])) - 1 :]
    assert pointed.startswith(place), (pointed, place)
    assert caught.value.cure


def test_people_of_disjoint_members_are_counted_distinctly() -> None:
    tables = catalogue()
    people = tables["a.people"]
    tables["everyone"] = replace(people, members=(*people.members, Member("z", "people")))
    text = "SELECT COUNT(DISTINCT p.person) FROM everyone p JOIN b.orders o USING (person)"
    assert len(plan(text, tables).members) == 3


def test_keys_of_different_kinds_are_refused() -> None:
    tables = catalogue()
    orders = tables["b.orders"]
    columns = tuple(
        replace(c, normaliser="lower") if c.name == "person" else c for c in orders.card.columns
    )
    tables["b.orders"] = replace(orders, card=replace(orders.card, columns=columns))
    with pytest.raises(InputError, match="SB-1071"):
        plan(asked("COUNT(*)"), tables)


def test_a_sum_beyond_64_bits_is_refused_by_name() -> None:
    tables = {
        name: replace(table, card=replace(table.card, row_bound=10**12))
        for name, table in catalogue().items()
    }
    with pytest.raises(Refusal, match=r"SB-1066.*income"):
        plan(asked("SUM(p.income * o.amount * p.income * o.amount)"), tables)


def test_every_member_draws_for_its_own_side_and_the_error_is_of_all() -> None:
    planned = plan(asked("COUNT(*), SUM(o.amount)"), catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {})
    for measure, told in enumerate(planned.measures):
        laws = [noise.side_law(side, measure) for side in range(2)]
        assert noise.joined_laws(measure) == laws
        assert noise.total_sigma(measure, 0, 0) == pytest.approx(
            math.sqrt(sum(law.variance for law in laws))
        )
        # sigma^2 / l2^2 is what one side's noise alone gives: the same for every side.
        ratios = [law.scale**2 / c.l2_squared for law, c in zip(laws, told.changes, strict=True)]
        assert float(ratios[0]) == pytest.approx(float(ratios[1]))
    part = Fraction(0)
    for measure, told in enumerate(planned.measures):
        part += told.changes[0].l2_squared / (2 * noise.side_law(0, measure).scale ** 2)
    assert part <= noise.charge.rho


def test_a_collection_adds_the_noise_of_each_member() -> None:
    planned = plan("SELECT COUNT(*) FROM visits v JOIN a.people p USING (person)", catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {})
    assert len(noise.joined_laws(0)) == 3
    assert [side.members for side in noise.sides] == [2, 1]


def test_hiding_how_many_keys_match_is_charged() -> None:
    planned = plan(asked("COUNT(*)"), catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {})
    assert noise.matching is not None
    assert (noise.matching.epsilon, noise.matching.delta) == (EPSILON / 20, DELTA * MATCHING_DELTA)
    assert noise.charge.pure == (Fraction(1, 20),)
    assert noise.charge.extra_delta == Fraction(DELTA * MATCHING_DELTA)


@pytest.mark.parametrize("keys", [1, 2, 5])
@pytest.mark.parametrize("epsilon", ["0.5", "1"])
def test_dummies_hide_a_unit_as_stated(keys: int, epsilon: str) -> None:
    """The exact law of the docstring, shifted by `keys`: hockey-stick divergence at most delta."""
    matching = MatchingNoise(Decimal(epsilon), Decimal("0.001"), keys)
    t = matching.most_dummies // 2
    weights = {x: math.exp(-float(epsilon) * abs(x) / keys) for x in range(-t, t + 1)}
    total = sum(weights.values())
    gain = math.exp(float(epsilon))
    excess = sum(
        max(0.0, p - gain * weights.get(x - keys, 0.0)) for x, p in weights.items()
    ) / total  # fmt: skip
    assert 0 < excess <= 0.001


def test_a_blind_join_without_delta_is_refused() -> None:
    with pytest.raises(InputError, match="SB-2240"):
        job_noise(plan(asked("COUNT(*)"), catalogue()), EPSILON, Decimal(0), {})


def test_sums_and_noise_stay_within_half_of_what_shares_hold() -> None:
    tables = {
        name: replace(table, card=replace(table.card, row_bound=10**10))
        for name, table in catalogue().items()
    }
    planned = plan(asked("SUM(p.income * p.income)"), tables)
    noise = job_noise(planned, Decimal("0.01"), DELTA, {})
    assert planned.quantisation
    assert 2**50 < capacity(planned, noise) < 2**62


def test_each_policy_is_asked_for_the_mode_and_its_own_columns() -> None:
    tables = catalogue()
    planned = plan(asked("SUM(o.amount)", "WHERE p.age > 20"), tables)
    semi = plan(
        "SELECT COUNT(*) FROM b.orders WHERE person IN (SELECT person FROM a.people)", tables
    )
    for plan_, mode, read in (
        (planned, "blind", {"a": {"person", "age"}, "b": {"person", "amount"}}),
        (semi, "psi", {"a": {"person"}, "b": {"person"}}),
    ):
        assert {m.node for m in plan_.members} == {"a", "b"}
        for member in plan_.members:
            card = tables[f"{member.node}.{member.dataset}"].card
            wanted = request(plan_, member, card, "r", "", EPSILON, DELTA, datetime.now(UTC))
            assert {name for name, _ in wanted.columns} == read[member.node]
            assert wanted.join_mode == mode
            rules = {c.rule for c in smallest_change(default_policy(), wanted)}
            assert "join_modes" in rules


@pytest.mark.parametrize("name", ["a.people", "b.orders"])
@pytest.mark.parametrize(
    "text",
    [asked("COUNT(*), SUM(o.amount)"),
     "SELECT COUNT(*) FROM b.orders WHERE person IN (SELECT person FROM a.people)"],
)  # fmt: skip
def test_cost_moves_with_the_rows_of_either_table(text: str, name: str) -> None:
    def at(rows: int) -> tuple[int, float]:
        tables = catalogue()
        for other in ("a.people", "b.orders"):
            table = tables[other]
            bound = rows if other == name else 10**6
            tables[other] = replace(table, card=replace(table.card, row_bound=bound))
        planned = plan(text, tables)
        found = cost(planned, job_noise(planned, EPSILON, DELTA, {}))
        return found.bytes, found.seconds

    (few, fast), (many, slow) = at(10**6), at(2 * 10**6)
    assert many > 1.2 * few
    assert slow > 1.1 * fast


def collection_of(members: int, rows: int) -> dict[str, Table]:
    """Return the tables, and `everyone`: so many members with so many rows each."""
    tables = catalogue()
    people = tables["a.people"]
    each = tuple(Member(f"node{n}", "people") for n in range(members))
    card = replace(people.card, row_bound=rows)
    return tables | {"everyone": replace(people, name="everyone", card=card, members=each)}


def longest(members: int, rows: int) -> int:
    text = "SELECT COUNT(*) FROM everyone p JOIN b.orders o USING (person)"
    planned = plan(text, collection_of(members, rows))
    noise = job_noise(planned, EPSILON, DELTA, {})
    return run_s(planned, noise, malicious=False, verify=False, prepared=False)


def test_a_join_is_waited_for_longer_the_more_joins_it_runs_and_the_larger_they_are() -> None:
    """Fifty joins with a million rows each take longer than the ten minutes that any job has."""
    assert 0 < longest(2, 1000) < longest(2, 10**6) < longest(50, 10**6)
    assert longest(50, 10**6) > 600


def test_a_join_that_nobody_would_wait_for_is_refused_before_anything_is_spent() -> None:
    with pytest.raises(Refusal, match="SB-1107") as refused:
        longest(400, 2**24)
    assert refused.value.facts["hours"] > refused.value.facts["most"] == MOST_RUN_S // 3600
    planned = plan(
        "SELECT COUNT(*) FROM everyone p JOIN b.orders o USING (person)", collection_of(400, 2**24)
    )
    with pytest.raises(Refusal, match="SB-1107"):
        explain(planned, job_noise(planned, EPSILON, DELTA, {}))


def test_cost_moves_with_the_columns() -> None:
    def at(select: str, rest: str = "") -> tuple[int, float]:
        planned = plan(asked(select, rest), catalogue())
        found = cost(planned, job_noise(planned, EPSILON, DELTA, {}))
        return found.bytes, found.seconds

    assert at("COUNT(*)") < at("SUM(o.amount)") < at("kind, SUM(o.amount)", "GROUP BY 1")


@pytest.mark.parametrize(
    ("lang", "words"), [("en", ("colludes with no provider", "clamp as declared")),
                        ("zh", ("不与任何提供方串通", "按声明截断"))]
)  # fmt: skip
def test_explain_says_who_must_be_trusted(
    monkeypatch: pytest.MonkeyPatch, lang: str, words: tuple[str, str]
) -> None:
    planned = plan(asked("COUNT(*)"), catalogue())
    monkeypatch.setenv("SANDBOX_LANG", lang)
    told = str(explain(planned, job_noise(planned, EPSILON, DELTA, {})))
    for word in words:
        assert word in told


def test_explain_tells_each_side_as_json() -> None:
    planned = plan(asked("COUNT(*)"), catalogue())
    document = explain(planned, job_noise(planned, EPSILON, DELTA, {})).to_document()["join"]
    assert document["mode"] == "blind"
    assert [side["changes"] for side in document["sides"]] == [["4"], ["1"]]
    assert len(document["trust"]) == 3


def test_a_plan_over_one_table_has_no_join() -> None:
    planned = plan("SELECT COUNT(*) FROM b.orders", catalogue())
    assert (planned.mode, planned.semi, len(planned.sides)) == (None, None, 1)
    assert planned.members == (Member("b", "orders"),)
    assert explain(planned, job_noise(planned, EPSILON, DELTA, {})).join is None
    assert isinstance(planned.table, Table)
