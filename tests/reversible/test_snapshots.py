"""Streams made again: the right ones, in order, with few at hand and in little time."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from idmcli.reversible.snapshots import SPARE, remade


class Streams:
    """Those after so many chains."""

    def __init__(self, number: int) -> None:
        self.number = number


def remake(count: int) -> tuple[list[int], int, int]:
    """The numbers of the streams that come out, the most of them at hand at once, and how many chains ran."""
    alive: weakref.WeakSet[Streams] = weakref.WeakSet()
    most, run = 0, 0

    def advance(streams: Any, start: int, end: int) -> Any:
        nonlocal most, run
        assert streams.number == start < end
        alive.add(made := Streams(end))
        most, run = max(most, len(alive)), run + end - start
        return made

    numbers = [streams.number for streams in remade(advance, Streams(0), count)]  # type: ignore[attr-defined]
    return numbers, most, run


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 31, 64])
def test_they_come_last_first_with_few_at_hand(count: int) -> None:
    numbers, most, run = remake(count)
    assert numbers == list(range(count, 0, -1))
    assert most <= SPARE + 2  # and what was given out last, while the next is made
    assert count <= run <= count * (count + 1) // 2


@pytest.mark.parametrize(("chains", "passes"), [(8, 1.4), (16, 2.1), (64, 4.0)])
def test_the_time_is_as_documented(chains: int, passes: float) -> None:
    assert round(remake(chains - 1)[2] / chains, 1) == passes
