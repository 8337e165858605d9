"""The coordinator's own certificate is renewed, and nobody who pinned the coordinator has to act."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox import local
from sandbox.crypto.certificates import check_certificate
from sandbox.local import CERTIFICATE_LIFETIME, health_check, programs
from sandbox.processes import Processes
from tests.cli.commands import ok, refused
from tests.cli.test_doctor import certify

RENEWED = ("tls.crt", "tls.key")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    local.init(tmp_path / "plant", ("a", "b"))
    return tmp_path / "plant"


def files_of(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_coordinators_certificate_that_ended_is_renewed_and_all_go_on(plant: Path) -> None:
    own, now = plant / "coordinator", datetime.now(UTC)
    certify(plant, own, now - timedelta(days=1), made=now - timedelta(days=826))
    before = files_of(plant)
    told = ok("coordinator", "renew", plant).stdout
    after = files_of(plant)
    assert {file for file in after if after[file] != before.get(file)} == {own / f for f in RENEWED}
    assert after.keys() == before.keys()
    assert (own / "tls.key").stat().st_mode & 0o777 == 0o600
    peer = check_certificate((own / "tls.crt").read_bytes(), (own / "ca.crt").read_bytes())
    assert abs(peer.not_after - now - CERTIFICATE_LIFETIME) < timedelta(minutes=5)
    assert str(peer.not_after.date()) in told
    # Nodes and researcher have what they had, and meet the coordinator with it.
    with Processes(plant, programs(plant)) as processes:
        processes.start(60, health_check(plant))
        ok("jobs", "--profile", plant)


def test_certificate_of_another_party_is_not_renewed_so(plant: Path) -> None:
    before = files_of(plant)
    refused(3, "SB-1397", "coordinator", "renew", plant / "nodes" / "a")
    assert files_of(plant) == before


def test_renewal_stopped_between_key_and_certificate_is_mended_by_the_next(plant: Path) -> None:
    own = plant / "coordinator"
    (own / "tls.key").write_bytes((plant / "nodes" / "a" / "tls.key").read_bytes())
    ok("coordinator", "renew", "--profile", plant)
    with Processes(plant, programs(plant)) as processes:
        processes.start(60, health_check(plant))
