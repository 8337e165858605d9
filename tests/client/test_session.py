"""A session at a coordinator where nobody offers anything."""

from __future__ import annotations

import pytest

from sandbox.client import Session
from sandbox.errors import InputError
from sandbox.tables import Entry


class Lonely(Session):
    """Reads an empty catalogue."""

    def __init__(self) -> None:
        pass

    def catalogue(self) -> dict[str, Entry]:
        return {}


def test_where_no_table_is_offered_this_is_what_is_said() -> None:
    session = Lonely()
    with pytest.raises(InputError) as error:
        session.table("machines")
    assert error.value.code == "SB-1390"
    with pytest.raises(InputError) as error:
        session.sql("SELECT COUNT(*) FROM machines").plan  # noqa: B018 - planned when first read
    assert error.value.code == "SB-1390"
    assert session.datasets() == []
