"""`sandbox join prepare` between real nodes: one matching, and statements over it that equal DuckDB's."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.datasets import replace_data
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.errors import InputError, Refusal
from tests.endtoend import deployment, shops

FROM = "a.people p JOIN b.purchases q ON p.id = q.buyer"
STATEMENTS = [
    f"SELECT COUNT(*) AS n, SUM(q.amount) AS total FROM {FROM}",
    f"SELECT p.region, COUNT(*) AS n, SUM(q.amount) AS total FROM {FROM} "
    "WHERE p.age > 30 AND q.kind <> 'c' GROUP BY p.region ORDER BY p.region",
    f"SELECT p.region, q.kind, COUNT(*) AS n FROM {FROM} GROUP BY p.region, q.kind ORDER BY 1, 2",
    "SELECT COUNT(*) AS n, SUM(q.amount) AS total FROM a.people p "
    "LEFT JOIN b.purchases q ON p.id = q.buyer WHERE p.age < 50",
    f"SELECT SUM(p.age * q.amount) AS s, COUNT(*) AS n FROM {FROM} WHERE p.age IS NOT NULL",
    "SELECT COUNT(*) AS n FROM b.purchases q JOIN a.people p ON q.buyer = p.id WHERE q.kind = 'a'",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("prepared") / "deployment"
    shops.make(made)
    with deployment.running(made, plain=True):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        prepare(opened, "shops")
        yield opened


def prepare(session: Session, name: str) -> None:
    session.prepare(
        name, "a.people", "b.purchases", on="id=buyer", epsilon="0.05", delta="1e-9"
    ).run()


def kept(folder: Path, node: str) -> list[Path]:
    return sorted((folder / "nodes" / node / "matchings").glob("*"))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statements_over_one_matching_equal_duckdb(
    folder: Path, session: Session, statement: str
) -> None:
    result = session.sql(statement).run(epsilon="1", delta="1e-6", prepared="shops")
    expected = shops.duck(folder).execute(statement).fetchall()
    names = [
        name for name in result.to_arrow().column_names if not name.endswith(("_low", "_high"))
    ]
    found = [tuple(row[name] for name in names) for row in result.to_arrow().to_pylist()]
    assert [tuple(map(plain, row)) for row in found] == [tuple(map(plain, row)) for row in expected]


def plain(value: object) -> object:
    return value if isinstance(value, str) or value is None else round(float(str(value)), 4)


def test_nodes_alone_keep_slots_and_no_key(folder: Path, session: Session) -> None:
    for node in ("a", "b"):
        (file,) = kept(folder, node)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert b"P0001" not in file.read_bytes()
