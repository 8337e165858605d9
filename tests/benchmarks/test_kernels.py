"""Every kernel that Python can call is measured by a benchmark."""

from __future__ import annotations

import inspect
import re

from benchmarks import test_join_kernels
from sandbox import _native
from sandbox.crypto.join import keys

NO_KERNELS = {"Buffer", "PeerError", "SLOTS_PER_CHUNK"}
MADE_FOR = {"KeyHashes": keys}
"""What benchmarks call in place of kernels, with the module where it calls them."""


def measured() -> set[str]:
    """Return the kernels that benchmarks, and the functions they are made of, name."""
    sources = [
        inspect.getsource(each)
        for name, each in inspect.getmembers(test_join_kernels, inspect.isfunction)
        if each.__module__ == test_join_kernels.__name__ and name != "_is_product"
    ]
    text = "".join(sources)
    text += "".join(inspect.getsource(module) for name, module in MADE_FOR.items() if name in text)
    return set(re.findall(r"_native\.(\w+)", text))


def test_every_kernel_has_a_benchmark() -> None:
    exported = {name for name in dir(_native) if not name.startswith("_")} - NO_KERNELS
    assert exported - measured() == set()


def test_every_kind_of_key_column_is_measured() -> None:
    kinds = {name for name in dir(_native.KeyColumn) if not name.startswith("_")}
    marks = test_join_kernels.test_hash_keys.pytestmark  # type: ignore[attr-defined]
    (measured_kinds,) = (mark.args[1] for mark in marks if mark.args[0] == "kind")
    assert len(set(measured_kinds)) == len(kinds)
