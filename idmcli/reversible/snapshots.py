"""The streams that a deep group keeps, and how it computes the others again: memory does not grow with depth.

A group is cut into chains. The backward pass needs the streams after each chain, the last first. A group of more than
two chains computes these streams again from its input, with at most two pairs of streams stored on the way, as in the
binomial checkpointing of Griewank and Walther (ACM TOMS 26, 2000). Time grows with depth, but memory does not: 8 chains
take 1.4 forward passes more, 16 take 2.1, and 64 take 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from torch import Tensor

Streams = tuple[Tensor, Tensor]
Advance = Callable[[Streams, int, int], Streams]

KEPT = 2  # chains of a group whose streams are all kept
SPARE = 2  # pairs of streams on the way


def keeps_all(anchors: Sequence[int]) -> bool:
    """Whether the streams after all chains of a group are kept, and not only its ends."""
    return len(anchors) <= KEPT


def remade(advance: Advance, start: Streams, count: int) -> Iterator[Streams]:
    """The streams after ``count`` chains, after one less, ... , after the first.

    Args:
        advance: ``advance(streams, i, j)`` takes the streams after i chains to those after j.
        start: the streams before the first chain.
        count: of chains.

    Returns:
        An iterator, which holds at most ``SPARE`` pairs of streams beside the start and what it gives out.
    """
    return _between(advance, start, 0, count, SPARE)


def _between(advance: Advance, streams: Streams, first: int, last: int, spare: int) -> Iterator[Streams]:
    """The streams after ``last`` chains down to ``first + 1``, from those after ``first``."""
    while last > first:
        place = first + _cheapest(last - first, spare)[-1].place
        held = [advance(streams, first, place)]
        yield from _between(advance, held[0], place, last, spare - 1)
        yield held.pop()
        last = place - 1


class _Work(NamedTuple):
    """The least work to make the streams after so many chains, the last first.

    Attributes:
        chains: that run.
        place: after which of them streams are held first; the last, where there is room for no more.
    """

    chains: int
    place: int


@cache
def _cheapest(count: int, spare: int) -> list[_Work]:
    """For each number of chains up to ``count``."""
    inner = _cheapest(count, spare - 1) if spare else []
    found = [_Work(0, 0)]
    for chains in range(1, count + 1):
        places = range(1, chains + 1) if spare else [chains]
        beyond = (inner[chains - place].chains if spare else 0 for place in places)
        found.append(min(_Work(p + more + found[p - 1].chains, p) for p, more in zip(places, beyond, strict=True)))
    return found
