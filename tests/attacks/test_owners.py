"""Attacks 5 and 6: an owner's act without his second factor, or about his own job."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nodes.datasets import register
from nodes.owners import Act, Owners, sign_act
from nodes.vault import Vault
from sandbox import local
from sandbox.audit.export import Record
from sandbox.cards import card_toml
from sandbox.catalog import card_to_document
from sandbox.cli.app import app
from sandbox.cli.owner import registry
from sandbox.crypto.identity import (
    Identity,
    PublicIdentity,
    Role,
    canonical,
    document_digest,
)
from sandbox.errors import SandboxError, TrustError
from sandbox.jobs import JOB_KIND
from sandbox.privacy import policy_file
from sandbox.privacy.policy import Policy
from tests.endtoend import deployment

PASSPHRASE = "four words nobody joins"


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with a registered owner, whose identity is in `mei` beside it."""
    local.init(tmp_path / "d", ("a",))
    node = tmp_path / "d" / "nodes" / "a"
    owner = Identity.generate("mei", Role.OWNER)
    owner.save(tmp_path / "mei", PASSPHRASE)
    assert command_line("node", "owner", "add", tmp_path / "mei" / "identity.json", node=node) == ""
    return node


def command_line(*words: object, node: Path, passphrase: str = PASSPHRASE) -> str:
    """Run a command on a node; return the code of its error, or ""."""
    place = [] if node in words[2:3] else ["--profile", str(node)]
    done = CliRunner().invoke(
        app, [*map(str, words), *place], env={"SANDBOX_PASSPHRASE": passphrase}
    )
    if done.exception is None:
        return ""
    assert isinstance(done.exception, SandboxError), done.output
    return done.exception.code


def guarded_commands(node: Path) -> list[tuple[object, ...]]:
    """Every command that only an owner may give, each able to succeed."""
    policy = node / "policy.toml"
    shown = CliRunner().invoke(app, ["node", "policy", "show", "--profile", str(node)])
    policy.write_text(shown.output.replace("version = 1", "version = 2"), encoding="utf-8")
    stranger = Identity.generate("stranger", Role.RESEARCHER)
    stranger.save(node / "stranger")
    second = Identity.generate("lin", Role.OWNER)
    second.save(node / "lin", PASSPHRASE)
    for job in ("1" * 32, "2" * 32):
        wait_for_approval(node, job)
    rows, more, card = node / "rows.csv", node / "more.csv", node / "more.toml"
    deployment.write_rows(rows, 0)
    deployment.write_rows(more, 1)
    with registry(node) as known:
        register(known, "machines", rows, deployment.CARD)
    card.write_text(card_toml(replace(deployment.CARD, name="more")), encoding="utf-8")
    return [
        ("node", "add-dataset", node, more, "--card", card),
        ("node", "replace-data", node, "machines", more),
        ("collection", "create", "all", "--dataset", "machines", "-o", node / "all.json"),
        ("node", "remove-dataset", node, "machines"),
        ("node", "policy", "set", policy),
        ("node", "trust", node / "stranger" / "identity.json"),
        ("node", "untrust", stranger.public.fingerprint),
        ("node", "override-witness", "--reason", "peers are gone"),
        ("approve", "1" * 32, "--reason", "agreed"),
        ("reject", "2" * 32, "--reason", "not agreed"),
        ("node", "owner", "add", node / "lin" / "identity.json"),
        ("node", "owner", "remove", second.public.fingerprint),
    ]


def wait_for_approval(node: Path, job: str, researcher: Identity | None = None) -> None:
    vault = Vault.open(node, Identity.load(node))
    asker = researcher or Identity.load(node.parent.parent / "researcher")
    vault.accept_job(
        job, asker.sign(JOB_KIND, {"job": job, "expires": int(time.time()) + 60}), waiting=True
    )
    vault.close()


