"""Production: each party makes its own keys, joins with a one-time token, pins by fingerprint, asks."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.config import HOST, load_coordinator
from sandbox.coordinator.enrolment import Token, invite
from sandbox.crypto.identity import Role
from sandbox.local import free_ports
from sandbox.processes import Processes, Program, serve_command
from tests.cli.commands import ok, refused, run

CARD = """\
name = "meters"
privacy_unit = "id"
row_bound = 500
[[columns]]
name = "id"
type = "integer"
[[columns]]
name = "kwh"
type = "decimal"
lower = 0
upper = 100
scale = 1
"""
PARTIES = (("node", "north"), ("node", "south"), ("researcher", "mei"), ("supervisor", "anna"))


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def program(role: str, name: str, folder: Path, port: int) -> Program:
    return Program(role, name, folder, port, serve_command(role, folder))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A coordinator made by its own command, running; its folder."""
    folder = tmp_path_factory.mktemp("production") / "hub"
    serve, enrol = (f"{HOST}:{port}" for port in free_ports(2))
    ok("coordinator", "init", folder, "--name", "hub", "--listen", serve, "--enrol-listen", enrol)
    with Processes(
        folder, [program("coordinator", "hub", folder / "coordinator", port_of(serve))]
    ) as processes:
        processes.start(60)
        yield folder


def token_for(hub: Path, role: str, name: str) -> str:
    invited = ok(
        "coordinator",
        "invite",
        "--role",
        role,
        "--name",
        name,
        "--profile",
        hub,
        "--format",
        "json",
    )
    return str(invited.json["token"])


def fingerprint(folder: Path) -> str:
    return str(ok("identity", "show", "--profile", folder, "--format", "json").json["fingerprint"])


def test_second_server_at_a_taken_port_says_so_in_one_line(hub: Path) -> None:
    command = serve_command("coordinator", hub / "coordinator")
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 7
    assert "SB-5053" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_strangers_become_a_federation_that_answers(hub: Path, tmp_path: Path) -> None:
    home = {name: tmp_path / name for _, name in PARTIES}
    ports = dict(zip(("north", "south"), free_ports(2), strict=True))
    ok("identity", "new", "north", "--role", "node", "--profile", home["north"])
    before = (home["north"] / "identity.key").read_bytes()
    for role, name in PARTIES:
        token = token_for(hub, role, name)
        if role == "node":
            at = f"{HOST}:{ports[name]}"
            ok("node", "join", token, "--profile", home[name], "--listen", at)
        else:
            ok("researcher", "join", token, "--profile", home[name])
    assert (home["north"] / "identity.key").read_bytes() == before, "joining makes no second key"
    _no_private_key_has_moved(hub, home)

    who = {name: fingerprint(folder) for name, folder in home.items()}
    for node, peer in (("north", "south"), ("south", "north")):
        ok("node", "trust", who[peer], "--profile", home[node])
        ok("node", "trust", who["mei"], "--profile", home[node])
        ok("researcher", "trust", who[node], "--profile", home["mei"])
        _offer(home[node], who["mei"], seed=len(node))
    programs = [program("node", name, home[name], ports[name]) for name in ports]
    with Processes(tmp_path, programs) as nodes:
        nodes.start(60)
        _wait_until_answered(home["mei"], {"north", "south"})
        answered = ok(
            *("query", "SELECT COUNT(*) AS n FROM north.meters", "--epsilon", "1", "--delta", "0"),
            *("--profile", home["mei"], "--format", "json"),
        ).json
        # Laplace noise of ε = 1 is off by 60 with probability e^-60.
        assert abs(answered["rows"][0]["n"]["estimate"] - 300) < 60
        verified = ok(
            "audit", "verify", answered["receipt"], "--profile", home["mei"], "--format", "json"
        )
        assert verified.json["trusted"] is True
        assert ok("jobs", "--profile", home["anna"], "--format", "json").json["jobs"]
        ok("researcher", "revoke", who["mei"], "--profile", home["north"])
        refused(
            5,
            "SB-3115",
            *("query", "SELECT COUNT(*) FROM north.meters", "--epsilon", "1", "--delta", "0"),
            *("--profile", home["mei"]),
        )


def _no_private_key_has_moved(hub: Path, home: dict[str, Path]) -> None:
    """Every key file of a party is its own; nothing of it is anywhere at the coordinator."""
    received = b"".join(file.read_bytes() for file in hub.rglob("*") if file.is_file())
    for folder in home.values():
        for name in ("identity.key", "tls.key"):
            key = (folder / name).read_bytes()
            lines = [line for line in key.splitlines() if line and b"-----" not in line]
            assert lines
            assert not any(line in received for line in lines)


