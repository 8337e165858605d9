"""The doctor names what is wrong, whose it is and what to do; what will soon be wrong, too."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox import local
from sandbox.cli import checks
from sandbox.cli.checks import Check, State, examine
from sandbox.config import load_node
from sandbox.crypto.certificates import Authority, issue, new_tls_key_and_csr
from sandbox.crypto.identity import Identity
from sandbox.health import NodeHealth
from tests.cli.commands import run


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    folder = tmp_path / "plant"
    local.init(folder, ("a", "b"))
    return folder


def found(folder: Path, name: str) -> Check:
    return next(check for check in examine(folder) if check.name == name)


def certify(plant: Path, folder: Path, not_after: datetime, made: datetime | None = None) -> None:
    """Give a party a certificate of the plant's authority that ends at `not_after`."""
    identity = Identity.load(folder)
    (folder / "tls.key").unlink()
    request = new_tls_key_and_csr(folder, identity)
    public = identity.public
    certificate = issue(
        Authority.load(plant / "ca"),
        request,
        role=public.role,
        name=public.name,
        fingerprint=public.fingerprint,
        not_after=not_after,
        now=made,
    )
    (folder / "tls.crt").write_bytes(certificate)


def test_certificate_that_ends_soon_wants_attention_and_fails_nothing(plant: Path) -> None:
    folder = plant / "nodes" / "a"
    certify(plant, folder, datetime.now(UTC) + timedelta(days=5))
    check = found(folder, "certificate")
    assert (check.state, check.party) == (State.ATTENTION, "a")
    assert check.cure


def test_certificate_of_another_authority_fails(plant: Path, tmp_path: Path) -> None:
    local.init(tmp_path / "other", ("a", "b"))
    folder = plant / "nodes" / "a"
    (folder / "tls.crt").write_bytes((tmp_path / "other" / "nodes" / "a" / "tls.crt").read_bytes())
    assert found(folder, "certificate").state is State.FAILED


def test_expired_certificate_fails(plant: Path) -> None:
    folder = plant / "nodes" / "a"
    now = datetime.now(UTC)
    certify(plant, folder, now - timedelta(days=1), made=now - timedelta(days=30))
    check = found(folder, "certificate")
    assert check.state is State.FAILED
    assert check.cure


def test_missing_certificate_is_a_finding_and_not_the_end_of_the_examination(plant: Path) -> None:
    folder = plant / "nodes" / "a"
    (folder / "tls.crt").unlink()
    check = found(folder, "certificate")
    assert check.state is State.FAILED
    assert check.cure


def test_strangers_process_on_the_port_is_told_from_our_own(
    plant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PEER_TIMEOUT_S", 0.5)
    folder = plant / "nodes" / "a"
    assert found(folder, "port").state is State.SKIPPED
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", int(load_node(folder).listen.rpartition(":")[2])))
        stranger.listen()
        check = found(folder, "port")
    assert check.state is State.FAILED
    assert "config.toml" in check.cure


def test_coordinator_that_is_down_is_named_and_ends_with_one(plant: Path) -> None:
    ended = run("doctor", "--profile", plant / "researcher")
    assert ended.code == 1
    assert "does not answer" in ended.stdout
    assert ended.stderr == ""


def test_node_that_does_not_accept_its_coordinator_is_told(plant: Path) -> None:
    config = plant / "researcher" / "config.toml"
    lines = [
        'coordinator_fingerprint = "fs1aaaaaaaaaaaaaaaa"' if "fingerprint" in line else line
        for line in config.read_text().splitlines()
    ]
    config.write_text("\n".join(lines))
    check = found(plant / "researcher", "peer")
    assert check.state is State.FAILED
    assert "fs1aaaaaaaaaaaaaaaa" in check.found


def test_old_python_missing_package_and_full_disk_have_cures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert {check.state for check in examine(None)} == {State.OK}
    monkeypatch.setattr(checks, "PYTHONS", ((4, 0), (4, 1)))
    monkeypatch.setattr(checks, "PACKAGES", ("grpc", "no_such_package"))
    monkeypatch.setattr(checks, "DISK_NEEDED_BYTES", 1 << 62)
    broken = examine(None)
    assert [check.state for check in broken] == [State.FAILED] * 3
    assert all(check.cure for check in broken)
    assert broken[1].found == "no_such_package"


@pytest.mark.parametrize(("alone", "state"), [(True, State.ATTENTION), (False, State.FAILED)])
def test_node_without_a_witness_is_never_called_in_order(
    plant: Path, alone: bool, state: State
) -> None:
    public = Identity.load(plant / "nodes" / "a").public
    node = NodeHealth(public, "127.0.0.1:1", "0", True, None, confirmed=False, skew_ms=0)
    check = next(checks._node(node, alone=alone))
    assert check.state is state
    assert check.cure


def test_coordinator_is_told_how_to_renew_its_own_certificate(plant: Path) -> None:
    folder = plant / "coordinator"
    now = datetime.now(UTC)
    for not_after, state in (
        (now + timedelta(days=5), State.ATTENTION),
        (now - timedelta(days=1), State.FAILED),
    ):
        certify(plant, folder, not_after, made=now - timedelta(days=30))
        check = found(folder, "certificate")
        assert check.state is state
        assert f"sandbox coordinator renew {folder}" in check.cure
