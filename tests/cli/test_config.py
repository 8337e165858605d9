"""A wrong configuration is named by file, line and key, with the nearest key that exists."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.config import check, load_coordinator, load_node, load_researcher
from sandbox.errors import InputError

NODE = """\
name = "a"
listen = "127.0.0.1:7001"
coordinator = "127.0.0.1:7000"
coordinator_fingerprint = "fs1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
"""
COORDINATOR = """\
name = "hub"
listen = "127.0.0.1:7000"
enrol_listen = "127.0.0.1:7100"

[[nodes]]
name = "a"
address = "127.0.0.1:7001"
fingerprint = "fs1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[nodes]]
name = "b"
address = "127.0.0.1:7002"
fingerprint = "fs1bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
"""


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problem(file: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        check(file)
    return caught.value


def test_valid_configurations_are_read(tmp_path: Path) -> None:
    node = written(tmp_path / "nodes" / "a", NODE)
    hub = written(tmp_path / "coordinator", COORDINATOR)
    assert check(node) == "node"
    assert check(hub) == "coordinator"
    assert load_node(node.parent).workers_active == 2
    assert [peer.name for peer in load_coordinator(hub.parent).nodes] == ["a", "b"]


def test_epsilon_and_delta_are_read_exactly(tmp_path: Path) -> None:
    client = NODE.replace('listen = "127.0.0.1:7001"', "epsilon = 0.1\ndelta = 1e-6")
    folder = written(tmp_path / "researcher", client).parent
    loaded = load_researcher(folder)
    assert (loaded.epsilon, loaded.delta) == (Decimal("0.1"), Decimal("1e-6"))


def test_misspelt_key_is_named_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    file = written(tmp_path / "nodes" / "a", NODE.replace("listen", "lisen"))
    error = problem(file)
    assert error.code == "SB-1302"
    assert error.facts == {"file": str(file), "line": 2, "key": "lisen", "nearest": "listen"}


def test_misspelt_key_in_the_second_of_two_tables_has_its_own_line(tmp_path: Path) -> None:
    second = COORDINATOR.rindex("address")
    text = COORDINATOR[:second] + COORDINATOR[second:].replace("address", "adress")
    error = problem(written(tmp_path / "coordinator", text))
    assert (error.facts["line"], error.facts["nearest"]) == (12, "address")


def test_missing_key_is_named(tmp_path: Path) -> None:
    error = problem(written(tmp_path / "nodes" / "a", NODE.replace('name = "a"\n', "")))
    assert (error.code, error.facts["key"]) == ("SB-1303", "name")


@pytest.mark.parametrize(
    ("old", "new", "key", "line"),
    [
        ('"127.0.0.1:7001"', "7001", "listen", 2),
        ('"127.0.0.1:7001"', '"no port"', "listen", 2),
        ('name = "a"', 'name = "A b"', "name", 1),
        ('name = "a"', 'workers_active = 0\nname = "a"', "workers_active", 1),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, old: str, new: str, key: str, line: int) -> None:
    error = problem(written(tmp_path / "nodes" / "a", NODE.replace(old, new)))
    assert (error.code, error.facts["key"], error.facts["line"]) == ("SB-1304", key, line)


def test_port_that_no_machine_has_is_refused(tmp_path: Path) -> None:
    for port in ("0", "65536", "99999"):
        error = problem(written(tmp_path / "nodes" / "a", NODE.replace("7001", port)))
        assert (error.code, error.facts["line"]) == ("SB-1304", 2)
        assert "65535" in str(error)


def test_table_that_is_no_key_is_named_with_its_own_line(tmp_path: Path) -> None:
    error = problem(written(tmp_path / "nodes" / "a", NODE + "[workers]\nactive = 2\n"))
    assert (error.code, error.facts["line"], error.facts["key"]) == ("SB-1302", 5, "workers")


def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert check(written(tmp_path / "nodes" / "a", "\ufeff" + NODE)) == "node"


def test_key_given_twice_at_the_end_is_named_with_its_line(tmp_path: Path) -> None:
    error = problem(written(tmp_path / "nodes" / "a", NODE + 'name = "b"'))
    assert (error.code, error.facts["line"]) == ("SB-1301", 5)


@pytest.mark.parametrize(
    ("broken", "line", "column"), [("oops\n", 5, 5), ("oops", 5, 5), ("\n\nlisten = [1,\n2", 8, 2)]
)
def test_broken_toml_is_named_with_its_position_in_our_own_words(
    tmp_path: Path, broken: str, line: int, column: int
) -> None:
    file = written(tmp_path / "nodes" / "a", NODE + broken)
    error = problem(file)
    assert error.code == "SB-1301"
    assert error.facts == {"file": str(file), "line": line, "column": column}


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:7000", "localhost:7000", "0.0.0.0:7000", "127.0.0.1:07000"]
)
def test_coordinator_with_one_address_for_both_servers_is_refused_by_both_keys(
    tmp_path: Path, listen: str
) -> None:
    both = COORDINATOR.replace("127.0.0.1:7100", listen)
    error = problem(written(tmp_path / "coordinator", both))
    assert (error.code, error.facts["line"]) == ("SB-1130", 3)
    assert (error.facts["first"], error.facts["second"]) == ("listen", "enrol_listen")


@pytest.mark.parametrize(
    ("key", "line", "second", "first"),
    [
        ("name", 11, 'name = "b"', 'name = "a"'),
        ("address", 12, "127.0.0.1:7002", "127.0.0.1:7001"),
        ("address", 12, "127.0.0.1:7002", "LocalHost:7001"),
        ("fingerprint", 13, "b" * 32, "a" * 32),
    ],
)
def test_nodes_that_cannot_be_told_apart_are_refused_by_name(
    tmp_path: Path, key: str, line: int, second: str, first: str
) -> None:
    error = problem(written(tmp_path / "coordinator", COORDINATOR.replace(second, first)))
    assert (error.code, error.facts["key"], error.facts["line"]) == ("SB-1131", key, line)
    assert error.facts["first"] == "a"


def test_servers_that_listen_at_other_hosts_or_ports_may_do_so(tmp_path: Path) -> None:
    for listen in ("10.0.0.1:7000", "0.0.0.0:7100"):
        apart = COORDINATOR.replace("127.0.0.1:7100", listen)
        assert check(written(tmp_path / "coordinator", apart)) == "coordinator"
    anywhere = COORDINATOR.replace("127.0.0.1:7000", "0.0.0.0:7000")
    clash = anywhere.replace("127.0.0.1:7100", "10.0.0.1:7000")
    assert problem(written(tmp_path / "coordinator", clash)).code == "SB-1130"


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path / "none.toml").code == "SB-1300"
