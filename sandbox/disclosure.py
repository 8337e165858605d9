"""`sandbox join`: one owner learns which of his ids another owner has; the researcher never does.

Nothing is released and no epsilon is spent. Both owners' policies must allow it, the sender's by naming
the receiver; the job, both logs and the receipt say who learns what (docs/decisions/014).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.audit.assumptions import PSI, assumptions, sentence
from sandbox.jobs import FileFormat, JobSpec
from sandbox.messages import text
from sandbox.progress import notebook_progress
from sandbox.sql.algebra import Plan
from sandbox.sql.cost import cost
from sandbox.sql.explain import PARTIES, Explained
from sandbox.sql.matched import Pairs, columns_on, matched_plan, matched_statement
from sandbox.sql.runnable import require_protocol
from sandbox.submission import Terms, noise_of

if TYPE_CHECKING:
    from sandbox.client import Session
    from sandbox.grants import Grant
    from sandbox.jobview import Progress

JOINED_FOLDER = "joined"
"""In the receiver's folder: where its node keeps the files."""


@dataclass(frozen=True, repr=False)
class MatchedExplanation(Explained):
    """What can be known before a disclosure. rows: what each owner's set is padded to, receiver first;
    bytes: all that moves; seconds: expected time."""

    statement: str
    receiver: str
    sender: str
    rows: tuple[int, int]
    malicious: bool
    file: FileFormat
    bytes: int
    seconds: float

    def cost(self) -> str:
        """Return what it costs and discloses, in one line."""
        return text("join.cost", receiver=self.receiver, sender=self.sender)

    def who_learns_what(self) -> dict[str, str]:
        """Return a sentence for each kind of party."""
        parties = {"receiver": self.receiver, "sender": self.sender}
        return {party: text(f"join.learns.{party}", **parties) for party in PARTIES}

    def trust(self) -> str:
        """Return what the sets' privacy rests on."""
        (rests_on,) = assumptions(PSI, malicious=self.malicious, verify=False)
        return sentence(rests_on)

    def __str__(self) -> str:
        receives, sends = self.rows
        lines = [
            self.cost(),
            text("join.padded", receiver=self.receiver, receives=receives,
                 sender=self.sender, sends=sends),
            text("join.traffic", kib=f"{self.bytes / 1024:.0f}", seconds=f"{self.seconds:.1f}"),
        ]  # fmt: skip
        return "\n".join([*lines, *self.learned(), self.trust()])

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "statement": self.statement,
            "receiver": self.receiver,
            "sender": self.sender,
            "rows": list(self.rows),
            "mode": "psi",
            "malicious": self.malicious,
            "file": self.file,
            "epsilon": "0",
            "bytes": self.bytes,
            "seconds": self.seconds,
            "who_learns_what": self.who_learns_what(),
            "trust": self.trust(),
        }


@dataclass(frozen=True)
class Joined:
    """A disclosure that ended well. `node`: the receiver's name; `file`: in its folder, the ids."""

    spec: JobSpec
    node: str
    receipt: Path

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.spec.job

    @property
    def file(self) -> str:
        """Where the file lies in the receiving node's folder."""
        assert self.spec.disclosure is not None, "only disclosures end so"
        return f"{JOINED_FOLDER}/{self.spec.job}.{self.spec.disclosure.file}"

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "job": self.job_id,
            "node": self.node,
            "file": self.file,
            "malicious": self.spec.malicious,
            "receipt": str(self.receipt),
        }

    def __str__(self) -> str:
        return text("join.done", node=self.node, file=self.file, receipt=self.receipt)


class IdJoin:
    """A disclosure and its plan; nothing runs before `run`. See `Session.join`."""

    def __init__(
        self,
        session: Session,
        receiver: str,
        sender: str,
        on: str | Mapping[str, str],
        *,
        malicious: bool,
        file: FileFormat,
    ) -> None:
        self._session = session
        pairs: Pairs = columns_on(on) if isinstance(on, str) else tuple(on.items())
        self.statement = matched_statement(receiver, sender, pairs)
        self._terms = Terms(
            Decimal(0),
            Decimal(0),
            session.defaults.purpose,
            malicious=malicious,
            file=file,
        )

    @cached_property
    def plan(self) -> Plan:
        """The plan; raises InputError or Refusal."""
        planned = matched_plan(self.statement, self._session.tables())
        require_protocol(planned)
        return planned

    def explain(self) -> MatchedExplanation:
        """Say who will learn what, and what moves; reads no rows."""
        plan, terms = self.plan, self._terms
        assert plan.semi is not None, "a disclosure has a sender"
        takes = cost(plan, noise_of(plan, terms), malicious=terms.malicious)
        return MatchedExplanation(
            self.statement,
            plan.table.name,
            plan.semi.table.name,
            (plan.table.card.row_bound, plan.semi.table.card.row_bound),
            terms.malicious,
            terms.file,
            takes.bytes,
            takes.seconds,
        )

    def grants(self) -> list[Grant]:
        """Return the smallest changes at both providers that would let this pass."""
        planner, terms = partial(matched_plan, self.statement), self._terms
        return self._session.granted(planner, terms.epsilon, terms.delta, malicious=terms.malicious)

    def run(self, *, progress: Progress | None = None) -> Joined:
        """Submit, wait, verify. Interrupted, the job goes on; see `Session.joined`."""
        with notebook_progress(progress) as tell:
            job = self._session.submit(self.plan, self._terms)
            last = self._session.wait(job, tell)
        return self._session.joined(job, last)
