"""`pytest --break NN`: run with the defence against attack NN removed (see attacks/broken.py)."""

from __future__ import annotations

import hypothesis
import pytest

from tests.attacks import broken

# No test is timed: a busy machine must not fail one.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--break", dest="break_number", metavar="NN", help="remove the defence against attack NN"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before collection: test modules that import a function by name get the broken one too.
    if number := config.getoption("break_number"):
        broken.apply(number)
