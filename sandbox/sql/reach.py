"""How far one privacy unit reaches into joined rows, and what it changes there.

A unit of a side has at most `contribution_cap` rows at each member where it may occur, and each is in
at most (multiplicity of all other sides) joined rows. Where a key may hold rows of several units, a row
of one may displace a row of another under the cap on multiplicity; where a left join may find no row,
it replaces the row without. Then one joined row goes as another comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from sandbox.sql.algebra import Change, Measure, MeasureKind, Side
from sandbox.sql.joins import Tables


@dataclass(frozen=True)
class Reach:
    """Of one side: joined rows and keys that a unit touches; `displaces`: whether others go as it
    comes; `place`; `multiplicities` of all sides; `shared`: reaches of sides that hold the same unit."""

    place: int
    own_rows: int
    multiplicities: tuple[int, ...]
    displaces: bool
    shared: tuple[Reach, ...] = ()

    @property
    def rows(self) -> int:
        """Joined rows that a unit is in, at most."""
        rows = self.own_rows
        for place, multiplicity in enumerate(self.multiplicities):
            rows *= multiplicity if place != self.place else 1
        return rows

    def change(self, measure: Measure, cells: Sequence[int]) -> Change:
        """Return what one unit changes, here alone or at every side that holds it.

        cells: the own cells of every side.
        """
        alone = self._alone(measure, cells)
        parts = [alone, *(reach._alone(measure, cells) for reach in self.shared)]
        times = sum((count for count, _, _ in parts), Fraction(0))
        l1 = sum((count * one for count, one, _ in parts), Fraction(0))
        square = max(square for _, _, square in parts)
        if measure.kind is MeasureKind.UNITS:
            return Change(l1, l1)  # Each integer by one at most.
        return Change(l1, times * times * square)

    def _alone(self, measure: Measure, cells: Sequence[int]) -> tuple[Fraction, Fraction, Fraction]:
        """Return how many joined rows change, and by how much each in l1 and in squared l2."""
        lower, upper = min(measure.lower, 0), max(measure.upper, 0)
        largest = max(-lower, upper)
        several = cells[self.place] > 1
        if measure.kind is MeasureKind.UNITS:
            count = self.own_rows
            for place, multiplicity in enumerate(self.multiplicities):
                count *= min(multiplicity, cells[place]) if place != self.place else 1
            each = 2 if self.displaces and several else 1
            return Fraction(count), Fraction(each), Fraction(each)
        l1, square = largest, largest**2
        if self.displaces:
            # In one cell the difference; in two, one value each.
            l1 = 2 * largest if several else upper - lower
            square = max((upper - lower) ** 2, 2 * largest**2 if several else 0)
        return Fraction(self.rows), Fraction(l1), Fraction(square)


def with_semi(measure: Measure, side: Side, semi: Side, cells: int) -> Measure:
    """Return a measure over the rows of `side` whose keys `semi` has, with its sensitivity for a unit
    of either. cells: of the measure, bins included.

    A key that a unit of `semi` brings makes rows count that are decided without it.
    """
    own_key = _is_unit(side)
    cap = side.fragment.contribution_cap
    rows = min(cap, side.multiplicity) if own_key and len(side.keys) == 1 else cap
    several = cells * measure.width > 1
    receiver = Reach(0, rows * side.table.occurrences, (1,), displaces=not own_key)
    if measure.kind is MeasureKind.UNITS:
        # Every row that goes or comes may be a unit, all of them in one cell.
        units = Fraction(receiver.own_rows * (1 if own_key else 2))
        ours = Change(units, units**2)
    else:
        ours = receiver.change(measure, [2 if several else 1])
    members = side.table.occurrences if own_key else len(side.table.members)
    most = max(abs(measure.lower), abs(measure.upper), 1)
    their_rows = semi.fragment.contribution_cap * semi.table.occurrences
    reached = Fraction(their_rows * side.multiplicity * members * most)
    theirs = Change(reached, reached**2)
    changes = [ours, theirs]
    domain = side.table.card.unit_domain
    if (own_key and _is_unit(semi)) or (domain and domain == semi.table.card.unit_domain):
        both = ours.l1 + theirs.l1
        # The squares of l1 bound those of l2.
        changes.append(Change(both, both**2))
    return replace(
        measure,
        l1=max(c.l1 for c in changes),
        l2_squared=max(c.l2_squared for c in changes),
        changes=(ours, theirs),
    )


def _is_unit(side: Side) -> bool:
    return any(key.name == side.table.card.privacy_unit for key in side.keys)


def reaches(tables: Tables) -> list[Reach]:
    """Return the reach of a unit of each side."""
    multiplicities = tuple(_per_key(tables, place) for place in range(len(tables.tables)))
    alone = []
    for place, table in enumerate(tables.tables):
        card = table.table.card
        cap = card.contribution_cap
        if _unit_is_key(tables, place) and len(tables.keys) == 1:
            cap = min(cap, _multiplicity(tables, place))
        displaces = table.optional or not _unit_is_key(tables, place)
        alone.append(Reach(place, cap * table.table.occurrences, multiplicities, displaces))
    return [replace(r, shared=tuple(_sharing(tables, r, alone))) for r in alone]


def _sharing(tables: Tables, own: Reach, alone: list[Reach]) -> list[Reach]:
    """Return the reaches that add to `own` because the same unit may be removed there too."""
    found = []
    card = tables.tables[own.place].table.card
    for other in alone:
        theirs = tables.tables[other.place].table.card
        if other.place == own.place:
            continue
        if _unit_is_key(tables, own.place, other.place):
            # All rows of the key are this unit's: without them here, no joined row is left to change.
            if not tables.tables[own.place].optional:
                continue
            found.append(other)
        elif card.unit_domain and card.unit_domain == theirs.unit_domain:
            found.append(other)
    return found


def keys_per_unit(tables: Tables, reaches: Sequence[Reach], place: int) -> int:
    """Return at how many keys one unit, at all sides that hold it, may change which sides have them.

    Of two sides that is whether they match; a third one can tell a key of one side from nobody's.
    """
    own = reaches[place]
    if len(reaches) == 2:
        return own.own_rows + sum(reach.own_rows for reach in own.shared)
    holding = [n for n in range(len(reaches)) if n == place or _same_unit(tables, place, n)]
    if len(tables.keys) == 1 and all(_unit_is_key(tables, n) for n in holding):
        held = [tables.tables[n].table for n in holding]
        # All rows of the unit have one key, which every join of members has once.
        return 1 if all(len(t.members) == 1 for t in held) else sum(t.occurrences for t in held)
    return sum(reaches[n].own_rows for n in holding)


def _same_unit(tables: Tables, place: int, other: int) -> bool:
    """Tell whether the unit of one side may be one of the other's too."""
    domains = [tables.tables[n].table.card.unit_domain for n in (place, other)]
    return _unit_is_key(tables, place, other) or (bool(domains[0]) and domains[0] == domains[1])


def joined_rows(tables: Tables) -> int:
    """Return the most joined rows there can be."""
    counts = []
    for place, table in enumerate(tables.tables):
        if table.optional:
            continue
        rows = table.table.card.row_bound * len(table.table.members)
        for other in range(len(tables.tables)):
            rows *= _per_key(tables, other) if other != place else 1
        counts.append(rows)
    return min(counts)


def _multiplicity(tables: Tables, place: int) -> int:
    return min(key[place].multiplicity for key in tables.keys)


def holders(tables: Tables, place: int) -> int:
    """Return how many members of a side may have rows of one key."""
    table = tables.tables[place].table
    return table.occurrences if _unit_is_key(tables, place) else len(table.members)


def _per_key(tables: Tables, place: int) -> int:
    """Return the most rows of one key over all members of a side."""
    return _multiplicity(tables, place) * holders(tables, place)


def _unit_is_key(tables: Tables, *places: int) -> bool:
    """Tell whether one column of the key is the privacy unit in every one of `places`."""
    return any(
        all(key[n].name == tables.tables[n].table.card.privacy_unit for n in places)
        for key in tables.keys
    )
