"""The coordinator's memory: jobs, shares on their way, contexts, what each witness has seen.

One SQLite file (WAL, synchronous=FULL) or PostgreSQL by URL. Everything here is ciphertext, signed
documents and metadata; a second start finds all of it and takes up the jobs that had not ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from sandbox.coordinator.phases import TERMINAL, Phase
from sandbox.errors import ProtocolError, StateError

SCHEMA_VERSION = 1

_metadata = sa.MetaData()

_schema = sa.Table("schema", _metadata, sa.Column("version", sa.Integer, nullable=False))
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("job", sa.String(32), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("researcher", sa.String(80), nullable=False, index=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("phase", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("problem", sa.LargeBinary),
    sa.Column("left_out", sa.JSON, nullable=False, default=list),
    sa.Column("roster", sa.LargeBinary),
    sa.Column("sum", sa.LargeBinary),
    sa.Column("receipt", sa.LargeBinary),
    sa.Column("created", sa.Integer, nullable=False),
    sa.Column("changed", sa.Integer, nullable=False),
)
_shares = sa.Table(
    "shares",
    _metadata,
    sa.Column("job", sa.String(32), sa.ForeignKey("jobs.job"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("node", sa.String(80), primary_key=True),
    sa.Column("release", sa.LargeBinary, nullable=False),
    sa.Column("share", sa.LargeBinary, nullable=False),
)
_contexts = sa.Table(
    "contexts",
    _metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("ring", sa.String(32), nullable=False),
    sa.Column("researcher", sa.String(80), nullable=False),
    sa.Column("context", sa.LargeBinary, nullable=False),
)
_witnessed = sa.Table(
    "witnessed",
    _metadata,
    sa.Column("log", sa.String(80), primary_key=True),
    sa.Column("witness", sa.String(80), primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
)


@dataclass(frozen=True)
class StoredJob:
    """A job as the coordinator knows it. `document` is the signed job, serialised."""

    job: str
    digest: str
    researcher: str
    document: bytes
    phase: Phase
    attempt: int
    problem: bytes | None
    left_out: tuple[str, ...]
    roster: bytes | None
    created: int
    changed: int


@dataclass(frozen=True)
class StoredShare:
    """One node's share and its signed release statement, serialised."""

    node: str
    release: bytes
    share: bytes


