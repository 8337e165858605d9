"""The signed job and the documents that grow around it: offer, roster, cancellation, budget request.

Every party re-reads these from the exact bytes that were signed. A node derives everything it does
from the JobSpec and its own catalogue; nothing the coordinator says can change a plan or a noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, parse, verify
from sandbox.errors import InputError, TrustError

JOB_KIND = "job"
OFFER_KIND = "offer"
ROSTER_KIND = "roster"
CANCEL_KIND = "cancel"
BUDGET_REQUEST_KIND = "budget-request"

CLOCK_TOLERANCE_S = 120
"""How far apart two honest clocks may be before a job counts as made in the future."""

MOST_RUN_S = 24 * 3600
"""For how long a join may run."""
LONGEST_LIFETIME_S = 7 * 24 * 3600
"""How long after its creation a job may expire. Until then whoever holds the signed job can have it
run and charged, under whatever rules and rows are in force that day, even if its researcher has long
lost interest or his key. A week leaves owners time to approve by hand and absent nodes to return."""

LONGEST_KEPT_S = 366 * 24 * 3600
"""How long after its job's creation a prepared matching may serve."""

Hex16 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
HexBytes = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=4096)]
Number = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?$", max_length=40)
]
Seconds = Annotated[int, Field(ge=0, lt=1 << 40)]
FileFormat = Literal["csv", "parquet"]
MatchingName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
Fingerprint = Annotated[str, StringConstraints(min_length=8, max_length=80)]


class Missing(StrEnum):
    """What a job does when a member is not there before the roster is signed."""

    FAIL = "fail"
    WAIT = "wait"
    PRESENT = "present"


class SignedBody(BaseModel):
    """A signed document's body: known fields only, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1

    def body(self) -> dict[str, Any]:
        """Return the JSON-able body that is signed."""
        return self.model_dump(mode="json")


class Disclosure(BaseModel):
    """Which node writes down the ids of its own rows that match, in its own folder; nobody else
    learns them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    receiver: Fingerprint
    file: FileFormat


class Preparation(BaseModel):
    """A matching that the nodes keep for one version of the data, until `until` (Unix seconds)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: MatchingName
    until: Seconds


class Prepared(BaseModel):
    """The kept matching that a joined job uses: `job` is the digest of the job that prepared it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: MatchingName
    job: Hex32


class JobSpec(SignedBody):
    """A query as its researcher signed it. epsilon, delta: exact decimals. Times: unix seconds.

    `tables` binds each name in the statement to the digest of the catalogue entry it was planned on;
    `cards` are the signed documents of tables that a statement puts together, since a node knows
    only its own; `members` are the nodes that hold them; `checksum_seeds` carries, sealed to each
    member, the key of the check slots that let the researcher detect an altered sum. A joined job has
    neither context nor seeds, since its shares are sealed to the researcher. `collusion` is the h of
    sigma^2 / max(1, c - h): a node's owner may demand more, a job can never get less. `mode`: of a join;
    `receivers`: nodes that it lets learn of matches among their own rows. `malicious`: a
    PSI holds against members that depart from it. `verify`: the members of a blind join check what the
    coordinator did, and give no share otherwise. A `disclosure` releases no number, so that epsilon
    and delta are 0. Nor does `prepare`, whose epsilon and delta hide how many keys match; a job over
    `prepared` spends all of its own on its sums. `run_s`: of a join, for how long its members are
    waited for at least once the roster is signed, as its sizes ask (sandbox/sql/cost.py).
    """

    job: Hex16
    researcher: Fingerprint
    coordinator: Fingerprint
    statement: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    tables: Annotated[dict[str, Hex32], Field(max_length=100)]
    cards: Annotated[list[dict[str, str]], Field(max_length=1000)] = []
    members: Annotated[list[Fingerprint], Field(min_length=1, max_length=1000)]
    purpose: Annotated[str, StringConstraints(max_length=200)]
    epsilon: Number
    delta: Number
    magnitudes: Annotated[dict[str, Number], Field(max_length=1000)]
    missing: Missing = Field(strict=False)
    minimum_members: Annotated[int, Field(ge=1)]
    collusion: Annotated[int, Field(ge=1, le=1000)]
    ring: Annotated[str, StringConstraints(max_length=40)]
    context: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
    checksum_seeds: dict[Fingerprint, HexBytes]
    mode: Literal["", "blind", "psi"] = ""
    receivers: Annotated[list[Fingerprint], Field(max_length=1000)] = []
    malicious: bool = False
    verify: bool = False
    disclosure: Disclosure | None = None
    prepare: Preparation | None = None
    prepared: Prepared | None = None
    run_s: Annotated[int, Field(ge=0, le=MOST_RUN_S)] = 0
    created: Seconds
    expires: Seconds

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.members)) != len(self.members):
            raise ValueError("members repeat")
        if set(self.checksum_seeds) != (set() if self.joined else set(self.members)):
            raise ValueError("checksum_seeds do not match members")
        if (not self.context) != self.joined:
            raise ValueError("context does not match ring")
        if self.joined and self.missing is Missing.PRESENT:
            raise ValueError("a join needs every member")
        if self.minimum_members > len(self.members):
            raise ValueError("minimum_members exceeds members")
        if self.expires <= self.created:
            raise ValueError("expires before it is created")
        if sum(each is not None for each in (self.disclosure, self.prepare, self.prepared)) > 1:
            raise ValueError("a job is of one kind")
        if (self.prepare or self.prepared) and not self.joined:
            raise ValueError("a matching is a join's")
        if self.prepare and self.prepare.until - self.created > LONGEST_KEPT_S:
            raise ValueError("a matching is kept too long")
        if self.disclosure is not None:
            if not self.joined or self.epsilon_value or self.delta_value:
                raise ValueError("a disclosure is a join, and costs no epsilon")
        elif self.epsilon_value <= 0 or not 0 <= self.delta_value < 1:
            raise ValueError("epsilon or delta out of range")
        return self

    @model_validator(mode="after")
    def _of_its_mode(self) -> Self:
        if self.joined != bool(self.mode):
            raise ValueError("mode does not match ring")
        if bool(self.receivers) != (self.mode == "psi"):
            raise ValueError("receivers do not match mode")
        return self

    @property
    def joined(self) -> bool:
        """Whether nodes run a join among themselves before any share."""
        return self.ring.startswith("z")  # sandbox/crypto/join/words.py

    @property
    def epsilon_value(self) -> Decimal:
        """Epsilon as an exact decimal, > 0."""
        return Decimal(self.epsilon)

    @property
    def delta_value(self) -> Decimal:
        """Delta as an exact decimal in [0, 1)."""
        return Decimal(self.delta)


