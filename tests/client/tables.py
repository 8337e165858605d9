"""The demo's collection as a table that can be planned on without any process."""

from __future__ import annotations

from sandbox.catalog import Member, Table
from sandbox.demo.machines import MACHINES

MEMBERS = tuple(Member(f"fs1-node-{name}", "machines") for name in "abc")
NAMES = {member.node: name for member, name in zip(MEMBERS, "abc", strict=True)}
MACHINES_TABLE = Table("machines", MACHINES, MEMBERS)
TABLES = {"machines": MACHINES_TABLE}
