"""The images and the compose file, read as text: no engine is needed to hold them to their rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
ROLES = ("coordinator", "node", "researcher")

Instruction = tuple[str, str]


def stages() -> dict[str, tuple[str, list[Instruction]]]:
    """Return what each stage begins from and its instructions."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8"))
    found: dict[str, tuple[str, list[Instruction]]] = {}
    name = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = base, []
        else:
            found[name][1].append((word, rest.strip()))
    return found


def instructions(role: str) -> list[Instruction]:
    """Return all instructions of a stage, those of the stages below it first."""
    base, own = stages()[role]
    return ([*instructions(base)] if base in stages() else []) + own


@pytest.mark.parametrize("role", ROLES)
def test_image_runs_as_nobody_special(role: str) -> None:
    users = [value for word, value in instructions(role) if word == "USER"]
    user, _, group = users[-1].partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    assert not any(word == "RUN" for word, _ in stages()[role][1]), "nothing is run as root after"


@pytest.mark.parametrize("role", ROLES)
def test_image_tells_its_health_and_takes_its_signal(role: str) -> None:
    words = dict(instructions(role))
    assert "HEALTHCHECK" in words
    assert words["ENTRYPOINT"] == '["sandbox"]', "exec form, so that SIGTERM reaches the program"
    if role != "researcher":
        assert 'CMD ["sandbox", "health"]' in words["HEALTHCHECK"]
        assert words["CMD"] == f'["{role}", "serve"]'


def test_bases_are_pinned_and_the_same() -> None:
    rust, build, run = (stages()[stage][0] for stage in ("rust", "build", "base"))
    python = re.fullmatch(r"(python:3\.1[1-4]\.\d+)-slim-(\w+)", run)
    assert python
    assert build == f"{python[1]}-{python[2]}", "the compiler's image is the same Python and Debian"
    assert re.fullmatch(rf"rust:1\.\d+\.\d+-slim-{python[2]}", rust)


def test_final_image_holds_the_installed_program_alone() -> None:
    for role in ROLES:
        copied = [value for word, value in instructions(role) if word in ("COPY", "ADD")]
        assert copied == ["--from=build /opt/fedsandbox /opt/fedsandbox"]


def test_build_sees_the_program_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert let_in == {"pyproject.toml", "README.md", "LICENSE", "sandbox", "nodes", "native"}
    copied = {
        name
        for word, value in instructions("build")
        if word == "COPY" and not value.startswith("--from=")
        for name in value.split()[:-1]
    }
    assert copied == let_in
    secrets = [*ROOT.glob("sandbox/**/*.key"), *ROOT.glob("nodes/**/*.key")]
    assert secrets == []


def test_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def services() -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"]
    return found


def test_compose_runs_a_coordinator_and_three_nodes_from_their_images() -> None:
    targets = [service["build"]["target"] for service in services().values()]
    assert sorted(targets) == ["coordinator", "node", "node", "node", "researcher"]
    for service in services().values():
        folder = (ROOT / "docker" / service["build"]["context"]).resolve()
        assert (folder / service["build"]["dockerfile"]) == DOCKERFILE
        assert service["build"]["target"] in stages()


def test_compose_gives_each_party_a_volume_of_its_own() -> None:
    data = [
        volume.split(":")[0]
        for service in services().values()
        for volume in service["volumes"]
        if volume.split(":")[1] == "/data"
    ]
    assert sorted(data) == sorted(services())
    assert set(data) == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose_gives_no_party_more_than_it_needs(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "user", "network_mode", "pid", "env_file", "secrets"} & set(service)
    assert not any(re.search("key|secret|token|password", text, re.I) for text in leaves(service))
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for volume in service["volumes"]:
        assert "docker.sock" not in volume
        assert volume.endswith((":/data", ":ro"))


def leaves(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [text for key, value in tree.items() for text in [str(key), *leaves(value)]]
    if isinstance(tree, list):
        return [text for value in tree for text in leaves(value)]
    return [str(tree)]
