"""A coordinator that goes away is asked again, with a deadline; whatever else fails is told at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from sandbox import connection
from sandbox.client import Session
from sandbox.connection import Connection
from sandbox.errors import InputError, Unavailable
from sandbox.jobview import JobView


class Away(grpc.RpcError):
    """What a call to a closed port ends with."""

    def trailing_metadata(self) -> None:
        return None

    def details(self) -> str:
        return ""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class Watched(Connection):
    """A connection whose watch streams are scripted: views, or the error that ends one."""

    def __init__(self, *streams: list[JobView | Exception]) -> None:
        self._streams = iter(streams)
        self.opened = 0

    def watch(self, job: str) -> Iterator[JobView]:
        self.opened += 1
        for each in next(self._streams, [Unavailable("SB-5101", party="coordinator")]):
            if isinstance(each, Exception):
                raise each
            yield each


class Asking(Session):
    """A session that has noted every job."""

    def __init__(self, to: Connection) -> None:
        self._connection = to
        self._notes = SimpleNamespace(read=lambda job: None)  # type: ignore[assignment]


def view(phase: str) -> JobView:
    return JobView("ab" * 16, phase, "SELECT 1", 0, 0, 0, (), (), None)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RETRY_PAUSE_S", 0.01)
    monkeypatch.setattr(connection, "RETRY_S", 0.2)
    monkeypatch.setattr(connection, "RECONNECT_S", 0.2)


def gone() -> Unavailable:
    return Unavailable("SB-5101", party="coordinator")


def test_a_wait_goes_on_when_the_coordinator_is_back() -> None:
    watched = Watched([view("offering"), gone()], [gone()], [], [view("done")])
    seen: list[str] = []
    assert watched.wait("ab", lambda state: seen.append(state.phase)).phase == "done"
    assert seen == ["offering", "done"]
    assert watched.opened == 4


def test_a_wait_for_a_coordinator_that_stays_away_ends_by_name() -> None:
    with pytest.raises(Unavailable, match="SB-5101"):
        Watched([view("offering"), gone()]).wait("ab", None)


def test_a_wait_tells_any_other_failure_at_once() -> None:
    watched = Watched([InputError("SB-3124", job="ab")])
    with pytest.raises(InputError, match="SB-3124"):
        watched.wait("ab", None)
    assert watched.opened == 1


def test_a_job_that_was_waited_for_is_not_asked_after_again() -> None:
    failed = replace(view("failed"), problem=gone())
    watched = Watched([failed], [failed])
    session = Asking(watched)
    with pytest.raises(Unavailable, match="SB-5101"):
        session.result("ab", session.wait("ab", None))
    assert watched.opened == 1
    with pytest.raises(Unavailable, match="SB-5101"):
        session.result("ab")
    assert watched.opened == 2


def test_a_call_is_repeated_until_it_is_answered() -> None:
    calls = []

    def method(request: object, timeout: float) -> str:
        calls.append(request)
        if len(calls) < 3:
            raise Away
        return "answer"

    watched: Any = Watched()
    assert watched._call(method, "question") == "answer"
    assert calls == ["question"] * 3


def test_a_call_to_a_coordinator_that_stays_away_ends_by_name() -> None:
    def method(request: object, timeout: float) -> str:
        raise Away

    watched: Any = Watched()
    with pytest.raises(Unavailable, match="SB-5101"):
        watched._call(method, "question")
