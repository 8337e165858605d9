"""Vaults for tests: one node, a clock that is told the time, jobs that need no planning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

from nodes.ledger import Demand
from nodes.vault import Vault
from sandbox.audit.log import Head
from sandbox.audit.statements import LastHead, Release
from sandbox.crypto.identity import Identity, Role, Signed
from sandbox.privacy.accounting import Charge
from sandbox.privacy.budget import BudgetLimits

START_MS = 1_790_000_000_000


class Crash(BaseException):
    """The process ends here: nothing that handles exceptions may see it."""


@cache
def party(name: str, role: Role = Role.NODE) -> Identity:
    """Return an identity, the same one for the same name."""
    return Identity.generate(name, role)


RESEARCHER = party("researcher", Role.RESEARCHER)


@dataclass
class Clock:
    """Unix milliseconds, moved by hand."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


@dataclass
class CrashAt:
    """Crashes at the `countdown`-th crash point named `point` ("": any); 0: never."""

    point: str = ""
    countdown: int = 0
    seen: list[str] = field(default_factory=list)

    def __call__(self, point: str) -> None:
        self.seen.append(point)
        if self.countdown and self.point in ("", point):
            self.countdown -= 1
            if not self.countdown:
                raise Crash(point)


def job_id(number: int) -> str:
    """Return the id of job `number`."""
    return f"{number:032x}"


def signed_job(number: int, statement: str = "SELECT COUNT(*) FROM t") -> Signed:
    """Return a job that a vault can keep; `statement` makes another body under the same id."""
    body = {
        "job": job_id(number),
        "statement": statement,
        "expires": START_MS // 1000 + 86_400,
        "purpose": "",
        "epsilon": "1",
        "delta": "0",
    }
    return RESEARCHER.sign("job", body)


def limits(epsilon: str = "4", lifetime: str = "8") -> BudgetLimits:
    """Return a pure budget, so that losses are plain sums of epsilons."""
    return BudgetLimits(Decimal(epsilon), Decimal(0), timedelta(days=30), Decimal(lifetime))


def charge(epsilon: str = "1") -> Charge:
    """Return what a Laplace job costs."""
    return Charge(Decimal(epsilon), Decimal(0), pure=(Fraction(epsilon),))


def demands(group: str = "data:t", most: BudgetLimits | None = None) -> list[Demand]:
    """Return the two budgets of one group."""
    most = most or limits()
    who = RESEARCHER.public.fingerprint
    return [Demand(group, "", most, "t"), Demand(group, who, most, "t (researcher)")]


def digest_of(text: str) -> str:
    """Return a digest that stands for a roster."""
    return hashlib.sha256(text.encode()).hexdigest()


def release_of(job: Signed, roster: str, share: bytes, node: Identity) -> Signed:
    """Return the statement that goes with a share."""
    return Release(
        job=job.digest,
        roster=roster,
        attempt=1,
        share=hashlib.sha256(share).hexdigest(),
        ring="n4096",
        mechanism="laplace",
        scales=["1"],
        loss="1",
        minimum_group_size=0,
        protected=True,
    ).sign(node)


def open_vault(
    folder: Path,
    *,
    node: str = "a",
    clock: Callable[[], int] | None = None,
    crash_at: Callable[[str], None] | None = None,
    begun: bool = True,
) -> Vault:
    """Open a vault; `begun`: with a run that its witness has confirmed."""
    identity = party(node)
    vault = Vault(folder / "vault.db", identity, clock=clock or Clock(), crash_at=crash_at)
    if begun:
        begin(vault)
    return vault


def begin(vault: Vault, known: Signed | None = None, witness: str = "b") -> None:
    """Start a run and let `witness` answer with the newest head it knows."""
    vault.log.start()
    answer(vault, known, witness)


def answer(vault: Vault, known: Signed | None, witness: str = "b") -> None:
    """Let `witness` tell the newest head it knows of the vault's log."""
    head = None if known is None else known.to_document()
    statement = LastHead(
        log=vault.log.owner.fingerprint, nonce=vault.log.nonce.hex(), head=head
    ).sign(party(witness))
    vault.log.take_last_heads([(statement, party(witness).public)])


def rostered(vault: Vault, number: int = 1, roster: str = "abc") -> Signed:
    """Bring a job up to the signed roster; returns the signed job."""
    job = signed_job(number)
    vault.accept_job(job_id(number), job)
    vault.store_offer(job.digest, 1, b"offer", b"secret")
    vault.sign_roster(job.digest, 1, digest_of(roster))
    return job


def commit(vault: Vault, job: Signed, lease: int, share: bytes, roster: str = "abc") -> None:
    """Commit `share` for a reserved job."""
    signed = release_of(job, digest_of(roster), share, party("a"))
    vault.commit_share(job.digest, lease, share, signed)


def size_of(head: Signed) -> int:
    """Return a signed head's size."""
    import json

    return Head.from_document(json.loads(head.body)).size