class Offer(SignedBody):
    """A node's readiness for one attempt at a job, with its one-time X25519 key."""

    job: Hex32
    attempt: Annotated[int, Field(ge=1)]
    node: Fingerprint
    ephemeral: Hex32


class RosterMember(BaseModel):
    """One node in a roster: its identity and the one-time key it offered."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    node: Fingerprint
    ephemeral: Hex32


class Roster(SignedBody):
    """Who takes part in one attempt at a job. Every member signs the same body."""

    job: Hex32
    attempt: Annotated[int, Field(ge=1)]
    members: Annotated[list[RosterMember], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        nodes = [member.node for member in self.members]
        if nodes != sorted(set(nodes)):
            raise ValueError("members are not sorted and distinct")
        return self


class Cancellation(SignedBody):
    """A researcher gives up a job."""

    job: Hex16
    at: Seconds


class BudgetRequest(SignedBody):
    """A researcher asks what is left to him; `nonce` makes the answer fresh."""

    researcher: Fingerprint
    nonce: Hex16
    at: Seconds


D = TypeVar("D", bound=SignedBody)


def read_document(kind: type[D], signed: Signed, body: Mapping[str, Any]) -> D:
    """Return `body` as a document of type `kind`; raises InputError SB-3101 naming the field."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or signed.kind
        raise InputError("SB-3101", kind=signed.kind, field=field) from None


def sign_job(spec: JobSpec, researcher: Identity) -> Signed:
    """Return the job signed by its researcher."""
    return researcher.sign(JOB_KIND, spec.body())


def read_job(signed: Signed, researcher: PublicIdentity, now: int) -> JobSpec:
    """Return a job whose signature, signer, role and times hold.

    Raises TrustError SB-3102..SB-3104 or SB-3310, those of `verify`, or InputError SB-3101.
    """
    spec = read_document(JobSpec, signed, verify(signed, researcher, JOB_KIND))
    if spec.researcher != researcher.fingerprint or researcher.role is not Role.RESEARCHER:
        raise TrustError("SB-3102", signer=signed.signer)
    if spec.created > now + CLOCK_TOLERANCE_S:
        raise TrustError("SB-3103", seconds=spec.created - now)
    if spec.expires <= now:
        raise TrustError("SB-3104", seconds=now - spec.expires)
    if spec.expires - spec.created > LONGEST_LIFETIME_S:
        lifetime_s = spec.expires - spec.created
        raise TrustError("SB-3310", seconds=lifetime_s, most=LONGEST_LIFETIME_S)
    return spec


def parse_spec(signed: Signed) -> JobSpec:
    """Return the job in a document that is the reader's own, or was verified before."""
    return read_document(JobSpec, signed, parse(signed.body))


def seed_aad(job: str) -> bytes:
    """Return what a sealed check seed is bound to: this job and no other."""
    return b"checksum-seed\0" + job.encode()