class Store:
    """All reads and writes of the coordinator's state; each write is one transaction."""

    def __init__(self, profile: Path) -> None:
        self._engine = sa.create_engine(f"sqlite:///{profile / 'coordinator.db'}")
        event.listen(self._engine, "connect", _durable)
        _metadata.create_all(self._engine)
        with self._write() as connection:
            version = connection.execute(sa.select(_schema.c.version)).scalar()
            if version is None:
                connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
            elif version != SCHEMA_VERSION:
                raise StateError("SB-6101", found=version, expected=SCHEMA_VERSION)

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            yield connection

    def add_job(self, job: str, digest: str, researcher: str, document: bytes) -> bool:
        """Store a new job; False if this very job is known. Raises for another body under its id."""
        now = int(time.time())
        with self._write() as connection:
            known = connection.execute(sa.select(_jobs.c.digest).where(_jobs.c.job == job)).scalar()
            if known is not None:
                if known != digest:
                    raise ProtocolError("SB-4005", job=job)
                return False
            connection.execute(
                _jobs.insert().values(
                    job=job,
                    digest=digest,
                    researcher=researcher,
                    document=document,
                    phase=Phase.SUBMITTED.value,
                    attempt=0,
                    left_out=[],
                    created=now,
                    changed=now,
                )
            )
            return True

    def job(self, job: str) -> StoredJob | None:
        """Return one job, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_jobs).where(_jobs.c.job == job)).mappings().first()
        return None if row is None else _stored_job(row)

    def jobs_of(self, researcher: str | None, limit: int) -> list[StoredJob]:
        """Return the newest jobs, of one researcher or (None) of all."""
        query = sa.select(_jobs).order_by(_jobs.c.created.desc(), _jobs.c.job).limit(limit)
        if researcher is not None:
            query = query.where(_jobs.c.researcher == researcher)
        with self._engine.connect() as connection:
            return [_stored_job(row) for row in connection.execute(query).mappings()]

    def unfinished(self) -> list[StoredJob]:
        """Return the jobs to take up after a start, oldest first."""
        query = (
            sa.select(_jobs)
            .where(_jobs.c.phase.not_in([phase.value for phase in TERMINAL]))
            .order_by(_jobs.c.created)
        )
        with self._engine.connect() as connection:
            return [_stored_job(row) for row in connection.execute(query).mappings()]

    def move(self, job: str, found: Phase, to: Phase, **fields: object) -> bool:
        """Move a job from phase `found` to `to`; False if it was not in `found` any more."""
        with self._write() as connection:
            moved = connection.execute(
                _jobs.update()
                .where(_jobs.c.job == job, _jobs.c.phase == found.value)
                .values(phase=to.value, changed=int(time.time()), **fields)
            )
            return moved.rowcount == 1

    def new_attempt(self, job: str, left_out: tuple[str, ...]) -> int:
        """Return the number of a new attempt at the job's roster."""
        with self._write() as connection:
            connection.execute(
                _jobs.update()
                .where(_jobs.c.job == job)
                .values(attempt=_jobs.c.attempt + 1, left_out=list(left_out))
            )
            return int(
                connection.execute(
                    sa.select(_jobs.c.attempt).where(_jobs.c.job == job)
                ).scalar_one()
            )

    def leave_out(self, job: str, parties: tuple[str, ...]) -> None:
        """Note who does not take part in the current attempt."""
        self._update(job, left_out=list(parties))

    def set_roster(self, job: str, roster: bytes) -> None:
        """Keep the signed roster; from here on shares may leave the nodes."""
        self._update(job, roster=roster)

    def set_sum(self, job: str, summed: bytes) -> None:
        """Keep the summed ciphertext."""
        self._update(job, sum=summed)

    def set_receipt(self, job: str, receipt: bytes) -> None:
        """Keep the receipt, which the researcher completes with his opening."""
        self._update(job, receipt=receipt)

    def sum(self, job: str) -> bytes:
        """Return the summed ciphertext of a job that was added."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(_jobs.c.sum).where(_jobs.c.job == job)).scalar()
        if found is None:
            raise StateError("SB-6103", job=job)
        return bytes(found)

    def _update(self, job: str, **fields: object) -> None:
        with self._write() as connection:
            connection.execute(_jobs.update().where(_jobs.c.job == job).values(**fields))

    def add_share(self, job: str, attempt: int, share: StoredShare) -> None:
        """Keep a share that arrived; the same share again changes nothing."""
        with self._write() as connection:
            known = connection.execute(
                sa.select(_shares.c.release).where(
                    _shares.c.job == job,
                    _shares.c.attempt == attempt,
                    _shares.c.node == share.node,
                )
            ).first()
            if known is None:
                connection.execute(
                    _shares.insert().values(
                        job=job,
                        attempt=attempt,
                        node=share.node,
                        release=share.release,
                        share=share.share,
                    )
                )

    def shares(self, job: str, attempt: int) -> list[StoredShare]:
        """Return the shares of an attempt that have arrived, by node."""
        query = (
            sa.select(_shares.c.node, _shares.c.release, _shares.c.share)
            .where(_shares.c.job == job, _shares.c.attempt == attempt)
            .order_by(_shares.c.node)
        )
        with self._engine.connect() as connection:
            return [StoredShare(*row) for row in connection.execute(query)]

    def result(self, job: str) -> tuple[bytes, bytes] | None:
        """Return (summed ciphertext, receipt), or None while there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(_jobs.c.sum, _jobs.c.receipt).where(_jobs.c.job == job)
            ).first()
        return None if row is None or row[1] is None else (row[0], row[1])

    def add_context(self, digest: str, ring: str, researcher: str, context: bytes) -> None:
        """Keep a researcher's public context under its digest."""
        with self._write() as connection:
            if connection.execute(
                sa.select(_contexts.c.digest).where(_contexts.c.digest == digest)
            ).first():
                return
            connection.execute(
                _contexts.insert().values(
                    digest=digest, ring=ring, researcher=researcher, context=context
                )
            )

    def context(self, digest: str) -> tuple[str, bytes] | None:
        """Return (ring, public context) by digest, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(_contexts.c.ring, _contexts.c.context).where(_contexts.c.digest == digest)
            ).first()
        return None if row is None else (row[0], row[1])

    def witnessed_sizes(self, log: str) -> dict[str, int]:
        """Return the size of `log` that each witness last cosigned."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(_witnessed.c.witness, _witnessed.c.size).where(_witnessed.c.log == log)
            )
            return {row[0]: row[1] for row in rows}

    def set_witnessed(self, log: str, witness: str, size: int) -> None:
        """Remember the size of `log` that `witness` has now cosigned."""
        with self._write() as connection:
            connection.execute(
                _witnessed.delete().where(_witnessed.c.log == log, _witnessed.c.witness == witness)
            )
            connection.execute(_witnessed.insert().values(log=log, witness=witness, size=size))


def _durable(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _stored_job(row: sa.RowMapping) -> StoredJob:
    fields = {name: row[name] for name in StoredJob.__dataclass_fields__}
    fields["phase"] = Phase(str(row["phase"]))
    fields["left_out"] = tuple(row["left_out"])
    return StoredJob(**fields)
