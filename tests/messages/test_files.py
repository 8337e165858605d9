"""Why a file cannot be used is said in words, in both languages."""

from __future__ import annotations

import errno
import re

import pytest

from sandbox.files import fault_of
from sandbox.messages import text


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC]
)
def test_fault_is_told_in_chinese(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_LANG", "zh")
    told = fault_of(OSError(number, "words of the system"))
    assert told
    assert not re.search("[A-Za-z]", told)


def test_fault_without_words_is_told_by_the_systems_name_for_it() -> None:
    assert fault_of(OSError(errno.EIO, "")) == text("fault.other", name="EIO")
