"""In which order three to five members multiply: products on shares, slot by slot, then over all slots.

A product is one column of each of two or more members; wanted is the sum over slots. Members are taken
in the order of their columns' numbers, the fewest first, so that few partial products are shared: a
partial product of some members lies with them as additive shares, and is multiplied by the next one's
columns in one product of two parties for each holder. The last product is summed over all slots, which
costs no word per slot beyond what both parties send. It all follows from the shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.crypto.join.shape import MOST_COLUMNS, Shape

Column = tuple[int, int]
"""A member's place in the shape, and a column of it."""
Partial = tuple[Column, ...]


@dataclass(frozen=True)
class Step:
    """What `holders` share, `left`, times columns `right` of `member` (places in the shape).

    pairs: of left and right, by index: those whose product every slot keeps, as shares of holders and
    member; if `last`, those whose sum over slots is an answer.
    """

    holders: tuple[int, ...]
    member: int
    left: tuple[Partial, ...]
    right: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    last: bool

    def product(self, pair: tuple[int, int]) -> Partial:
        """Return what a pair multiplies up to."""
        return (*self.left[pair[0]], (self.member, self.right[pair[1]]))

    def words(self, slots: int) -> int:
        """Return how many 64-bit words this step moves: masked factors, and what the dealer sends."""
        dealt = len(self.left) * len(self.right) if self.last else slots * len(self.pairs)
        return len(self.holders) * (slots * (len(self.left) + len(self.right)) + dealt)


def partial(shape: Shape, columns: tuple[int | None, ...]) -> Partial:
    """Return a product (a column of each member, or None) in the order in which it is multiplied."""
    named = [(place, column) for place, column in enumerate(columns) if column is not None]
    return tuple(sorted(named, key=lambda c: (shape.columns[c[0]], c[0])))


def steps(shape: Shape) -> list[Step]:
    """Return all steps of a join; each one's left columns are of earlier steps or of one member."""
    wanted = [partial(shape, columns) for columns in shape.products]
    shared = {w[:size]: None for w in wanted for size in range(2, len(w))}
    return [*_steps(shared, last=False), *_steps(dict.fromkeys(wanted), last=True)]


def shared_columns(shape: Shape) -> int:
    """Return how many columns of shares members keep over all slots, at most."""
    return sum(len(step.pairs) for step in steps(shape) if not step.last)


def words(shape: Shape) -> int:
    """Return how many 64-bit words a join's products move."""
    return sum(step.words(shape.slots) for step in steps(shape))


def _steps(products: Iterable[Partial], *, last: bool) -> Iterator[Step]:
    """Yield what makes `products`, those of the same members together, as far as a kernel takes them."""
    groups: dict[tuple[int, ...], list[Partial]] = {}
    for product in sorted(products, key=lambda p: (len(p), p)):
        groups.setdefault(tuple(place for place, _ in product), []).append(product)
    for places, group in groups.items():
        for batch in _batches(group, last=last):
            left = tuple(dict.fromkeys(p[:-1] for p in batch))
            right = tuple(sorted({p[-1][1] for p in batch}))
            numbers = {part: n for n, part in enumerate(left)}
            pairs = tuple((numbers[p[:-1]], right.index(p[-1][1])) for p in batch)
            yield Step(places[:-1], places[-1], left, right, pairs, last)


def _batches(group: list[Partial], *, last: bool) -> Iterator[list[Partial]]:
    """Cut a group so that no factor, and no result that is kept by slots, has too many columns."""
    if not last:
        for start in range(0, len(group), MOST_COLUMNS):
            yield group[start : start + MOST_COLUMNS]
        return
    left = list(dict.fromkeys(p[:-1] for p in group))
    for start in range(0, len(left), MOST_COLUMNS):
        chosen = set(left[start : start + MOST_COLUMNS])
        yield [p for p in group if p[:-1] in chosen]
