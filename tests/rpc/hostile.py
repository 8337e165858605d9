"""What a hostile peer writes into messages, and the handlers that it writes to, in this process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st

from nodes.budgets import Budgets
from nodes.server import NodeService
from nodes.tasks import Tasks
from nodes.vault import Vault
from nodes.witnessing import Witnessing
from sandbox.config import load_node
from sandbox.coordinator.server import CoordinatorService
from sandbox.crypto.identity import Identity, canonical
from sandbox.errors import SandboxError
from sandbox.rpc import common_pb2, coordinator_pb2, node_pb2
from sandbox.rpc.problems import FACT_LIMIT, problem_of
from tests.endtoend import deployment
from tests.noise import ZeroNoise

NODES = ("nodes/a", "nodes/b", "nodes/c")
PARTIES = ("coordinator", *NODES, "researcher", "supervisor")
HEX = "0123456789abcdef"


@dataclass
class Caller:
    """A call's context: whose certificate it came with."""

    profile: Path

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        return {"x509_pem_cert": ((self.profile / "tls.crt").read_bytes(),)}


@dataclass
class Services:
    """A node and a coordinator in this process, and everybody's keys."""

    loop: asyncio.AbstractEventLoop
    node: NodeService
    coordinator: CoordinatorService
    identities: dict[str, Identity]
    folder: Path
    table: str

    def ask(self, party: str, method: str, request: Any, caller: str) -> Any:
        """Return a handler's reply, or the SandboxError it ended with."""
        handler = getattr(getattr(self, party), method)
        context = Caller(self.folder / caller)

        async def whole() -> Any:
            answer = handler(request, context)
            if hasattr(answer, "__aiter__"):
                return [reply async for reply in answer]
            return await answer

        try:
            return self.loop.run_until_complete(asyncio.wait_for(whole(), 5))
        except SandboxError as error:
            problem = problem_of(error, party)
            assert all(len(fact) <= FACT_LIMIT for fact in problem.facts.values())
            error.sentence  # noqa: B018 - raises KeyError for a fact that is missing
            return error


@contextmanager
def serving(folder: Path) -> Iterator[Services]:
    """The handlers of node a and of the coordinator of a deployment that is made in `folder`."""
    deployment.make(folder)
    identities = {party: Identity.load(folder / party) for party in PARTIES}
    profile, own = folder / "nodes" / "a", identities["nodes/a"]
    vault = Vault.open(profile, own)
    config = load_node(profile)
    loop = asyncio.new_event_loop()

    tasks = Tasks(own, config, vault, cast(Any, None), ZeroNoise())

    async def build() -> tuple[NodeService, CoordinatorService]:
        witnessing = Witnessing(own, vault, config.coordinator_fingerprint)
        vault.log.override_witness("nobody else runs")
        vault.keep_context("ab" * 32, b"kept without a look")
        node = NodeService(config.name, tasks, witnessing, Budgets(own, vault))
        return node, CoordinatorService(folder / "coordinator")

    node, coordinator = loop.run_until_complete(build())
    table = tasks.catalogue.entries()["machines"].digest
    yield Services(loop, node, coordinator, identities, folder, table)
    loop.run_until_complete(coordinator.close())
    loop.close()
    vault.close()


# What a hostile peer writes

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(["", "0", "a" * 64, "fs1x", "1e400", "-1", "nan", "\x00", "🙂", "0" * 4000])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
HEX32 = st.just("ab" * 32)
HEX16 = st.text(HEX, min_size=32, max_size=32)
NUMBERS = st.sampled_from([0, 1, 2, 2**31, 2**32 - 1])
SIZES = st.sampled_from([0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1])


def bodies(services: Services) -> dict[str, dict[str, Any]]:
    """A sound body for each kind of document."""
    of = {name: identity.public.fingerprint for name, identity in services.identities.items()}
    now = int(time.time())
    digest, nonce = "ab" * 32, "cd" * 16
    return {
        "job": {
            "version": 1, "job": nonce, "researcher": of["researcher"],
            "coordinator": of["coordinator"], "statement": "SELECT COUNT(*) FROM machines",
            "tables": {"machines": services.table}, "members": sorted(of[node] for node in NODES),
            "purpose": "",
            "epsilon": "1", "delta": "0.000001", "magnitudes": {}, "missing": "fail",
            "minimum_members": 3, "collusion": 1, "ring": "bfv-4096-40", "context": digest,
            "checksum_seeds": {of[node]: "00" for node in NODES}, "created": now, "expires": now + 3600,
        },
        "offer": {
            "version": 1, "job": digest, "attempt": 1, "node": of["nodes/b"], "ephemeral": digest
        },
        "roster": {
            "version": 1, "job": digest, "attempt": 1,
            "members": [{"node": of["nodes/a"], "ephemeral": digest}],
        },
        "cancel": {"version": 1, "job": nonce, "at": now},
        "budget-request": {
            "version": 1, "researcher": of["researcher"], "nonce": nonce, "at": now
        },
        "head": {
            "version": 1, "log": of["nodes/b"], "size": 1, "root": digest,
            "ledger_digest": digest, "time": now,
        },
        "last-head": {"version": 1, "log": of["nodes/a"], "nonce": nonce, "head": None},
        "witness": {"version": 1, "head": digest, "log": of["nodes/a"], "size": 1},
    }  # fmt: skip


