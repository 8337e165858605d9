"""From a plan to a signed job, and from a summed ciphertext back to an answer."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from sandbox.audit.receipt import Receipt, require_stated
from sandbox.audit.statements import Opening, Release
from sandbox.catalog import Table
from sandbox.crypto.he import ResultKey
from sandbox.crypto.identity import Identity, PublicIdentity, verify
from sandbox.crypto.join.shares import open_bundle
from sandbox.crypto.join.words import WordRing, choose_words, words_named
from sandbox.crypto.rings import SEED_BYTES, choose_ring, ring_named
from sandbox.crypto.seal import seal
from sandbox.errors import InputError, TrustError
from sandbox.jobs import (
    LONGEST_LIFETIME_S,
    ROSTER_KIND,
    Disclosure,
    FileFormat,
    JobSpec,
    Missing,
    Preparation,
    Prepared,
    Roster,
    read_document,
    seed_aad,
)
from sandbox.privacy.allocate import NoisePlan
from sandbox.privacy.noise import Law, Mechanism
from sandbox.sql.algebra import Plan
from sandbox.sql.answer import Answer, DisplayRules, answer
from sandbox.sql.cost import run_s
from sandbox.sql.names import table_names
from sandbox.sql.noise import capacity, job_noise, member_laws
from sandbox.tables import Catalogue


@dataclass(frozen=True)
class Terms:
    """What a researcher asks beside the statement itself.

    `magnitudes`: typical sizes of outputs by name. `minimum_members`: with missing = present, how
    many must be there. `collusion`: h, how many nodes may collude with the researcher. `malicious`: a
    PSI holds against members that depart from it. `verify`: the members of a blind join check the
    coordinator. `file`: what a disclosure's receiver writes.
    `prepare`: what a matching is to be kept as. `prepared`: the one that a join is over.
    """

    epsilon: Decimal
    delta: Decimal
    purpose: str = ""
    magnitudes: Mapping[str, Fraction] | None = None
    missing: Missing = Missing.FAIL
    minimum_members: int | None = None
    collusion: int = 1
    malicious: bool = False
    verify: bool = False
    file: FileFormat = "csv"
    prepare: Preparation | None = None
    prepared: Prepared | None = None
    lifetime_s: int = LONGEST_LIFETIME_S


@dataclass(frozen=True)
class Draft:
    """A job ready to be signed, the tables it was planned on, and the seed of its check slots, which
    only the profile keeps."""

    spec: JobSpec
    tables: tuple[Table, ...]
    seed: bytes


@dataclass(frozen=True)
class Opened:
    """An opened job: the answer, the receipt completed by the researcher's signature, and the
    noised integers that both are about."""

    answer: Answer
    receipt: Receipt
    noised: tuple[int, ...]


def noise_of(plan: Plan, terms: Terms) -> NoisePlan:
    """Return the noise that these terms buy; pure, reads no rows."""
    prepared = terms.prepared is not None
    return job_noise(plan, terms.epsilon, terms.delta, terms.magnitudes or {}, prepared=prepared)


def draft_job(
    plan: Plan,
    terms: Terms,
    catalogue: Catalogue,
    identities: Mapping[str, PublicIdentity],
    researcher: str,
    coordinator: str,
    key: ResultKey,
    now: int,
) -> Draft:
    """Return the job for `plan` under `terms`.

    Raises InputError SB-3032 if no ring holds its sums, SB-3291 if `terms` ask for more members than
    there are; Refusal SB-1107 for a join that might not end in time.
    """
    noise = noise_of(plan, terms)
    bound = capacity(plan, noise)
    # A join's shares are sealed to the researcher as they are; others are added as ciphertexts.
    joined = plan.mode is not None
    ring = choose_words(bound) if joined else choose_ring(bound)
    job = secrets.token_hex(16)
    seed = secrets.token_bytes(SEED_BYTES)
    members = sorted({member.node for member in plan.members})
    least = terms.minimum_members or len(members)
    if least > len(members):
        raise InputError("SB-3291", wanted=least, table=plan.table.name, members=len(members))
    named = {name: catalogue[name] for name in table_names(plan.statement, catalogue)}
    # A table's own nodes hold what declares it; any others must be shown it.
    shown = [e for e in named.values() if {*members} - {m.node for m in e.table.members}]
    spec = JobSpec(
        job=job,
        researcher=researcher,
        coordinator=coordinator,
        statement=plan.statement,
        tables={name: entry.digest for name, entry in named.items()},
        cards=[signed.to_document() for entry in shown for signed in entry.signed],
        members=members,
        purpose=terms.purpose,
        epsilon=_text(terms.epsilon),
        delta=_text(terms.delta),
        magnitudes={name: _text(value) for name, value in (terms.magnitudes or {}).items()},
        missing=terms.missing,
        minimum_members=least,
        collusion=terms.collusion,
        ring=ring.name,
        context="" if isinstance(ring, WordRing) else key.digest(ring),
        checksum_seeds={
            member: seal(identities[member], seed_aad(job), seed).hex()
            for member in (() if joined else members)
        },
        mode=plan.mode.value if plan.mode else "",
        receivers=plan.receivers,
        malicious=terms.malicious,
        verify=terms.verify,
        disclosure=_disclosure(plan, terms),
        prepare=terms.prepare,
        prepared=terms.prepared,
        run_s=run_s(
            plan,
            noise,
            malicious=terms.malicious,
            verify=terms.verify,
            prepared=terms.prepared is not None,
        ),
        created=now,
        expires=now + terms.lifetime_s,
    )
    return Draft(spec, tuple(entry.table for entry in named.values()), seed)


def _disclosure(plan: Plan, terms: Terms) -> Disclosure | None:
    if not plan.matched:
        return None
    return Disclosure(receiver=plan.table.members[0].node, file=terms.file)


def open_job(
    plan: Plan,
    spec: JobSpec,
    seed: bytes,
    key: ResultKey,
    summed: bytes,
    receipt: Receipt,
    researcher: Identity,
    trusted: Mapping[str, PublicIdentity],
) -> Opened:
    """Open the sum of a job and read the answer off it.

    Raises TrustError if the sum is not that of the signed roster, if the roster or a release is of
    another job, if a joined job's share is not what its node signed for, or if a node stated other noise
    than was planned. The largest minimum group size among
    the members' policies applies.
    """
    roster = _roster(receipt, trusted)
    releases = _releases(receipt, roster, trusted, spec)
    job, signed = receipt.job.digest, receipt.roster[0].digest
    values: Sequence[int]
    if spec.joined:
        shares = {node: release.share for node, release in releases.items()}
        values = open_bundle(
            summed, researcher, job, signed, shares, words_named(spec.ring), plan.length
        )
    else:
        transcript = bytes.fromhex(job + signed)
        values = key.open(
            summed,
            ring_named(spec.ring),
            plan.length,
            seed=seed,
            transcript=transcript,
            members=[*releases],
        )
    laws = _laws(plan, spec, releases, trusted)
    rules = _display_rules(releases, trusted)
    # A disclosure has no answer: what matched stays with the receiver. Nor has a preparation.
    silent = plan.matched or plan.prepares
    result = Answer((), (), ()) if silent else answer(plan, values, laws, rules)
    opening = Opening(
        job=receipt.job.digest,
        sum=hashlib.sha256(summed).hexdigest(),
        result=hashlib.sha256(json.dumps(values).encode()).hexdigest(),
    )
    return Opened(result, replace(receipt, opening=opening.sign(researcher)), tuple(values))


def _roster(receipt: Receipt, trusted: Mapping[str, PublicIdentity]) -> Roster:
    """Return the job's roster, signed by exactly its members; raises TrustError SB-3125, SB-3222."""
    bodies = {}
    for signature in receipt.roster:
        member = trusted.get(signature.signer)
        if member is None:
            raise TrustError("SB-3125", table=signature.signer)
        bodies[signature.signer] = verify(signature, member, ROSTER_KIND)
    if not bodies or len({signature.digest for signature in receipt.roster}) != 1:
        raise TrustError("SB-3222")
    first = receipt.roster[0]
    roster = read_document(Roster, first, bodies[first.signer])
    if roster.job != receipt.job.digest or [one.node for one in roster.members] != sorted(bodies):
        raise TrustError("SB-3222")
    return roster


