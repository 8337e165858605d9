"""Who takes part in a job: the roster that a node signs, and the one that it computes for."""

from __future__ import annotations

from collections.abc import Sequence

from nodes.sharing import Accepted
from nodes.taskrows import Task
from nodes.vault import Vault
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, parse, verify
from sandbox.errors import TrustError
from sandbox.jobs import OFFER_KIND, ROSTER_KIND, Missing, Offer, Roster, read_document


class Rosters:
    """Rosters as one node sees them: its members are those that its owner pinned."""

    def __init__(self, identity: Identity, vault: Vault) -> None:
        self._identity = identity
        self._own = identity.public
        self._vault = vault

    def signed(
        self, accepted: Accepted, body: bytes, offers: Sequence[Signed]
    ) -> tuple[Signed, Roster]:
        """Return a roster under this node's signature; raises TrustError for one that does not fit job,
        offers or pins."""
        signed = self._identity.sign_bytes(ROSTER_KIND, body)
        roster = read_document(Roster, signed, parse(body))
        self._check(accepted, roster, offers)
        return signed, roster

    def verified(self, task: Task, signatures: Sequence[Signed]) -> Roster:
        """Return the roster this node signed, with every member's signature under the same body."""
        if not signatures or any(s.digest != task.roster for s in signatures):
            raise TrustError("SB-3117", reason="roster")
        bodies = {s.signer: verify(s, self._member(s.signer), ROSTER_KIND) for s in signatures}
        roster = read_document(Roster, signatures[0], next(iter(bodies.values())))
        if [member.node for member in roster.members] != sorted(bodies):
            raise TrustError("SB-3117", reason="signatures")
        return roster

    def _check(self, accepted: Accepted, roster: Roster, offers: Sequence[Signed]) -> None:
        spec = accepted.spec
        if roster.job != accepted.signed.digest:
            raise TrustError("SB-3117", reason="job")
        names = [member.node for member in roster.members]
        if self._own.fingerprint not in names or not set(names) <= set(spec.members):
            raise TrustError("SB-3117", reason="members")
        complete = len(names) == len(spec.members)
        enough = len(names) >= spec.minimum_members
        if not (complete or (spec.missing is Missing.PRESENT and enough)):
            raise TrustError("SB-3117", reason="missing members")
        offered = {offer.signer: offer for offer in offers}
        for member in roster.members:
            identity = self._member(member.node)
            signed = offered.get(member.node)
            if signed is None:
                raise TrustError("SB-3117", reason="offer")
            offer = read_document(Offer, signed, verify(signed, identity, OFFER_KIND))
            if (offer.job, offer.attempt, offer.node, offer.ephemeral) != (
                roster.job,
                roster.attempt,
                member.node,
                member.ephemeral,
            ):
                raise TrustError("SB-3117", reason="offer")

    def _member(self, fingerprint: str) -> PublicIdentity:
        if fingerprint == self._own.fingerprint:
            return self._own
        pinned = self._vault.pins.identities().get(fingerprint)
        if pinned is None or pinned.role is not Role.NODE:
            raise TrustError("SB-3116", fingerprint=fingerprint, node=self._own.name)
        return pinned