def test_attack_06_without_the_second_factor_no_act_of_an_owner_counts(owned: Path) -> None:
    commands = guarded_commands(owned)
    stranger = owned.parent / "sham"
    Identity.generate("mei", Role.OWNER).save(stranger, PASSPHRASE)
    for command in commands:
        assert command_line(*command, node=owned) == "SB-3260", command
        key_alone = command_line(
            *command, "--as", mei(owned), node=owned, passphrase="a lucky guess"
        )
        assert key_alone == "SB-3257", command
        assert command_line(*command, "--as", stranger, node=owned) == "SB-3261", command
        assert command_line(*command, "--as", owned, node=owned) == "SB-3257", command
    refusals = [entry.body["code"] for entry in logged(owned, "refusal")]
    assert refusals.count("SB-3260") == refusals.count("SB-3261") == len(commands)
    for command in commands:
        assert command_line(*command, "--as", mei(owned), node=owned) == "", command
    acts = [entry.body["act"] for entry in logged(owned, "owner") if "act" in entry.body]
    assert sorted(acts) == sorted(act.value for act in Act)


def test_attack_06_an_owners_signature_counts_once_for_one_act_at_one_node(owned: Path) -> None:
    owner = Identity.load(mei(owned), PASSPHRASE)
    vault = Vault.open(owned, Identity.load(owned))
    node = Identity.load(owned).public.fingerprint
    owners = Owners(vault, node)
    signed = sign_act(owner, node, Act.TRUST, "fs1someone", int(time.time()))
    for act, subject in ((Act.TRUST, "fs1another"), (Act.UNTRUST, "fs1someone")):
        with pytest.raises(TrustError, match="SB-3262"):
            owners.authorise(act, subject, signed)
    elsewhere = sign_act(owner, "fs1othernode", Act.TRUST, "fs1someone", int(time.time()))
    with pytest.raises(TrustError, match="SB-3262"):
        owners.authorise(Act.TRUST, "fs1someone", elsewhere)
    old = sign_act(owner, node, Act.TRUST, "fs1someone", int(time.time()) - 900)
    with pytest.raises(TrustError, match="SB-3255"):
        owners.authorise(Act.TRUST, "fs1someone", old)
    forged = replace(signed, signature=bytes(64))
    with pytest.raises(TrustError, match="SB-3012"):
        owners.authorise(Act.TRUST, "fs1someone", forged)
    assert owners.authorise(Act.TRUST, "fs1someone", signed) == owner.public.fingerprint
    with pytest.raises(TrustError, match="SB-3263"):
        owners.authorise(Act.TRUST, "fs1someone", signed)
    vault.close()


def test_attack_06_the_last_owner_cannot_be_removed(owned: Path) -> None:
    (entry,) = [each for each in logged(owned, "owner") if "added" in each.body]
    fingerprint = PublicIdentity.from_document(entry.body["added"]).fingerprint
    removing = ("node", "owner", "remove", fingerprint, "--as", mei(owned))
    assert command_line(*removing, node=owned) == "SB-3266"


def test_attack_06_a_node_without_owners_obeys_who_holds_its_folder(tmp_path: Path) -> None:
    local.init(tmp_path / "d", ("a",))
    node = tmp_path / "d" / "nodes" / "a"
    assert command_line("node", "override-witness", "--reason", "alone", node=node) == ""


@pytest.mark.parametrize("same", ["name", "keys"])
def test_attack_05_an_owner_who_is_the_researcher_cannot_approve(same: str, owned: Path) -> None:
    owner = Identity.load(mei(owned), PASSPHRASE)
    name = "mei" if same == "name" else "other"
    asker = Identity.generate(name, Role.RESEARCHER)
    if same == "keys":
        asker = Identity._of(name, Role.RESEARCHER, owner._signing, owner.agreement)
    vault = Vault.open(owned, Identity.load(owned))
    vault.pins.pin(asker.public)
    vault.close()
    wait_for_approval(owned, "3" * 32, asker)
    approving = ("approve", "3" * 32, "--reason", "mine", "--as", mei(owned))
    assert command_line(*approving, node=owned) == "SB-1451"


