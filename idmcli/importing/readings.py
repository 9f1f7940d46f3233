"""From the readings of a single-pixel detector to coefficients, the sums of the image under patterns of -1 and 1.

A detector that sees a pattern P times reads ``m + Re(a e^(i phi_k)) P_k``, k = 0 .. P - 1, with the phases
``phi_k = 2 pi k / P`` and a mean m that all patterns share. A pattern and its negative are P = 2 of them, phase steps
are 3 or more, and one of 0 and 1 is a single one. The coefficient is ``(2 / P) sum_k (reading_k - m) e^(-i phi_k)``.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions

Split = Literal["signed", "binary", "interleaved", "halves", "phases"]
SPLITS = "--split signed, binary, interleaved, halves or phases"
CONVERTERS = (8, 10, 12, 14, 16)  # bits of those that digitise readings


class Coefficients(NamedTuple):
    """The coefficients of some patterns.

    Attributes:
        values: (M,), float64 or complex128, in the unit of the readings.
        kept: (M,), False where too many readings were lost to tell the coefficient.
        noise_gain: the noise of each of their real numbers over the noise of a reading.
    """

    values: NDArray[Any]
    kept: NDArray[np.bool_]
    noise_gain: float


def table_of(values: Any, name: str, assumptions: Assumptions) -> NDArray[Any]:
    """The readings in a file as a table (rows, columns), without a first column that counts the rows.

    Args:
        values: an array of at most two dimensions.
        name: of the file, for messages.
        assumptions: gains one if a column is left out.

    Raises:
        InputError: it has more dimensions, is sparse or empty, or holds NaN or infinity.
    """
    table = np.asarray(values)
    if table.dtype.kind not in "biufc" or table.ndim > 2 or not table.size:
        raise InputError(f"{name} holds no table of readings", "give one reading in each row, or several")
    table = table.astype(np.complex128 if table.dtype.kind == "c" else np.float64)
    if not np.isfinite(table).all():
        raise InputError(
            f"{name} holds NaN or infinity", "leave them out, and list the patterns of the others by --shown"
        )
    if table.ndim < 2 or 1 in table.shape:
        return table.reshape(-1, 1)
    first = table[:, 0]
    if (first - first[0] == np.arange(len(table))).all() and first[0] in (0, 1):
        assumptions.add("the first column counts the patterns")
        return table[:, 1:]
    return table


def split_of(table: NDArray[Any], count: int, name: str) -> Split:
    """How a table of readings makes so many coefficients, where its shape leaves no doubt.

    Args:
        table: (rows, columns).
        count: of the patterns that were shown.
        name: of the file, for messages.

    Raises:
        InputError: it does not fit, or there is doubt; the hint names --split.
    """
    rows, columns = table.shape
    if table.size == count:
        return "signed" if np.iscomplexobj(table) or table.min() < 0 else "binary"
    if rows == count:
        return "interleaved" if columns == 2 else "phases"
    raise InputError(
        f"{name} holds {rows} x {columns} readings, and {count} patterns were shown",
        f"say by {SPLITS} how readings give coefficients, or list by --shown the patterns that were shown",
    )


def arranged(table: NDArray[Any], split: Split, name: str, assumptions: Assumptions) -> NDArray[Any]:
    """The readings of each pattern: (patterns, P).

    Args:
        table: (rows, columns).
        split: says how they are arranged.
        name: of the file, for messages.
        assumptions: gains the arrangement.

    Raises:
        InputError: the readings cannot be arranged like that.
    """
    if np.iscomplexobj(table) and split != "signed":
        raise InputError(f"{name} holds complex numbers, which no detector reads", "give --split signed")
    if split == "phases":
        rows, steps = table.shape
        if not 3 <= steps <= rows:
            raise InputError(f"{name} holds {rows} x {steps} readings", "give the 3 or more phase steps in columns")
        assumptions.add(f"{steps} readings of each pattern, at phase steps of {360 / steps:g} degrees from 0")
        return table
    if split in ("interleaved", "halves"):
        if table.size % 2:
            raise InputError(f"{name} holds {table.size} readings, which make no pairs", f"check {SPLITS}")
        if split == "halves":
            assumptions.add("the readings of all patterns, then the readings of their negatives")
            return table.reshape(2, -1).T
        assumptions.add("each pattern is followed by its negative")
        return table.reshape(-1, 2)
    one = "of -1 and 1" if split == "signed" else "of 0 and 1, with an offset that is not known"
    assumptions.add(f"one reading of each pattern, {one}")
    return table.reshape(-1, 1)


def saturated(readings: NDArray[Any]) -> NDArray[np.bool_]:
    """The readings at an end of the converter's range: (M, P), where integers reach the end of one of 8 to 16 bits."""
    ends = [2**bits - 1 for bits in CONVERTERS]
    if np.iscomplexobj(readings) or readings.max() not in ends or (readings != np.round(readings)).any():
        return np.zeros(readings.shape, bool)
    lost: NDArray[np.bool_] = (readings == readings.max()) | (readings == 0)
    return lost


def coefficients(readings: NDArray[Any], lost: NDArray[np.bool_], split: Split) -> Coefficients:
    """The coefficients of patterns. One lost reading of several follows from the mean that all patterns share.

    Args:
        readings: (M, P).
        lost: (M, P), the readings that do not count.
        split: as they were arranged; "binary" coefficients still have their offset, ``2 m``.

    Raises:
        InputError: no reading is left.
    """
    steps = readings.shape[1]
    whole: NDArray[np.bool_] = ~np.asarray(lost.any(1))
    if not whole.any():
        raise InputError("all readings are saturated", "measure again with less light")
    if split == "signed":
        return Coefficients(readings[:, 0], whole, 1.0)
    missing = steps * readings[whole].mean() - np.where(lost, 0, readings).sum(1, keepdims=True)
    phases = np.exp(-2j * np.pi * np.arange(steps) / steps)
    values = 2 / steps * np.where(lost, missing, readings) @ phases
    kept = whole if steps == 1 else lost.sum(1) <= 1
    return Coefficients(values if steps > 2 else values.real, kept, 2 / steps * float(np.linalg.norm(phases.real)))