def _releases(
    receipt: Receipt, roster: Roster, trusted: Mapping[str, PublicIdentity], spec: JobSpec
) -> dict[str, Release]:
    """Return each member's release of this job and roster; raises TrustError SB-3224, SB-3235,
    SB-3237."""
    job = spec.body()
    signed = {node.release.signer: node.release for node in receipt.nodes}
    releases: dict[str, Release] = {}
    for member in roster.members:
        node = trusted[member.node]
        if member.node not in signed:
            raise TrustError("SB-3224", name=node.name)
        release = Release.read(signed[member.node], node)
        if (release.job, release.roster) != (roster.job, receipt.roster[0].digest):
            raise TrustError("SB-3235", kind="release", field="job")
        require_stated(release, job, node.name)
        releases[member.node] = release
    return releases


def _display_rules(
    releases: Mapping[str, Release], trusted: Mapping[str, PublicIdentity]
) -> DisplayRules:
    node, release = max(releases.items(), key=lambda item: item[1].minimum_group_size)
    return DisplayRules(release.minimum_group_size, trusted[node].name)


def _laws(
    plan: Plan,
    spec: JobSpec,
    releases: Mapping[str, Release],
    trusted: Mapping[str, PublicIdentity],
) -> list[list[Law]]:
    """Return each measure's noise at each node, as released; at least what was planned."""
    magnitudes = {name: Fraction(value) for name, value in spec.magnitudes.items()}
    prepared = spec.prepared is not None
    noise = job_noise(plan, spec.epsilon_value, spec.delta_value, magnitudes, prepared=prepared)
    measures = range(len(plan.measures))
    per_measure: list[list[Law]] = [[] for _ in measures]
    for node, release in releases.items():
        if spec.joined:
            planned = member_laws(plan, noise, node)
        else:
            planned = [noise.node_law(m, len(releases), spec.collusion) for m in measures]
        stated = [Law(Mechanism(release.mechanism), Fraction(scale)) for scale in release.scales]
        if len(stated) != len(planned) or any(
            law.scale < least.scale or law.mechanism is not least.mechanism
            for law, least in zip(stated, planned, strict=True)
        ):
            raise TrustError("SB-3126", node=trusted[node].name)
        # A noiseless test node says so, and its receipt fails verification.
        if release.protected and stated:
            for laws, law in zip(per_measure, stated, strict=True):
                laws.append(law)
    return per_measure


def _text(value: Decimal | Fraction) -> str:
    """Return an exact number as a job writes it; a fraction is rounded to 12 digits first."""
    if isinstance(value, Fraction):
        value = Decimal(value.numerator) / Decimal(value.denominator)
        value = value.quantize(Decimal(1).scaleb(value.adjusted() - 11))
    return f"{value.normalize():f}"
