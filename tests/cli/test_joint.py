"""What an owner signs of a collection is held against every one of his datasets in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.catalog import Collection, Member
from sandbox.cli import joint
from sandbox.cli.owner import registry
from sandbox.crypto.identity import load_public
from sandbox.errors import InputError
from tests.endtoend import deployment
from tests.endtoend.deployment import CARD


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return node a's folder; it has `machines`, and `payroll` under another card."""
    folder = tmp_path_factory.mktemp("joint") / "deployment"
    deployment.make(folder)
    owner = folder / "nodes" / "a"
    with registry(owner) as known:
        source = known.dataset("machines").source
        card = replace(CARD, name="payroll", contribution_cap=CARD.contribution_cap + 1)
        known.add("payroll", card, source, "another digest")
    return owner


@pytest.mark.parametrize(
    ("datasets", "code"),
    [
        (["machines"], None),
        (["machines", "machines"], "SB-3280"),
        (["machines", "payroll"], "SB-1373"),
        (["machines", "nothing"], "SB-1440"),
    ],
)
def test_owner_signs_no_dataset_twice_and_none_under_another_card(
    owner: Path, tmp_path: Path, datasets: list[str], code: str | None
) -> None:
    """A proposal comes from another owner, who may have put in what was not talked about."""
    me = load_public(owner).fingerprint
    other = load_public(owner.parent / "b").fingerprint
    members = (*(Member(me, name) for name in datasets), Member(other, "machines"))
    body = Collection("joint", CARD, members).to_document()
    file = tmp_path / "joint.json"
    file.write_text(json.dumps({"collection": json.dumps(body), "signatures": []}))
    if code is None:
        assert len(joint.sign(owner, file).signatures) == 1
        return
    with pytest.raises(InputError, match=code):
        joint.sign(owner, file)
    assert joint.read(file).signatures == ()
