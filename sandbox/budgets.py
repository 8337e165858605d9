"""What may still be spent at each provider, as each provider's node signed it, and who did not say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.crypto.identity import PublicIdentity, verify
from sandbox.errors import SandboxError, TrustError, Unavailable
from sandbox.rpc import coordinator_pb2
from sandbox.rpc.documents import from_message
from sandbox.rpc.problems import error_of


@dataclass(frozen=True)
class Budgets:
    """What is left, a line for each dataset of each node; iterating yields these.

    unanswered: by its name, why a node did not say. Such a node's budgets are unknown, not spent.
    """

    lines: tuple[dict[str, Any], ...]
    unanswered: Mapping[str, SandboxError]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.lines)


def read_budgets(
    reply: coordinator_pb2.BudgetReply,
    nonce: str,
    known: Mapping[str, PublicIdentity],
    offering: Collection[str],
) -> Budgets:
    """Return what of a coordinator's answer nodes among `known` signed for `nonce`.

    offering: fingerprints of the nodes whose data can be asked; one of which the answer says nothing
    did not answer either.
    """
    lines: list[dict[str, Any]] = []
    answered: set[str] = set()
    unanswered = {problem.party: error_of(problem) for problem in reply.problems}
    for statement in map(from_message, reply.statements):
        node = known.get(statement.signer)
        if node is None:
            continue
        try:
            content = verify(statement, node, "budget")
        except TrustError as error:
            unanswered[node.name] = error
            continue
        # An old statement, sent again, says what was left then.
        if content["nonce"] == nonce:
            answered.add(node.name)
            lines += [{"node": node.name, **line} for line in content["budgets"]]
    for node in (known[fingerprint] for fingerprint in offering if fingerprint in known):
        if node.name not in answered:
            unanswered.setdefault(node.name, Unavailable("SB-5101", party=node.name))
    return Budgets(tuple(lines), unanswered)
