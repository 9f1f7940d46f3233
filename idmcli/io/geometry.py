"""Where the pixels of a slice lie in space."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

Vector = tuple[float, float, float]
_MAX_NAME = 64  # characters, of a DICOM identifier


@dataclass(frozen=True)
class Geometry:
    """The place of a slice in the patient, in mm. The axes point as in DICOM: to the left, to the back, to the head.

    The centre of the pixel in row i and column j lies at ``origin + i down + j right``.

    Attributes:
        origin: of the first pixel of the first row.
        down: from a row to the next one.
        right: from a column to the next one.
        through: from a slice to the next one; its length is the thickness.
        frame: the frame of reference, an identifier of DICOM; empty if there is none.

    Raises:
        ValueError: a vector is not of three finite numbers, or a step has no length.
    """

    origin: Vector
    down: Vector
    right: Vector
    through: Vector
    frame: str = ""

    def __post_init__(self) -> None:
        for name in ("origin", "down", "right", "through"):
            x, y, z = map(float, getattr(self, name))
            if not math.isfinite(x + y + z) or (name != "origin" and math.hypot(x, y, z) == 0):
                raise ValueError(f"the {name} of a geometry is ({x:g}, {y:g}, {z:g})")
            object.__setattr__(self, name, (x, y, z))
        if len(self.frame) > _MAX_NAME or not self.frame.isprintable():
            raise ValueError("a frame of reference has at most 64 printable characters")

    @classmethod
    def of(cls, origin: Any, down: Any, right: Any, through: Any, frame: str = "") -> Self:
        """A geometry of any sequences of three numbers.

        Args:
            origin, down, right, through, frame: as in the class.

        Raises:
            ValueError: one of them is none, or the class refuses it.
        """
        try:
            return cls(_vector(origin), _vector(down), _vector(right), _vector(through), frame)
        except (OverflowError, TypeError) as error:
            raise ValueError("a geometry has an origin and three steps, of three numbers each") from error

    @property
    def spacing(self) -> Vector:
        """Between rows, columns and slices, in mm."""
        return math.hypot(*self.down), math.hypot(*self.right), math.hypot(*self.through)

    def to_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: ``content`` is none.
        """
        try:
            vectors = {name: content[name] for name in ("origin", "down", "right", "through")}
            return cls.of(**vectors, frame=str(content.get("frame", "")))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("a geometry has an origin and three steps, of three numbers each") from error

    def __str__(self) -> str:
        return " x ".join(f"{step:.4g}" for step in self.spacing) + " mm"


def _vector(values: Any) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