def _offer(node: Path, researcher: str, seed: int) -> None:
    with (node / "meters.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "kwh"))
        writer.writerows((number, number % 90) for number in range(300))
    (node / "card.toml").write_text(CARD, encoding="utf-8")
    ok("node", "add-dataset", node, node / "meters.csv", "--card", node / "card.toml")
    policy = ok("node", "policy", "show", "--profile", node).stdout
    written = policy.replace("version = 1", "version = 2").replace(
        "researchers = []", f'researchers = ["{researcher}"]'
    )
    (node / "policy.toml").write_text(written, encoding="utf-8")
    ok("node", "policy", "set", node / "policy.toml", "--profile", node)


def _wait_until_answered(profile: Path, nodes: set[str], timeout_s: float = 60) -> None:
    """Wait until the doctor finds both nodes confirmed."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = ok("datasets", "--profile", profile, "--format", "json").json["datasets"]
        names = {row["name"].partition(".")[0] for row in found}
        if names == nodes:
            return
        time.sleep(0.2)
    raise AssertionError(f"only {names} answered")


def test_token_admits_once(hub: Path, tmp_path: Path) -> None:
    token = token_for(hub, "researcher", "once")
    ok("researcher", "join", token, "--profile", tmp_path / "first")
    refused(5, "SB-1342", "researcher", "join", token, "--profile", tmp_path / "second")
    assert not (tmp_path / "second" / "tls.crt").exists()


def test_expired_token_is_refused(hub: Path, tmp_path: Path) -> None:
    yesterday = time.time() - 24 * 3600
    token = invite(hub / "coordinator", Role.RESEARCHER, "late", 3600, now=lambda: yesterday)
    refused(5, "SB-1342", "researcher", "join", token, "--profile", tmp_path / "late")


def test_token_for_another_name_is_refused_by_the_party_and_by_the_coordinator(
    hub: Path, tmp_path: Path
) -> None:
    token = token_for(hub, "researcher", "invited")
    other = tmp_path / "other"
    ok("identity", "new", "other", "--role", "researcher", "--profile", other)
    refused(3, "SB-1347", "researcher", "join", token, "--profile", other)
    # One who forges the name in the token finds that the coordinator remembers whom it invited.
    fields = vars(Token.decode(token))
    forged = Token(**{**fields, "name": "other"}).encode()
    refused(5, "SB-1343", "researcher", "join", forged, "--profile", other)
    ok("researcher", "join", token, "--profile", tmp_path / "invited")


def test_token_is_for_one_role(hub: Path, tmp_path: Path) -> None:
    token = token_for(hub, "node", "west")
    refused(3, "SB-1387", "researcher", "join", token, "--profile", tmp_path / "west")


def test_guessed_secret_and_torn_token_are_refused(hub: Path, tmp_path: Path) -> None:
    token = token_for(hub, "researcher", "guessed")
    forged = Token(**{**vars(Token.decode(token)), "secret": "00" * 32}).encode()
    refused(5, "SB-1342", "researcher", "join", forged, "--profile", tmp_path / "guessed")
    refused(3, "SB-1340", "researcher", "join", token[:-40], "--profile", tmp_path / "guessed")


def test_name_that_has_joined_is_not_invited_again(hub: Path, tmp_path: Path) -> None:
    ok("researcher", "join", token_for(hub, "researcher", "twice"), "--profile", tmp_path / "t")
    refused(
        *(3, "SB-1341", "coordinator", "invite", "--role", "researcher", "--name", "twice"),
        *("--profile", hub),
    )


@pytest.mark.parametrize("role", ["node", "researcher"])
def test_certificate_is_renewed_for_that_very_identity_and_changes_nothing_else(
    hub: Path, tmp_path: Path, role: str
) -> None:
    name, own = f"lasting-{role}", tmp_path / "own"
    asked = ("coordinator", "invite", "--role", role, "--name", name, "--renew", "--profile", hub)
    refused(3, "SB-1394", *asked)
    at = ("--listen", f"{HOST}:{free_ports(1)[0]}") if role == "node" else ()
    ok(role, "join", token_for(hub, role, name), "--profile", own, *at)
    kept = (own / "config.toml", own / "identity.json", own / "ca.crt", own / "identity.key")
    renewed = (own / "tls.crt", own / "tls.key")
    before = {file: file.read_bytes() for file in (*kept, *renewed)}
    known = load_coordinator(hub / "coordinator").nodes

    token = ok(*asked).stdout.strip()
    other = tmp_path / "other"
    ok("identity", "new", name, "--role", role, "--profile", other)
    refused(5, "SB-1395", role, "join", token, "--profile", other)
    ok(role, "join", token, "--profile", own)
    assert all(file.read_bytes() == before[file] for file in kept)
    assert all(file.read_bytes() != before[file] for file in renewed)
    assert (own / "tls.key").stat().st_mode & 0o777 == 0o600
    assert load_coordinator(hub / "coordinator").nodes == known
    assert sorted(file.suffix for file in own.glob("tmp*")) == []
    if role == "researcher":
        ok("datasets", "--profile", own)
    refused(5, "SB-1342", role, "join", token, "--profile", own)


def test_renewal_that_fails_leaves_certificate_and_key_as_they_were(
    hub: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    ok("researcher", "join", token_for(hub, "researcher", "steady"), "--profile", own)
    before = [(own / name).read_bytes() for name in ("tls.crt", "tls.key")]
    late = invite(hub / "coordinator", Role.RESEARCHER, "steady", 60, now=lambda: 0.0, renew=True)
    refused(5, "SB-1342", "researcher", "join", late, "--profile", own)
    assert [(own / name).read_bytes() for name in ("tls.crt", "tls.key")] == before
    ok("datasets", "--profile", own)


def test_node_at_the_address_of_another_joins_only_once_that_one_is_revoked(
    hub: Path, tmp_path: Path
) -> None:
    at = f"{HOST}:{free_ports(1)[0]}"
    for name in ("old", "new"):
        ok("identity", "new", name, "--role", "node", "--profile", tmp_path / name)
    old, new = (
        (
            *("node", "join", token_for(hub, "node", name)),
            *("--profile", tmp_path / name, "--listen", at),
        )
        for name in ("old", "new")
    )
    ok(*old)
    assert "'old'" in refused(3, "SB-1132", *new).stderr
    by_another_name = (*new, "--address", at.replace(HOST, "localhost"))
    assert "'old'" in refused(3, "SB-1132", *by_another_name).stderr
    ok("researcher", "revoke", fingerprint(tmp_path / "old"), "--profile", hub / "coordinator")
    ok(*new)
    there = [peer for peer in load_coordinator(hub / "coordinator").nodes if peer.address == at]
    assert [peer.name for peer in there] == ["new"]
    # Its owner lets `old` join again elsewhere, with the keys it has.
    elsewhere = f"{HOST}:{free_ports(1)[0]}"
    again = token_for(hub, "node", "old")
    (tmp_path / "old" / "tls.crt").unlink()
    ok("node", "join", again, "--profile", tmp_path / "old", "--listen", elsewhere)
    assert [peer.name for peer in load_coordinator(hub / "coordinator").nodes].count("old") == 1


@pytest.mark.parametrize("listen", [f"{HOST}:7400", "localhost:7400", "0.0.0.0:7400"])
def test_coordinator_with_one_address_for_both_servers_is_not_made(
    tmp_path: Path, listen: str
) -> None:
    both = ("--listen", listen, "--enrol-listen", f"{HOST}:7400")
    refused(3, "SB-1133", "coordinator", "init", tmp_path / "hub", *both)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("option", ["--listen", "--enrol-listen"])
@pytest.mark.parametrize("address", ["hub", "[::]:7400", "hub:port", "hub:70000"])
def test_coordinator_is_not_made_at_what_is_no_address(
    tmp_path: Path, option: str, address: str
) -> None:
    refused(3, "SB-1134", "coordinator", "init", tmp_path / "hub", option, address)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("at", ["north.example", "0.0.0.0:7410"])
def test_node_that_nobody_could_reach_is_not_written_down(
    hub: Path, tmp_path: Path, at: str
) -> None:
    before = (hub / "coordinator" / "config.toml").read_text()
    token = token_for(hub, "node", "nowhere")
    joining = ("node", "join", token, "--profile", tmp_path / "nowhere", "--address", at)
    assert "SB-1344" in run(*joining).stderr
    assert (hub / "coordinator" / "config.toml").read_text() == before


def test_party_that_was_revoked_at_the_coordinator_is_refused(hub: Path, tmp_path: Path) -> None:
    ok("researcher", "join", token_for(hub, "researcher", "gone"), "--profile", tmp_path / "gone")
    ok("datasets", "--profile", tmp_path / "gone")
    ok("researcher", "revoke", fingerprint(tmp_path / "gone"), "--profile", hub / "coordinator")
    refused(5, "SB-3112", "datasets", "--profile", tmp_path / "gone")


def test_invitation_names_an_address_that_others_reach(tmp_path: Path) -> None:
    listen = ("--listen", "0.0.0.0:7400", "--enrol-listen", "0.0.0.0:7401")
    ok("coordinator", "init", tmp_path / "hub", *listen)
    who = ("--role", "node", "--name", "north", "--profile", tmp_path / "hub")
    refused(3, "SB-1389", "coordinator", "invite", *who)
    at = ("--address", "hub.example:7401", "--format", "json")
    token = Token.decode(ok("coordinator", "invite", *who, *at).json["token"])
    assert (token.address, token.coordinator_address) == ("hub.example:7401", "hub.example:7400")


def test_coordinator_keeps_a_hash_of_the_secret_only(hub: Path) -> None:
    token = Token.decode(token_for(hub, "researcher", "hashed"))
    promise = json.loads(
        (hub / "coordinator" / "invitations" / f"{token.invitation}.json").read_text()
    )
    assert token.secret not in json.dumps(promise)
