"""Both languages say the same things, nothing that is said is missing, nothing is left unsaid."""

from __future__ import annotations

import string
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import resources

import pytest

from sandbox.coordinator.waits import PASSING
from sandbox.errors import Unavailable
from sandbox.messages import LANGUAGES, catalogue, language
from sandbox.rpc import node_pb2
from tests.messages.usage import CODE, codes, keys

EQUAL_IN_BOTH = {
    # Greek letters and formats that are the same in any language.
    "column.epsilon",
    "column.delta",
    "study.statement",
}


def placeholders(template: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name)


def defined(lang: str) -> Iterator[str]:
    """Yield every top-level table and key as it stands in the files of a language."""
    for file in (resources.files("sandbox.messages") / lang).iterdir():
        if file.name.endswith(".toml"):
            for table, content in tomllib.loads(file.read_text(encoding="utf-8")).items():
                yield from _leaves(table, content)


def _leaves(path: str, content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(f"{path}.{key}", value)
    else:
        yield path


def test_both_languages_have_the_same_keys() -> None:
    english, chinese = (set(catalogue(lang)) for lang in LANGUAGES)
    assert english ^ chinese == set()


def test_both_languages_name_the_same_facts() -> None:
    english, chinese = (catalogue(lang) for lang in LANGUAGES)
    unequal = {
        key: (placeholders(english[key]), placeholders(chinese[key]))
        for key in english.keys() & chinese.keys()
        if set(placeholders(english[key])) != set(placeholders(chinese[key]))
    }
    assert unequal == {}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_message_is_defined_twice(lang: str) -> None:
    assert [key for key, times in Counter(defined(lang)).items() if times > 1] == []


def test_chinese_is_not_english() -> None:
    english, chinese = (catalogue(lang) for lang in LANGUAGES)
    same = {key for key in english.keys() & chinese.keys() if english[key] == chinese[key]}
    assert same - EQUAL_IN_BOTH == set()
    assert same >= EQUAL_IN_BOTH, "an entry of the list has been translated"


def test_whatever_a_job_waits_for_has_words() -> None:
    told = {reason.lower() for reason, _ in node_pb2.Wait.Reason.items()} | set(PASSING.values())
    assert {f"reason.{reason}" for reason in told} <= catalogue("en").keys()


def test_error_that_lacks_facts_is_still_told() -> None:
    """A peer of another version may send a known code with other facts."""
    told = str(Unavailable("SB-5112", party="north"))
    assert "SB-5112" in told
    assert "north" in told


def test_every_code_has_a_sentence_and_a_cure() -> None:
    known = catalogue("en")
    missing = {
        f"{use.key} ({use.place})"
        for use in codes()
        if not known.get(f"{use.key}.text") or not known.get(f"{use.key}.cure")
    }
    assert missing == set()


def test_every_error_brings_the_facts_its_sentence_names() -> None:
    known = catalogue("en")
    wanting = {}
    for use in codes():
        named = set(placeholders(known.get(f"{use.key}.text", "")))
        named |= set(placeholders(known.get(f"{use.key}.cure", "")))
        if use.facts is not None and named - use.facts:
            wanting[f"{use.key} ({use.place})"] = named - use.facts
    assert wanting == {}


def test_every_key_that_is_said_exists_and_gets_its_facts() -> None:
    known = catalogue("en")
    wrong = {}
    for use in keys():
        found = [key for key in known if use.pattern.fullmatch(key)]
        if not found:
            wrong[f"{use.key} ({use.place})"] = "missing"
        for key in found:
            lacking = set(placeholders(known[key])) - (use.facts or set())
            if use.facts is not None and lacking:
                wrong[f"{key} ({use.place})"] = f"no {lacking}"
    assert wrong == {}


def test_no_message_is_unused() -> None:
    said = [use.pattern for use in keys()]
    raised = {use.key for use in codes()}
    unused = {
        key
        for key in catalogue("en")
        if (
            key.partition(".")[0] not in raised
            if CODE.match(key)
            else not any(pattern.fullmatch(key) for pattern in said)
        )
    }
    assert unused == set()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "SANDBOX_LANG": "en"}, "en"),
        ({"LANG": "en_US.UTF-8", "SANDBOX_LANG": "zh"}, "zh"),
    ],
)
def test_language_is_chosen_by_setting_then_locale(
    settings: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SANDBOX_LANG", "LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert language() == expected
