"""What explain says a join rests on, its receipt states, and the auditor reads in his language."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit.receipt import Receipt
from sandbox.cli.verification import Report, verify_file
from sandbox.client import Session
from sandbox.messages import catalogue
from tests.attacks.join.test_disclosures import drafted, refusal
from tests.cli.commands import ok
from tests.endtoend import deployment, shops
from tests.endtoend.test_disclosures import allow

JOIN = "SELECT COUNT(*) AS n FROM a.people p JOIN b.purchases q ON p.id = q.buyer"
SEMI = "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)"
TERMS = {"epsilon": "1", "delta": "1e-6"}


@dataclass(frozen=True)
class Case:
    """A join, and the codes that its receipt has in order."""

    ask: Callable[[Session], tuple[str, Path]]
    """Explains and runs it; returns what explain says, and the receipt."""
    mode: str
    trust: tuple[str, ...]
    learnt: tuple[str, ...]


def query(statement: str, **options: Any) -> Callable[[Session], tuple[str, Path]]:
    def ask(session: Session) -> tuple[str, Path]:
        asked = session.sql(statement)
        said = str(asked.explain(**TERMS, **options))
        return said, asked.run(**TERMS, **options).receipt

    return ask


def ids(session: Session) -> tuple[str, Path]:
    asked = session.join("a.people", "b.purchases", on="id=buyer")
    return str(asked.explain()), asked.run().receipt


def kept(session: Session) -> tuple[str, Path]:
    session.prepare(
        "shops", "a.people", "b.purchases", on="id=buyer", epsilon="0.05", delta="1e-9"
    ).run()
    return query(JOIN, prepared="shops")(session)


BLIND = ("pattern-alone", "clamped")
CHECKS = ("coordinator-checked", "matches-left-out")
CASES = {
    "blind": Case(query(JOIN), "blind", ("all-follow", *BLIND), ("pattern",)),
    "verified": Case(
        query(JOIN, verify=True), "blind", ("providers-follow", *BLIND, *CHECKS), ("pattern",)
    ),
    "kept": Case(kept, "blind", ("all-follow", *BLIND), ()),
    "psi": Case(query(SEMI), "psi", ("semi-honest",), ("own-matches",)),
    "malicious": Case(query(SEMI, malicious=True), "psi", ("malicious",), ("own-matches",)),
    "ids": Case(ids, "psi", ("semi-honest",), ("own-ids",)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("trust") / "deployment"
    shops.make(made)
    allow(made, "b", "purchases", ("a",))
    with deployment.running(made):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        yield opened


def sentences(lang: str, codes: tuple[str, ...]) -> list[str]:
    """Return the start of each code's sentence, up to its first number."""
    return [catalogue(lang)[f"trust.{code}"].partition("{")[0] for code in codes]


@pytest.mark.parametrize("name", CASES)
def test_receipt_states_what_explain_said_and_the_auditor_reads_it_in_both_languages(
    folder: Path, session: Session, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.setenv("SANDBOX_LANG", "en")
    said, file = case.ask(session)
    assert all(each in said for each in sentences("en", case.trust))
    receipt = Receipt.from_json(file.read_text())
    for node in receipt.nodes:
        body = json.loads(node.release.body)
        assert (body["mode"], body["trust"], body["learnt"]) == (
            case.mode,
            [*case.trust],
            [*case.learnt],
        )
    for lang in ("en", "zh"):
        monkeypatch.setenv("SANDBOX_LANG", lang)
        report = verify_file(file, [], folder / "researcher")
        assert report.ok, report.facts
        assert report.facts["trusted"]
        assert report.facts["mode"] == case.mode
        read_sentences_are(report, lang, case)


def read_sentences_are(report: Report, lang: str, case: Case) -> None:
    trust = [code for code in case.trust if code not in CHECKS]
    checked = sentences(lang, tuple(code for code in case.trust if code in CHECKS))
    assert len(report.facts["trust"]) == len(trust)
    for found, expected in zip(report.facts["trust"], sentences(lang, tuple(trust)), strict=True):
        assert found.startswith(expected)
    assert all(each in report.facts.get("verified", "") for each in checked)
    assert ("verified" in report.facts) == bool(checked)
    told = [catalogue(lang)[f"learnt.{code}"].format(receivers="a") for code in case.learnt]
    assert report.facts["disclosed"] == told


def test_command_prints_them_and_a_plain_query_has_none(folder: Path, session: Session) -> None:
    joined = session.sql(JOIN).run(**TERMS, verify=True).receipt
    alone = session.sql("SELECT COUNT(*) AS n FROM a.people").run(**TERMS).receipt
    shown = ok("audit", "verify", joined, "--profile", folder / "researcher").stdout
    assert "colludes with none of them" in shown
    assert "all follow the protocol" not in shown
    plain = ok("audit", "verify", alone, "--profile", folder / "researcher", "--format", "json")
    assert not {"mode", "trust", "disclosed", "verified"} & set(plain.json)


def test_explain_of_a_verified_join_trusts_no_coordinator_to_follow(session: Session) -> None:
    said = str(session.sql(JOIN).explain(**TERMS, verify=True))
    assert catalogue("en")["trust.all-follow"] not in said
    assert catalogue("en")["trust.providers-follow"] in said


@pytest.mark.parametrize("other", [{"mode": "blind", "receivers": []}, {"receivers": ["b"]}])
def test_job_that_names_another_mode_or_receivers_than_its_statement_is_refused_unpaid(
    session: Session, other: dict[str, Any]
) -> None:
    """Its receipt would state what nobody has run."""
    names = {identity.name: fingerprint for fingerprint, identity in session.identities().items()}
    changed = {**other, "receivers": [names[name] for name in other["receivers"]]}
    before = deployment.left(session)
    assert refusal(session, drafted(session, **changed)) == "SB-2266"
    assert deployment.left(session) == before
