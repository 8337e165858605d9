"""Take a job whatever its times say."""

from __future__ import annotations

from nodes import tasks
from sandbox import jobs
from sandbox.coordinator import server as coordinator
from sandbox.crypto.identity import PublicIdentity, Signed, parse
from sandbox.jobs import JobSpec, read_job


def apply() -> None:
    def timeless(signed: Signed, researcher: PublicIdentity, now: int) -> JobSpec:
        return read_job(signed, researcher, int(parse(signed.body)["created"]))

    jobs.LONGEST_LIFETIME_S = 1 << 40
    coordinator.read_job = timeless
    tasks.read_job = timeless
