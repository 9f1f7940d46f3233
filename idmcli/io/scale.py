"""The meaning of the values of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from idmcli.errors import InputError

MOST = 1e38  # of the values: a third of what float32 holds, for results that are somewhat brighter than white
LEVELS = 256  # from black to white, as in an 8-bit picture


@dataclass(frozen=True)
class Scale:
    """An affine map between values in a unit and [0, 1], where operators and networks work.

    A 16-bit picture stores [0, 1] as 0 to 65535; with ``Scale(-1024, 3072, "HU")`` a sample s means
    ``s / 65535 * 4096 - 1024`` HU. With white = 4095, [0, 1] is stored as 0 to 4095. A picture of signed or
    floating-point numbers stores the values themselves.

    Attributes:
        low, high: the values that 0 and 1 stand for, low < high.
        unit: at most 32 printable characters; empty if there is none.
        white: the sample of 8- and 16-bit pictures that stands for 1; None for the largest of its type.

    Raises:
        ValueError: one of these does not hold, or results in 32-bit numbers would be infinite or all alike.
    """

    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    white: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not (self.low < self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"a scale from {self.low:g} to {self.high:g} is no interval of finite numbers")
        _check_stored(self.low, self.high)
        if len(self.unit) > 32 or not self.unit.isprintable():
            raise ValueError("a unit is at most 32 printable characters")
        if self.white is not None and not (type(self.white) is int and 1 <= self.white <= 65535):
            raise ValueError(f"white is {self.white!r}, and not an integer from 1 to 65535")

    def apply(self, values: Any) -> Any:
        """Values in the unit (a number, an array or a tensor) to [0, 1]."""
        return (values - self.low) / (self.high - self.low)

    def invert(self, pixels: Any) -> Any:
        """[0, 1] to values in the unit; the inverse of :meth:`apply`."""
        return pixels * (self.high - self.low) + self.low

    def for_gain(self, gain: float) -> Self:
        """The scale of images that were divided by a gain; ValueError if there is none."""
        return replace(self, high=self.low + gain * (self.high - self.low))

    def of_values(self) -> Self:
        """The same without white, for pictures that store the values themselves."""
        return replace(self, white=None)

    def white_of(self, bits: int) -> int:
        """The sample of a picture with so many bits that stands for 1; ValueError if they do not reach so far."""
        largest = 2**bits - 1
        if self.white is not None and self.white > largest:
            raise ValueError(f"white is {self.white}, and the samples of {bits} bits end with {largest}")
        return self.white or largest

    def peak(self, bits: int) -> str:
        """White minus black, for people: in the unit where there is one, or in samples of so many bits.

        >>> Scale(-1024, 3072, "HU").peak(16), Scale(white=4095).peak(16), Scale().peak(8), Scale().peak(32)
        ('4096 HU', '4095', '255', '1')
        """
        if bits == 32 or (self.low, self.high, self.unit) != (0, 1, ""):
            return f"{self.high - self.low:g} {self.unit}".rstrip()
        return str(self.white_of(bits))

    def to_json(self) -> dict[str, Any]:
        """The fields, for JSON; without white where it is the largest sample."""
        return {key: value for key, value in asdict(self).items() if key != "white" or value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: ``content`` is none.
        """
        try:
            return cls(content["low"], content["high"], content.get("unit", ""), content.get("white"))
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError("a scale has the numbers low and high, and perhaps a unit") from error

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


def scale_of(text: str | None, white: int | None = None) -> Scale | None:
    """The scale that --scale and --white give, or None if neither is given.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return None if white is None else Scale(white=white)
    low, _, rest = text.partition(",")
    high, _, unit = rest.partition(",")
    try:
        return Scale(float(low), float(high), unit.strip(), white)
    except ValueError as error:
        reason = "" if "could not" in str(error) else f": {error}"
        raise InputError(f"--scale {text!r} is no scale{reason}", "write LOW,HIGH or LOW,HIGH,UNIT") from None


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
