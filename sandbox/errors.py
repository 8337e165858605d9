"""Every error a user of fedsandbox can meet.

    SandboxError
    ├── InputError      what was typed or given cannot be understood: SQL, cards, options, files
    ├── Refusal         a rule said no: policy, budget, privacy; says which, whose, what would pass
    ├── TrustError      a signature, certificate, roster, envelope or proof does not hold
    ├── ProtocolError   a message came in a state that does not expect it
    ├── Unavailable     a party or a resource is down or late; named, and retried with a deadline
    └── StateError      what is stored cannot be used: damaged, of another version, rolled back

An error is a stable code plus facts. Its sentence and its cure come from the message catalogue in
the reader's language. Facts are names, limits and positions, never a value from anybody's rows.
"""

from __future__ import annotations

from typing import ClassVar

from sandbox.messages import error_text

Fact = str | int | float


class SandboxError(Exception):
    """A failure with a stable `code` (SB-nnnn) and the `facts` its sentence needs."""

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, **facts: Fact) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts

    @property
    def sentence(self) -> str:
        """What happened, in the reader's language."""
        return error_text(self.code, "text", self.facts)

    @property
    def cure(self) -> str:
        """What would help, in the reader's language."""
        return error_text(self.code, "cure", self.facts)

    def __str__(self) -> str:
        return f"{self.code} {self.sentence} {self.cure}".rstrip()


class InputError(SandboxError):
    """What was typed or given cannot be understood."""

    exit_code = 3


class Refusal(SandboxError):
    """A rule said no; the facts name the rule, its owner and what would pass."""

    exit_code = 4


class TrustError(SandboxError):
    """A signature, certificate, roster, envelope or proof does not hold."""

    exit_code = 5


class ProtocolError(SandboxError):
    """A message came in a state that does not expect it."""

    exit_code = 6


class Unavailable(SandboxError):
    """A party or a resource is down or late."""

    exit_code = 7


class StateError(SandboxError):
    """What is stored cannot be used."""

    exit_code = 8


BY_NAME: dict[str, type[SandboxError]] = {
    kind.__name__: kind
    for kind in (InputError, Refusal, TrustError, ProtocolError, Unavailable, StateError)
}
"""The kinds by name, to rebuild an error that arrived over the wire as (kind, code, facts)."""
