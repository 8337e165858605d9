"""A researcher's own files about his jobs: what he signed, the seed of its checks, the receipt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.audit.receipt import Receipt
from sandbox.catalog import Table, table_from_document, table_to_document
from sandbox.crypto.identity import Signed, read_secret, write_secret
from sandbox.errors import InputError
from sandbox.sql.algebra import Plan
from sandbox.sql.matched import plan_of

JOB_FILE = "job.json"
SEED_FILE = "seed.key"
RECEIPT_FILE = "receipt.json"


@dataclass(frozen=True)
class JobNote:
    """What must be kept to open a job: the signed job, its check seed, the tables it was planned on."""

    signed: Signed
    seed: bytes
    tables: tuple[Table, ...]

    def plan(self) -> Plan:
        """Plan the statement again, on the tables as they were."""
        job = json.loads(self.signed.body)
        disclosed, prepares = (job.get(kind) is not None for kind in ("disclosure", "prepare"))
        tables = {table.name: table for table in self.tables}
        return plan_of(job["statement"], tables, disclosed=disclosed, prepares=prepares)


class JobFolder:
    """One folder for each job, by its id."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, job: str, signed: Signed, seed: bytes, tables: Sequence[Table]) -> None:
        """Write down a job before it is submitted."""
        folder = self._directory / job
        folder.mkdir(parents=True, mode=0o700)
        write_secret(folder / SEED_FILE, seed)
        content = {
            "job": signed.to_document(),
            "tables": [table_to_document(table) for table in tables],
        }
        (folder / JOB_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def read(self, job: str) -> JobNote:
        """Return what is known of a job; raises InputError SB-3124 if nothing is."""
        folder = self._directory / job
        try:
            content = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
        except OSError:
            raise InputError("SB-3124", job=job[:40]) from None
        tables = tuple(table_from_document(table) for table in content["tables"])
        return JobNote(
            Signed.from_document(content["job"]), read_secret(folder / SEED_FILE), tables
        )

    def has_receipt(self, job: str) -> bool:
        """Tell whether a job's receipt has been kept."""
        return (self._directory / job / RECEIPT_FILE).exists()

    def keep_receipt(self, job: str, receipt: Receipt) -> Path:
        """Write a job's receipt and return its file."""
        path = self._directory / job / RECEIPT_FILE
        path.write_text(receipt.to_json(), encoding="utf-8")
        return path
