"""A session at a coordinator where nobody offers anything."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from sandbox.budgets import read_budgets
from sandbox.client import Session
from sandbox.crypto.identity import Role
from sandbox.errors import InputError, Unavailable
from sandbox.query import exact
from sandbox.rpc import coordinator_pb2
from sandbox.rpc.documents import to_message
from sandbox.rpc.problems import problem_of
from sandbox.tables import Entry
from tests.nodes.vaults import RESEARCHER, party


class Lonely(Session):
    """Reads an empty catalogue."""

    _identity = RESEARCHER

    def __init__(self) -> None:
        pass

    def catalogue(self) -> dict[str, Entry]:
        return {}


def test_where_no_table_is_offered_this_is_what_is_said() -> None:
    session = Lonely()
    with pytest.raises(InputError) as error:
        session.table("machines")
    assert error.value.code == "SB-1390"
    with pytest.raises(InputError) as error:
        session.sql("SELECT COUNT(*) FROM machines").plan  # noqa: B018 - planned when first read
    assert error.value.code == "SB-1390"
    assert session.datasets() == []


def test_session_and_query_name_themselves_in_a_line_and_in_a_notebook() -> None:
    session = Lonely()
    session._config = SimpleNamespace(coordinator="hub:7000")  # type: ignore[assignment]
    name = RESEARCHER.public.name
    assert repr(session) == f"Session(researcher '{name}' at hub:7000)"
    assert "hub:7000" in session._repr_html_()
    query = session.sql("SELECT COUNT(*)\n  FROM machines WHERE torque < 5" + " AND failed" * 30)
    assert repr(query).startswith("Query('SELECT COUNT(*) FROM machines WHERE torque < 5 AND")
    assert len(repr(query)) < 100
    assert "torque &lt; 5" in query._repr_html_()


@pytest.mark.parametrize("written", ["abc", "nan", float("inf"), ""])
def test_what_is_no_number_is_refused_by_name(written: str | float) -> None:
    session = Lonely()
    session._config = SimpleNamespace(purpose="", epsilon=None, delta=None)  # type: ignore[assignment]
    for given in ({"epsilon": written}, {"delta": written}):
        with pytest.raises(InputError) as refused:
            session.grants("SELECT COUNT(*) FROM machines", **given)  # type: ignore[arg-type]
        assert refused.value.code == "SB-1351"
        assert refused.value.facts["option"] in given
    with pytest.raises(InputError, match="SB-1351"):
        exact("epsilon", written, None)


def test_node_that_tells_no_budget_is_named_beside_those_that_do() -> None:
    """a is down, b answers, c's answer is left out, d's is old, e's is forged, f is nobody's."""
    nodes = {name: party(name, Role.NODE) for name in "bcdef"}
    said = {"budgets": [{"dataset": "t"}]}
    forged = replace(nodes["e"].sign("budget", {"nonce": "now", **said}), signature=bytes(64))
    reply = coordinator_pb2.BudgetReply(
        statements=[
            to_message(nodes["b"].sign("budget", {"nonce": "now", **said})),
            to_message(nodes["d"].sign("budget", {"nonce": "before", **said})),
            to_message(forged),
            to_message(nodes["f"].sign("budget", {"nonce": "now", **said})),
        ],
        problems=[problem_of(Unavailable("SB-5102", party="a"), "a")],
    )
    known = {nodes[name].public.fingerprint: nodes[name].public for name in "bcde"}
    found = read_budgets(reply, "now", known, known.keys())
    assert list(found) == [{"node": "b", "dataset": "t"}]
    assert {name: error.code for name, error in found.unanswered.items()} == {
        "a": "SB-5102",
        "c": "SB-5101",
        "d": "SB-5101",
        "e": "SB-3012",
    }


def test_where_no_node_tells_its_budget_this_is_what_is_said() -> None:
    reply = coordinator_pb2.BudgetReply(problems=[problem_of(Unavailable("SB-5102"), "a")])
    session = Lonely()
    session._connection = SimpleNamespace(budget=lambda request: reply)  # type: ignore[assignment]
    with pytest.raises(Unavailable, match="SB-5102"):
        session.budget()