MOSTLY = st.sampled_from([True, True, True, True, False])
SIGNERS = {"offer": "nodes/b", "head": "nodes/b", "last-head": "nodes/b", "witness": "nodes/b"}


@st.composite
def documents(draw: st.DrawFn, services: Services, wanted: str = "") -> common_pb2.Document:
    """A document, mostly of the kind and signer wanted: sound, changed in a field, or rubbish."""
    known = bodies(services)
    kind = wanted if wanted and draw(MOSTLY) else draw(st.sampled_from([*known, "other", ""]))
    body = dict(known.get(kind, {}))
    if "job" in body and kind in ("job", "cancel"):
        body["job"] = f"{draw(st.integers(0, 50)):032x}"
    for _ in range(draw(st.integers(0, 2))):
        field = draw(st.sampled_from([*body, "more"]))
        if not draw(MOSTLY) and field in body:
            del body[field]
        else:
            body[field] = draw(JUNK)
    rubbish = st.binary(max_size=40) | JUNK.map(text_of)
    text = canonical(body) if draw(MOSTLY) else draw(rubbish)
    usual = SIGNERS.get(kind, "researcher")
    party = usual if draw(MOSTLY) else draw(st.sampled_from(PARTIES))
    signer = services.identities[party]
    if draw(MOSTLY):
        signed = signer.sign_bytes(kind or "other", text)
        signature = signed.signature
    else:
        signature = draw(st.binary(max_size=70))
    name = signer.public.fingerprint if draw(MOSTLY) else draw(st.text(max_size=90))
    return common_pb2.Document(kind=kind, body=text, signer=name, signature=signature)


def text_of(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def node_calls(draw: st.DrawFn, services: Services) -> tuple[str, Any]:
    """A method of a node and a request with anything in it."""
    method = draw(
        st.sampled_from(
            ["PutContext", "Offer", "SignRoster", "Compute", "Evidence", "Witness", "LastHead",
             "ConfirmHead", "Budget", "Cancel"]
        )
    )  # fmt: skip
    job = documents(services, "job")
    digests = HEX32 | st.text(max_size=70)
    match method:
        case "PutContext":
            request: Any = draw(parts(node_pb2.ContextPart))
        case "Offer":
            request = node_pb2.OfferRequest(job=draw(job), attempt=draw(NUMBERS))
        case "SignRoster":
            roster = draw(
                st.just(canonical(bodies(services)["roster"]))
                | st.binary(max_size=40)
                | JUNK.map(text_of)
            )
            request = node_pb2.SignRosterRequest(
                job=draw(job),
                roster=roster,
                offers=draw(st.lists(documents(services, "offer"), max_size=3)),
            )
        case "Compute":
            rosters = st.lists(documents(services, "roster"), max_size=3)
            request = node_pb2.ComputeRequest(job_digest=draw(digests), roster=draw(rosters))
        case "Evidence":
            since = draw(st.lists(SIZES, max_size=3))
            request = node_pb2.EvidenceRequest(job_digest=draw(digests), since=since)
        case "Witness":
            own = canonical(services.identities["coordinator"].public.to_document())
            request = node_pb2.WitnessRequest(
                head=draw(documents(services, "head")),
                identity=draw(st.just(own) | st.binary(max_size=40) | JUNK.map(text_of)),
                since=draw(SIZES),
                consistency=node_pb2.Proof(
                    hashes=draw(st.lists(st.binary(max_size=40), max_size=3))
                ),
            )
        case "LastHead":
            request = node_pb2.LastHeadRequest(
                log=draw(st.text(max_size=90)), nonce=draw(st.binary(max_size=40))
            )
        case "ConfirmHead":
            kinds = st.sampled_from(["last-head", "witness"])
            answers = st.lists(kinds.flatmap(lambda k: documents(services, k)), max_size=3)
            request = node_pb2.ConfirmHeadRequest(answers=draw(answers))
        case "Budget":
            request = draw(documents(services, "budget-request"))
        case _:
            request = draw(documents(services, "cancel"))
    return method, request


@st.composite
def parts(draw: st.DrawFn, kind: Any) -> list[Any]:
    """A stream of upload parts: none, some, of any content."""
    rings = st.sampled_from(["bfv-4096-40", "bfv-8192-58", "", "ckks"]) | st.text(max_size=5)
    chunks = st.binary(max_size=40) | st.binary(max_size=20).map(lambda b: b"fedsandbox-bfv-1" + b)
    return [
        kind(digest=draw(HEX32 | st.text(max_size=9)), ring=draw(rings), chunk=draw(chunks))
        for _ in range(draw(st.integers(0, 3)))
    ]


@st.composite
def coordinator_calls(draw: st.DrawFn, services: Services) -> tuple[str, Any]:
    """A method of the coordinator and a request with anything in it."""
    method = draw(
        st.sampled_from(
            ["PutContext", "Submit", "Watch", "Jobs", "Result", "Cancel", "Budget", "Status"]
        )
    )
    match method:
        case "PutContext":
            return method, draw(parts(coordinator_pb2.UploadPart))
        case "Watch" | "Result":
            return method, coordinator_pb2.JobRequest(job=draw(HEX16 | st.text(max_size=90)))
        case "Jobs":
            return method, coordinator_pb2.JobsRequest(limit=draw(NUMBERS))
        case "Status":
            return method, common_pb2.Empty()
        case _:
            kinds = {"Submit": "job", "Cancel": "cancel", "Budget": "budget-request"}
            return method, draw(documents(services, kinds[method]))


async def stream(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
