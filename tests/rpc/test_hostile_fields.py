"""Whatever a peer writes into a message, a handler answers with a closed error code.

The handlers run in process, behind no network, with documents that are signed as they should be and
say anything. Any exception but a SandboxError would reach a peer as "failed inside" (SB-5199), and
the owner's log as a traceback.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.budgets import Budgets
from nodes.server import NodeService
from nodes.tasks import Tasks
from nodes.vault import Vault
from nodes.witnessing import Witnessing
from sandbox.config import load_node
from sandbox.coordinator.enrolment import EnrolmentService
from sandbox.coordinator.server import UNFINISHED_PER_RESEARCHER, CoordinatorService
from sandbox.coordinator.store import CONTEXTS_PER_RESEARCHER
from sandbox.crypto.identity import Identity, canonical
from sandbox.errors import SandboxError, Unavailable
from sandbox.rpc import common_pb2, coordinator_pb2, node_pb2
from sandbox.rpc.documents import to_message
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


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("fuzz") / "d"
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
    rubbish = st.binary(max_size=40) | JUNK.map(_text)
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


def _text(value: Any) -> bytes:
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
                | JUNK.map(_text)
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
                identity=draw(st.just(own) | st.binary(max_size=40) | JUNK.map(_text)),
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


FUZZ = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(data=st.data())
def test_a_node_answers_any_message_with_a_reply_or_a_closed_error(
    services: Services, data: st.DataObject
) -> None:
    method, request = data.draw(node_calls(services))
    if method == "PutContext":
        request = stream(request)
    services.ask("node", method, request, "coordinator")


@FUZZ
@given(data=st.data())
def test_the_coordinator_answers_any_message_with_a_reply_or_a_closed_error(
    services: Services, data: st.DataObject
) -> None:
    method, request = data.draw(coordinator_calls(services))
    if method == "PutContext":
        request = stream(request)
    services.ask("coordinator", method, request, "researcher")


@FUZZ
@given(data=st.data())
def test_enrolment_answers_any_request_with_a_closed_error(
    services: Services, data: st.DataObject
) -> None:
    """The one call that needs no certificate. Nobody was invited here: nobody may get one."""
    sound = canonical(services.identities["nodes/a"].public.to_document())
    deep = b"[" * 30_000
    request = coordinator_pb2.EnrolRequest(
        token=data.draw(st.text(max_size=40) | st.just("0123456789abcdef." + "00" * 32)),
        csr=data.draw(st.binary(max_size=40)),
        identity=data.draw(
            st.just(sound) | st.binary(max_size=40) | JUNK.map(_text) | st.just(deep)
        ),
        proof=data.draw(documents(services)),
        address=data.draw(st.text(max_size=30)),
    )
    with pytest.raises(SandboxError):
        EnrolmentService(services.folder / "coordinator")._enrol(request)


def test_the_sound_documents_of_this_fuzz_get_past_the_first_checks(services: Services) -> None:
    """Else the fuzz would knock at the door only."""
    known = bodies(services)
    researcher = services.identities["researcher"]
    job = to_message(researcher.sign("job", known["job"]))
    offered = services.ask(
        "node", "Offer", node_pb2.OfferRequest(job=job, attempt=1), "coordinator"
    )
    assert offered.offer.kind == "offer"
    budget = to_message(researcher.sign("budget-request", known["budget-request"]))
    assert services.ask("node", "Budget", budget, "coordinator").kind == "budget"
    assert services.ask("coordinator", "Submit", job, "researcher").code == "SB-3122"
    peer = services.identities["nodes/c"]
    head = to_message(peer.sign("head", {**known["head"], "log": peer.public.fingerprint}))
    witness = node_pb2.WitnessRequest(head=head)
    assert services.ask("node", "Witness", witness, "coordinator").cosignature.kind == "witness"


@pytest.mark.parametrize("party", ["node", "coordinator"])
def test_an_empty_stream_of_parts_is_refused(party: str, services: Services) -> None:
    caller = "coordinator" if party == "node" else "researcher"
    assert services.ask(party, "PutContext", stream([]), caller).code == "SB-3252"


@pytest.mark.parametrize("field", ["created", "expires"])
@pytest.mark.parametrize("seconds", [-1, 2**40, 2**63, 2**70])
def test_a_job_whose_times_no_clock_shows_is_refused(
    field: str, seconds: int, services: Services
) -> None:
    """Stored, it would make every later listing of jobs fail: its reply could not be written."""
    body = {**bodies(services)["job"], field: seconds}
    job = to_message(services.identities["researcher"].sign("job", body))
    error = services.ask("coordinator", "Submit", job, "researcher")
    assert (error.code, error.facts["field"]) == ("SB-3101", field)


def test_attempts_are_numbered_from_1(services: Services) -> None:
    job = to_message(services.identities["researcher"].sign("job", bodies(services)["job"]))
    request = node_pb2.OfferRequest(job=job, attempt=0)
    reply = services.ask("node", "Offer", request, "coordinator")
    assert reply.problem.code == "SB-3259"


def test_one_researcher_cannot_fill_the_coordinator(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = services.coordinator._store, "fs1somebody"
    for number in range(CONTEXTS_PER_RESEARCHER):
        store.add_context(f"{number:064x}", "bfv-4096-40", name, b"context")
    with pytest.raises(Unavailable, match="SB-3270"):
        store.add_context("f" * 64, "bfv-4096-40", name, b"one too many")
    store.add_context(f"{0:064x}", "bfv-4096-40", name, b"context")
    store.add_context("ab" * 32, "bfv-4096-40", "fs1another", b"context")

    monkeypatch.setattr(services.coordinator, "_drive", lambda job: None)
    codes = []
    for number in range(UNFINISHED_PER_RESEARCHER + 1):
        body = {**bodies(services)["job"], "job": f"{number + 1000:032x}"}
        job = to_message(services.identities["researcher"].sign("job", body))
        reply = services.ask("coordinator", "Submit", job, "researcher")
        codes.append(getattr(reply, "code", ""))
    assert codes == [""] * UNFINISHED_PER_RESEARCHER + ["SB-3269"]
