"""The vault's schema, step by step (sandbox/database.py)."""

from __future__ import annotations

from sandbox.audit.logrows import LOG_TABLES
from sandbox.database import Step

STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE pins (
            fingerprint TEXT PRIMARY KEY,
            identity BLOB NOT NULL,
            role TEXT NOT NULL,
            pinned INTEGER NOT NULL,
            revoked INTEGER)""",
        """CREATE TABLE datasets (
            name TEXT PRIMARY KEY,
            card BLOB NOT NULL,
            source TEXT NOT NULL,
            version TEXT NOT NULL,
            state TEXT NOT NULL,
            changed INTEGER NOT NULL)""",
        """CREATE TABLE budget_groups (
            dataset TEXT NOT NULL REFERENCES datasets(name),
            budget_group TEXT NOT NULL,
            PRIMARY KEY (dataset, budget_group))""",
        # What has ever been registered: a copy is the same data, so it spends the same budget.
        """CREATE TABLE known_data (
            digest TEXT NOT NULL,
            dataset TEXT NOT NULL REFERENCES datasets(name),
            PRIMARY KEY (digest, dataset))""",
        """CREATE TABLE collections (
            name TEXT NOT NULL,
            signer TEXT NOT NULL,
            document BLOB NOT NULL,
            stored INTEGER NOT NULL,
            PRIMARY KEY (name, signer))""",
        """CREATE TABLE policies (
            dataset TEXT NOT NULL,
            version INTEGER NOT NULL,
            document BLOB NOT NULL,
            since INTEGER NOT NULL,
            PRIMARY KEY (dataset, version))""",
        """CREATE TABLE tasks (
            job TEXT PRIMARY KEY,
            digest TEXT NOT NULL UNIQUE,
            researcher TEXT NOT NULL,
            document BLOB NOT NULL,
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            lease INTEGER NOT NULL,
            received_ms INTEGER NOT NULL,
            changed_ms INTEGER NOT NULL,
            offer BLOB,
            secret BLOB,
            roster TEXT,
            share BLOB,
            release BLOB,
            refusal TEXT)""",
        "CREATE INDEX tasks_by_state ON tasks(state)",
        "CREATE TABLE contexts (digest TEXT PRIMARY KEY, context BLOB NOT NULL)",
        # One row for a budget group (researcher '') and one for each researcher on it.
        """CREATE TABLE budgets (
            budget_group TEXT NOT NULL,
            researcher TEXT NOT NULL,
            "values" TEXT NOT NULL,
            PRIMARY KEY (budget_group, researcher))""",
        """CREATE TABLE ledger (
            sequence INTEGER PRIMARY KEY,
            budget_group TEXT NOT NULL,
            researcher TEXT NOT NULL,
            job TEXT NOT NULL REFERENCES tasks(job),
            loss INTEGER NOT NULL,
            delta TEXT NOT NULL,
            time INTEGER NOT NULL,
            state TEXT NOT NULL,
            link BLOB NOT NULL,
            UNIQUE (budget_group, researcher, job))""",
        *LOG_TABLES,
    ),
)
