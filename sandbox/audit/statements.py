"""What parties sign about a job and about each other's logs. Each is one immutable document."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sandbox.crypto.identity import Identity, PublicIdentity, Signed, verify
from sandbox.errors import TrustError

JOB, ROSTER, HEAD, LAST_HEAD = "job", "roster", "head", "last-head"

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Exact = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+|/[0-9]+)?$", max_length=200)]
Code = Annotated[str, StringConstraints(max_length=40)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Statement(BaseModel):
    """What a party signs about a job: known fields only, immutable. `KIND` is its document kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1

    def sign(self, identity: Identity) -> Signed:
        """Return the statement signed by `identity`."""
        return identity.sign(_KINDS[type(self)], self.model_dump(mode="json"))

    @classmethod
    def read(cls, signed: Signed, by: PublicIdentity) -> Self:
        """Return what `by` signed; raises TrustError if it is not such a statement of his."""
        body = verify(signed, by, _KINDS[cls])
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise TrustError("SB-3220", kind=signed.kind, field=field) from None


class Release(Statement):
    """A node: this share left, under this noise, for this loss.

    job, roster: digests of the signed documents. share: digest of the encrypted share. scales:
    sigma (or b) of each measure in ring units, exact. loss: what the budgets were charged, exact.
    protected: False only where the noise was not drawn from a protecting sampler. malicious: a PSI ran
    in the variant that holds against members that depart from it. verified: before this share left, its
    node and its peers checked what the coordinator had done. disclosed_to: the node that learnt which of
    its own ids match, exactly; "" where nobody did. mode: of its join, "" where nothing was joined;
    receivers: nodes that learnt of matches among their own rows; learnt, trust: codes of what was
    learnt of matches and of what the join rests on (assumptions.py).
    """

    job: Digest
    roster: Digest
    attempt: Annotated[int, Field(ge=1)]
    share: Digest
    ring: Label
    mechanism: Label
    scales: list[Exact]
    loss: Exact
    minimum_group_size: Annotated[int, Field(ge=0)]
    protected: bool
    malicious: bool = False
    verified: bool = False
    disclosed_to: Annotated[str, StringConstraints(max_length=80)] = ""
    mode: Code = ""
    receivers: Annotated[list[Label], Field(max_length=1000)] = []
    learnt: Annotated[list[Code], Field(max_length=10)] = []
    trust: Annotated[list[Code], Field(max_length=20)] = []


class Sum(Statement):
    """The coordinator: this encrypted sum is over these shares (node -> digest of its share)."""

    job: Digest
    roster: Digest
    shares: dict[str, Digest]
    sum: Digest


class Opening(Statement):
    """The researcher: opening this sum, I read the result with this digest."""

    job: Digest
    sum: Digest
    result: Digest


class Witness(Statement):
    """A party that keeps heads of others' logs: this head extends every earlier one I have seen."""

    head: Digest
    log: str
    size: Annotated[int, Field(ge=0)]


class LastHead(Statement):
    """A witness's answer to a party that starts: the newest head it holds of `log`, or None.

    nonce: what that party drew for this start, 16 bytes in hex; it makes the answer fresh.
    """

    log: str
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    head: dict[str, str] | None


_KINDS: dict[type[Statement], str] = {
    Release: "release",
    Sum: "sum",
    Opening: "opening",
    Witness: "witness",
    LastHead: LAST_HEAD,
}
