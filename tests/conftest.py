"""`pytest --break NN`: run with the defence against attack NN removed (see attacks/broken.py)."""

from __future__ import annotations

import pytest

from tests.attacks import broken


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--break", dest="break_number", metavar="NN", help="remove the defence against attack NN"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before collection: test modules that import a function by name get the broken one too.
    if number := config.getoption("break_number"):
        broken.apply(number)
