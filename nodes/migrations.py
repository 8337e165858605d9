"""The vault's schema as numbered steps; each runs once, in one transaction.

A step that has been released is never edited: a change is a new step. A file of a newer version is
refused, since an older program would not know what it must keep.
"""

from __future__ import annotations

from sqlalchemy import Connection

from sandbox.errors import StateError

STEPS: tuple[tuple[str, ...], ...] = (
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
        """CREATE TABLE approvals (
            job TEXT PRIMARY KEY REFERENCES tasks(job),
            asked INTEGER NOT NULL,
            decision TEXT,
            approver TEXT,
            reason TEXT,
            decided INTEGER)""",
        """CREATE TABLE listed_statements (
            digest TEXT NOT NULL,
            researcher TEXT NOT NULL,
            approver TEXT NOT NULL,
            until INTEGER NOT NULL,
            PRIMARY KEY (digest, researcher))""",
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
        """CREATE TABLE entries (
            sequence INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            time INTEGER NOT NULL,
            nonce BLOB NOT NULL,
            digest TEXT NOT NULL,
            leaf BLOB NOT NULL,
            job TEXT,
            body BLOB NOT NULL)""",
        "CREATE INDEX entries_by_job ON entries(job)",
        "CREATE TABLE heads (size INTEGER PRIMARY KEY, document BLOB NOT NULL)",
        # The newest head of each log that this node witnesses.
        "CREATE TABLE peer_heads (log TEXT PRIMARY KEY, document BLOB NOT NULL)",
        # What each witness has acknowledged of this log.
        """CREATE TABLE witnesses (
            witness TEXT PRIMARY KEY,
            size INTEGER NOT NULL,
            document BLOB NOT NULL)""",
        """CREATE TABLE starts (
            start INTEGER PRIMARY KEY,
            began INTEGER NOT NULL,
            confirmed TEXT)""",
    ),
)


def migrate(connection: Connection) -> None:
    """Bring the schema to the newest version; runs inside the caller's transaction.

    Raises StateError SB-6001 for a file of a newer version.
    """
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"
    )
    version = connection.exec_driver_sql("SELECT MAX(version) FROM schema_version").scalar() or 0
    if version > len(STEPS):
        raise StateError("SB-6001", found=version, newest=len(STEPS))
    for number, step in enumerate(STEPS[version:], start=version + 1):
        for statement in step:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (?)", (number,))