def mei(node: Path) -> Path:
    return node.parent.parent.parent / "mei"


def logged(node: Path, kind: str) -> list[Record]:
    vault = Vault.open(node, Identity.load(node))
    try:
        return [record for record in vault.log.entries() if record.entry.kind == kind]
    finally:
        vault.close()


def test_attack_06_an_owner_signs_the_very_rows_card_policy_and_collection(
    owned: Path, tmp_path: Path
) -> None:
    """Files that change under the owner's hand are not what he signed."""
    commands = {words[1]: words for words in guarded_commands(owned)}
    signed: dict[str, str] = {}
    for words in (commands["add-dataset"], commands["replace-data"], commands["create"]):
        assert command_line(*words, "--as", mei(owned), node=owned) == "", words
    for entry in logged(owned, "owner"):
        if "signed" in entry.body:
            act = json.loads(entry.body["signed"]["body"])
            signed[act["act"]] = act["subject"]
    with registry(owned) as known:
        more, machines = known.dataset("more"), known.dataset("machines")
        (collection,) = known.collections()
    card = document_digest("dataset-card", canonical(card_to_document(more.card)))
    assert signed["add-dataset"] == f"more:{card}:{more.version}"
    assert signed["replace-data"] == f"machines:{machines.version}"
    assert signed["sign-collection"] == collection.digest


def test_attack_06_every_members_owner_signs_a_collection(owned: Path, tmp_path: Path) -> None:
    """`create` with a neighbour's folder needs his owner too; `add` needs the one who adds."""
    local.init(tmp_path / "e", ("b",))
    neighbour = tmp_path / "e" / "nodes" / "b"
    lin = Identity.generate("lin", Role.OWNER)
    lin.save(tmp_path / "lin", PASSPHRASE)
    told = command_line("node", "owner", "add", tmp_path / "lin" / "identity.json", node=neighbour)
    assert told == ""
    for node in (owned, neighbour):
        deployment.write_rows(node / "rows.csv", 0)
        with registry(node) as known:
            register(known, "machines", node / "rows.csv", deployment.CARD)
    file = tmp_path / "all.json"
    creating = ("collection", "create", "all", "--dataset", "machines", "-o", file)
    create = (*creating, "--member", f"{neighbour}:machines", "--as", mei(owned))
    assert command_line(*create, node=owned) == "SB-3261"
    assert not file.exists()
    with registry(owned) as known:
        assert known.collections() == []
    other = Identity.load(neighbour).public.fingerprint
    create = (*creating, "--member", f"{other}:machines", "--as", mei(owned))
    assert command_line(*create, node=owned) == ""
    assert command_line("collection", "add", file, node=neighbour) == "SB-3260"
    add = ("collection", "add", file, "--as", tmp_path / "lin")
    assert command_line(*add, node=neighbour) == ""
    with registry(neighbour) as known:
        assert len(known.collections()) == 2


def test_attack_06_policy_in_force_is_the_one_that_was_signed(
    owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another writes to between two looks of the command tricks nobody."""
    (setting, *_) = [words for words in guarded_commands(owned) if words[1] == "policy"]
    file = Path(str(setting[-1]))
    honest = file.read_bytes()
    parse = policy_file.parse_policy

    def and_then_changed(written: str, name: str) -> Policy:
        file.write_bytes(honest.replace(b"version = 2", b"version = 3"))
        return parse(written, name)

    monkeypatch.setattr(policy_file, "parse_policy", and_then_changed)
    assert command_line(*setting, "--as", mei(owned), node=owned) == ""
    (entry,) = [each for each in logged(owned, "owner") if each.body.get("act") == "set-policy"]
    subject = json.loads(entry.body["signed"]["body"])["subject"]
    assert subject == ":" + hashlib.sha256(honest).hexdigest()
    with registry(owned) as known:
        assert known.policy("").version == 2
