"""The coordinator's schema, step by step (sandbox/database.py)."""

from __future__ import annotations

from sandbox.audit.logrows import LOG_TABLES
from sandbox.database import Step

STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE jobs (
            job TEXT PRIMARY KEY,
            digest TEXT NOT NULL UNIQUE,
            researcher TEXT NOT NULL,
            document BLOB NOT NULL,
            phase TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            left_out TEXT NOT NULL,
            problem BLOB,
            offers BLOB,
            roster BLOB,
            sum BLOB,
            receipt BLOB,
            created INTEGER NOT NULL,
            changed INTEGER NOT NULL)""",
        "CREATE INDEX jobs_by_researcher ON jobs(researcher, created)",
        "CREATE INDEX jobs_by_phase ON jobs(phase)",
        """CREATE TABLE shares (
            job TEXT NOT NULL REFERENCES jobs(job),
            attempt INTEGER NOT NULL,
            node TEXT NOT NULL,
            release BLOB NOT NULL,
            share BLOB NOT NULL,
            PRIMARY KEY (job, attempt, node))""",
        """CREATE TABLE contexts (
            digest TEXT PRIMARY KEY,
            ring TEXT NOT NULL,
            researcher TEXT NOT NULL,
            context BLOB NOT NULL)""",
        *LOG_TABLES,
    ),
)
