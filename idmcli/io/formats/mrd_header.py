"""The XML header of ISMRMRD, which files of fastMRI have too: what was encoded, and what image was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree

from idmcli.errors import InputError
from idmcli.io.formats.kspace import MAX_SIDE

MAX_TEXT = 2**22  # characters
CARTESIAN = "cartesian"


class Space(NamedTuple):
    """A grid, along x (readout), y and z (phase encodings).

    Attributes:
        matrix: points.
        field_mm: field of view in mm; zeros where it is not stated.
    """

    matrix: tuple[int, int, int]
    field_mm: tuple[float, float, float]


class Limits(NamedTuple):
    """The lines of a phase encoding, counted from 0.

    Attributes:
        minimum, maximum: the first and the last one that were meant to be measured.
        centre: the one with frequency zero.
    """

    minimum: int
    maximum: int
    centre: int


@dataclass(frozen=True)
class Header:
    """The part of the header that a reader needs.

    Attributes:
        encoded: the grid of k-space.
        asked: the grid of the image that was asked for.
        lines, partitions: of the two phase encodings; None where the header does not say.
        trajectory: "cartesian", "epi", "radial", ...
        noise_bandwidth: of the receiver, relative to the bandwidth of a readout.
    """

    encoded: Space
    asked: Space
    lines: Limits | None
    partitions: Limits | None
    trajectory: str = CARTESIAN
    noise_bandwidth: float = 1.0

    def fov(self, axis: int) -> int:
        """How many pixels of an image of the encoded grid lie within the field of view that was asked for.

        Args:
            axis: 0 for x, 1 for y, 2 for z.
        """
        here, asked = self.encoded, self.asked
        if here.field_mm[axis] > 0 and here.field_mm[axis] == asked.field_mm[axis]:  # the same field with fewer pixels
            return here.matrix[axis]
        return min(asked.matrix[axis], here.matrix[axis])

    def offset(self, axis: int) -> int:
        """The row of k-space that holds line 0 of a phase encoding, where frequency zero belongs in the middle.

        Args:
            axis: 1 for lines, 2 for partitions.
        """
        limits = self.lines if axis == 1 else self.partitions
        return 0 if limits is None else self.encoded.matrix[axis] // 2 - limits.centre


def read_header(text: str, name: str) -> Header:
    """The first encoding of a header.

    Args:
        text: the XML.
        name: of the file, for messages.

    Raises:
        InputError: it is no such XML, declares a document type, or holds sizes that make no sense.
    """
    if len(text) > MAX_TEXT or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{name} has a header that is not read: it declares a document type, or is far too long")
    try:
        root = ElementTree.fromstring(text.strip("\0 \n"))
        _without_namespaces(root)
        encoding = root.find("encoding")
        if encoding is None:
            raise ValueError("no encoding")
        return Header(
            _space(encoding, "encodedSpace"),
            _space(encoding, "reconSpace"),
            _limits(encoding, "kspace_encoding_step_1"),
            _limits(encoding, "kspace_encoding_step_2"),
            _text(encoding, "trajectory", CARTESIAN).lower(),
            float(_text(root, "acquisitionSystemInformation/relativeReceiverNoiseBandwidth", "1")) or 1.0,
        )
    except (ElementTree.ParseError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{name} has an ISMRMRD header that cannot be read", "copy the file again") from error


def refuse_trajectory(trajectory: str, name: str) -> None:
    """Raise InputError unless k-space was sampled on a Cartesian grid, line by line."""
    if trajectory == "epi":
        raise InputError(
            f"{name} is an echo-planar (EPI) scan, whose lines need a phase correction that idm does not make",
            "export k-space after the correction as a Cartesian scan",
        )
    if trajectory != CARTESIAN:
        raise InputError(
            f"{name} has a {trajectory} trajectory, and idm reconstructs Cartesian k-space only",
            "grid it first, or use a reconstruction for this trajectory",
        )


def _without_namespaces(root: ElementTree.Element) -> None:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element, path: str, default: str) -> str:
    return (element.findtext(path) or "").strip() or default


def _space(encoding: ElementTree.Element, name: str) -> Space:
    matrix = [int(_text(encoding, f"{name}/matrixSize/{axis}", "")) for axis in "xyz"]
    field = [float(_text(encoding, f"{name}/fieldOfView_mm/{axis}", "0")) for axis in "xyz"]
    if not all(1 <= n <= MAX_SIDE for n in matrix):
        raise ValueError("a matrix size is out of range")
    return Space((matrix[0], matrix[1], matrix[2]), (field[0], field[1], field[2]))


def _limits(encoding: ElementTree.Element, name: str) -> Limits | None:
    element = encoding.find(f"encodingLimits/{name}")
    if element is None:
        return None
    values = [int(_text(element, key, "")) for key in ("minimum", "maximum", "center")]
    if not all(0 <= n <= MAX_SIDE for n in values):
        raise ValueError("a limit is out of range")
    return Limits(*values)
