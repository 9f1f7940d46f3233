"""Views that are the same view of a turned or mirrored image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from idmcli.operators.angles import SAME

Orbit = tuple[float, dict["Turn", int]]  # an angle, and the views that it gives by turns of the image


class Turn(NamedTuple):
    """One of the eight ways to lay a square on itself: some flips, and then perhaps a transposition."""

    rows: bool
    columns: bool
    transposed: bool

    def applied(self, x: Tensor) -> Tensor:
        """Images (..., H, W) turned."""
        x = x.flip(self._axes) if self._axes else x
        return x.mT if self.transposed else x

    def undone(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`applied`, which is also its transpose."""
        x = x.mT if self.transposed else x
        return x.flip(self._axes) if self._axes else x

    @property
    def _axes(self) -> list[int]:
        return [axis for axis, flipped in ((-2, self.rows), (-1, self.columns)) if flipped]


QUARTERS = (  # that lead from the view at t + 90 k degrees to that at t
    Turn(False, False, False),
    Turn(True, False, True),
    Turn(True, True, False),
    Turn(False, True, True),
)


def first_turn(degrees: float, *, mirrored: bool) -> tuple[float, Turn]:
    """The angle in [0, 90), or in [0, 45] with mirrored images, whose view of the turned image is the view at an angle.

    Example:
        >>> first_turn(200.0, mirrored=False)
        (20.0, Turn(rows=True, columns=True, transposed=False))
        >>> first_turn(50.0, mirrored=True)
        (40.0, Turn(rows=True, columns=True, transposed=True))
    """
    quarter, angle = divmod(degrees, 90.0)
    turn = QUARTERS[int(quarter) % 4]
    if mirrored and angle > 45:
        return 90 - angle, Turn(*(not part for part in turn))
    return angle, turn


class Block(NamedTuple):
    """Views of turned images, by which other views are known.

    Attributes:
        angles: of these views, in degrees.
        places: the numbers of the views that they are, for each turn of the image, in the order of ``angles``.
        upright: whether the turned images have the shape of the image, and not of its transpose.
    """

    angles: Sequence[float]
    places: Mapping[Turn, Sequence[int]]
    upright: bool


def blocks(degrees: Iterable[float], *, mirrored: bool, square: bool, most: int) -> list[Block]:
    """Views of turned images that give all views, in blocks whose views serve the same turns.

    Args:
        degrees: the angles of the views.
        mirrored: whether the view at -t is the view at t of the mirrored image.
        square: whether an image and its transpose have the same shape.
        most: angles in one block.

    Returns:
        the blocks; each view is in one of them once.
    """
    orbits: dict[tuple[float, bool], list[Orbit]] = {}
    for view, t in enumerate(degrees):
        angle, turn = first_turn(t, mirrored=mirrored)
        same = orbits.setdefault((round(angle, SAME), square or turn.transposed), [])
        views = next((views for _, views in same if turn not in views), None)
        if views is None:  # the first at this angle, or a repeated one
            same.append((angle, {turn: view}))
        else:
            views[turn] = view
    alike: dict[tuple[Turn, ...], list[Orbit]] = {}
    for angle, views in chain.from_iterable(orbits.values()):
        alike.setdefault(tuple(sorted(views)), []).append((angle, views))
    return [
        Block(
            [angle for angle, _ in some],
            {turn: [views[turn] for _, views in some] for turn in turns},
            not turns[0].transposed,
        )
        for turns, found in alike.items()
        for some in (found[start : start + most] for start in range(0, len(found), most))
    ]
