"""The meaning of the values of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

MOST = 1e38  # of the values: a third of what float32 holds, for results that are somewhat brighter than white
LEVELS = 256  # from black to white, as in an 8-bit picture


@dataclass(frozen=True)
class Scale:
    """An affine map between values in a unit and [0, 1], where operators and networks work.

    A 16-bit picture stores [0, 1] as 0 to 65535; with ``Scale(-1024, 3072, "HU")`` a sample s means
    ``s / 65535 * 4096 - 1024`` HU. A floating-point picture stores the values themselves.

    Attributes:
        low, high: the values that 0 and 1 stand for, low < high.
        unit: at most 32 printable characters; empty if there is none.

    Raises:
        ValueError: one of these does not hold, or results in 32-bit numbers would be infinite or all alike.
    """

    low: float = 0.0
    high: float = 1.0
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not (self.low < self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"a scale from {self.low:g} to {self.high:g} is no interval of finite numbers")
        _check_stored(self.low, self.high)
        if len(self.unit) > 32 or not self.unit.isprintable():
            raise ValueError("a unit is at most 32 printable characters")

    def apply(self, values: Any) -> Any:
        """Values in the unit (a number, an array or a tensor) to [0, 1]."""
        return (values - self.low) / (self.high - self.low)

    def invert(self, pixels: Any) -> Any:
        """[0, 1] to values in the unit; the inverse of :meth:`apply`."""
        return pixels * (self.high - self.low) + self.low

    def for_gain(self, gain: float) -> Self:
        """The scale of images that were divided by a gain; ValueError if there is none."""
        return type(self)(self.low, self.low + gain * (self.high - self.low), self.unit)

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
            return cls(content["low"], content["high"], content.get("unit", ""))
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError("a scale has the numbers low and high, and perhaps a unit") from error

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


def _check_stored(low: float, high: float) -> None:
    """Raise ValueError unless float32, in which results are stored, holds the values of an interval and tells at least
    ``LEVELS`` of them apart."""
    largest = max(abs(low), abs(high))
    if largest > MOST:
        raise ValueError(f"a scale from {low:g} to {high:g} goes beyond {MOST:g}, and results have 32-bit numbers")
    if high - low < LEVELS * max(2**-23 * largest, 2**-126):
        raise ValueError(
            f"a scale from {low:.17g} to {high:.17g} is too narrow: 32-bit numbers, which results have, tell fewer "
            f"than {LEVELS} values in it apart"
        )
