"""From a sinogram and its geometry to a measurement."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions, Facts, Importer, ImportOptions
from idmcli.importing.ct.axis import find_axis
from idmcli.importing.ct.geometry import angles_of, fan_of, in_degrees, numbers_of
from idmcli.importing.ct.noise import noise_of
from idmcli.importing.ct.transmission import line_integrals, looks_like_intensities
from idmcli.importing.matrix import image_shape
from idmcli.io.formats import Numbers, Picture, Sinogram
from idmcli.io.formats.sinogram import AngleUnit, Fan, real_views
from idmcli.ranges import CountOrZero, Positive

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement
    from idmcli.operators import Tomography

WRITE_WHITE = "give the intensity without an object: --white FILE or a number; --white none for line integrals"
WRITE_AXIS = "give it: --axis auto, --axis CELLS counted from the first cell, or --axis middle"


@dataclass(frozen=True)
class SinogramImportOptions(ImportOptions):
    """The options for sinograms."""

    row: CountOrZero | None = None  # of the detector, from 0; not set: the only one
    angles: str | None = None  # START:STOP, a list, or a file; not set: the angles in the file
    angle_unit: AngleUnit | None = None  # not set: of the file, or degrees where radians are impossible
    axis: str | None = None  # "auto", "middle", or a position in cells from the first; not set: of the file
    fan: str | None = None  # SOD,SDD,PITCH[,OFFSET]; not set: of the file, or parallel beams
    views: Literal["rows", "columns"] | None = None  # of the array; not set: as many as there are angles
    white: str | None = None  # file or number, or "none" for line integrals; not set: of the file
    dark: str | None = None  # file or number; not set: of the file, or 0
    shape: tuple[int, ...] | None = None  # H,W of the image; not set: a square as wide as the detector
    pixel: Positive | None = None  # side, in detector cells at the axis; not set: the image is as wide as the detector


Content = TypeVar("Content")


class TomographyImporter(Importer[Content, SinogramImportOptions]):
    """Views of parallel or fan beams, on the pixel grid of ASTRA, ODL and TIGRE (``origin="middle"``)."""

    noun = "sinograms"
    options = SinogramImportOptions

    @abstractmethod
    def sinogram(self, content: Content, options: SinogramImportOptions, name: str) -> Sinogram:
        """The views one after the other, with the angles that the options or the file give.

        Raises:
            InputError: it is not known, or impossible, which axis of an array has the views.
        """

    def measure(
        self, content: Content, options: SinogramImportOptions, item: Item, assumptions: Assumptions
    ) -> Measurement:
        import torch

        from idmcli.measuring import Measurement

        name = repr(str(item))
        sinogram = self.sinogram(content, options, name)
        if sinogram.angles is None:
            raise InputError(f"{name} does not say the angles of its views", "give them: --angles START:STOP or FILE")
        degrees = in_degrees(sinogram.angles, options.angle_unit or sinogram.angle_unit, name)
        source = "from --angles" if options.angles else "from the file"
        assumptions.add(f"{len(degrees)} views from {degrees[0]:g} to {degrees[-1]:g} degrees, {source}")
        views = integrals_of(sinogram, options, name, assumptions)
        fan = fan_of(options.fan) if options.fan else sinogram.fan
        axis = axis_of(views, degrees, fan, options, sinogram.aligned, assumptions)
        operator = operator_of(views.shape[1], degrees, axis, fan, options, assumptions)
        noise = options.noise
        if noise is None:
            noise = noise_of(views)
            assumptions.add(f"noise {noise:.3g}, from differences of neighbouring cells")
        return Measurement(operator, torch.from_numpy(views)[None], noise, options.gain, bits=16)


class SinogramImporter(TomographyImporter[Sinogram]):
    """Files that say what their axes are."""

    content = Sinogram

    def facts(self, content: Sinogram) -> Facts:
        views, detectors = content.views.shape
        known: dict[str, Any] = {"views": views, "detectors": detectors, **content.facts}
        known["beam"] = "parallel" if content.fan is None else "fan"
        if content.fan is not None:
            known |= {key: value for key, value in content.fan._asdict().items() if value}
        known["values"] = "line integrals" if content.integrals else "intensities"
        missing = []
        if content.angles is None:
            missing.append("the angles (--angles)")
        else:
            known["angles"] = f"{content.angles[0]:g} to {content.angles[-1]:g} {content.angle_unit or ''}".strip()
        if content.integrals is False and content.white is None:
            missing.append("the intensity without an object (--white)")
        if not content.aligned:
            missing.append("the axis of rotation (--axis)")
        return Facts(known, tuple(missing))

    def part(self, item: Item, options: SinogramImportOptions) -> Item:
        if options.row is None:
            return item
        if item.number not in (None, options.row + 1):
            raise InputError(f"{str(item)!r} and --row {options.row} name two rows", "leave out one of them")
        return replace(item, number=options.row + 1)

    def sinogram(self, content: Sinogram, options: SinogramImportOptions, name: str) -> Sinogram:
        if options.views is not None:
            raise InputError(f"--views is for plain arrays, and {name} says what its axes are", "leave out --views")
        if options.angles is None:
            return content
        angles = angles_of(options.angles, len(content.views))
        check_count(angles, len(content.views), name)
        return replace(content, angles=angles, angle_unit=options.angle_unit)


class PlainImporter(TomographyImporter[Content]):
    """Plain arrays, of which the options say what they are."""

    claimed_by = ("angles", "fan", "axis")

    @abstractmethod
    def array(self, content: Content) -> NDArray[Any]:
        """The values."""

    def facts(self, content: Content) -> Facts:
        missing = ("the angles (--angles)", "the axis of rotation (--axis)")
        return Facts({"numbers": list(self.array(content).shape)}, missing)

    def sinogram(self, content: Content, options: SinogramImportOptions, name: str) -> Sinogram:
        if options.row is not None:
            raise InputError(f"--row is for scans of several rows, and {name} is one sinogram", "leave out --row")
        values = real_views(name, self.array(content))
        along = None if options.views is None else ("rows", "columns").index(options.views)
        if options.angles is None:
            return Sinogram(values if along in (0, None) else values.T.copy())
        angles = angles_of(options.angles, None if along is None else values.shape[along])
        if along is None:
            along = views_axis(values.shape, len(angles), name)
        check_count(angles, values.shape[along], name)
        return Sinogram(np.ascontiguousarray(values if along == 0 else values.T), angles=angles)


class ArrayImporter(PlainImporter[Numbers]):
    """Arrays of NumPy and MATLAB, and tables of text."""

    content = Numbers

    def array(self, content: Numbers) -> NDArray[Any]:
        return np.asarray(content.values)


class PictureImporter(PlainImporter[Picture]):
    """Sinograms that were saved as pictures: TIFF, PNG."""

    content = Picture

    def array(self, content: Picture) -> NDArray[Any]:
        return content.samples


def views_axis(shape: tuple[int, ...], angles: int, name: str) -> int:
    """The axis of an array that is as long as there are angles.

    Raises:
        InputError: there is no such axis, or both are.
    """
    if angles not in shape:
        raise InputError(
            f"{name} is {shape[0]} x {shape[1]}, and there are {angles} angles", "give one angle for each view"
        )
    if shape[0] == shape[1]:
        raise InputError(f"rows or columns of {name} may be its views", "say so: --views rows|columns")
    return shape.index(angles)


def check_count(angles: NDArray[np.float64], views: int, name: str) -> None:
    """InputError if there is not one angle for each view."""
    if len(angles) != views:
        raise InputError(f"{name} holds {views} views, and there are {len(angles)} angles", "give one for each view")


def integrals_of(
    sinogram: Sinogram, options: SinogramImportOptions, name: str, assumptions: Assumptions
) -> NDArray[np.float32]:
    """The line integrals of a sinogram, by -log where its values are intensities.

    Raises:
        InputError: the intensity without an object is not known, or a value is not finite.
    """
    if not np.isfinite(sinogram.views).all():
        raise InputError(f"{name} holds NaN or infinity", "replace such values")
    white = field_of("--white", options.white, sinogram.views.shape[1]) if options.white != "none" else None
    white = sinogram.white if options.white is None else white
    if white is None:
        doubtful = sinogram.integrals is None and looks_like_intensities(sinogram.views)
        if options.white is None and (sinogram.integrals is False or doubtful):
            raise InputError(f"{name} holds intensities, but not the intensity without an object", WRITE_WHITE)
        if options.dark is not None:
            raise InputError("--dark is for intensities", WRITE_WHITE)
        assumptions.add("the values are line integrals, -log already taken")
        return sinogram.views
    if sinogram.integrals:
        raise InputError(f"{name} holds line integrals, -log already taken", "leave out --white")
    dark = field_of("--dark", options.dark, sinogram.views.shape[1])
    dark = sinogram.dark if dark is None else dark
    if dark is None:
        assumptions.add("the reading without a beam is 0")
    integrals, lost = line_integrals(sinogram.views, white, 0.0 if dark is None else dark)
    if lost == integrals.size:
        raise InputError(f"{name}: no reading lies between dark and white", "check --white and --dark")
    of = "the file" if options.white is None else "--white"
    assumptions.add(f"-log of the share of the intensity without an object, from {of}")
    if lost:
        assumptions.add(f"{lost} readings of dead cells, or below the dark, were replaced")
    return integrals


def field_of(option: str, text: str | None, detectors: int) -> NDArray[np.float32] | None:
    """The value of --white or --dark for each cell: (frames, detectors); None if it is not given.

    Raises:
        InputError: it is no number, and no file of numbers for each cell.
    """
    if text is None:
        return None
    try:
        values = np.full(detectors, float(text))
    except ValueError:
        values = np.atleast_2d(numbers_of(option, text, WRITE_WHITE))
    if values.ndim > 2 or values.shape[-1] != detectors or not np.isfinite(values).all():
        raise InputError(
            f"{option} {text!r} does not hold {detectors} finite numbers, one for each cell", "give one frame, or more"
        )
    return np.atleast_2d(values).astype(np.float32)


def axis_of(
    views: NDArray[np.float32],
    degrees: NDArray[np.float64],
    fan: Fan | None,
    options: SinogramImportOptions,
    aligned: bool,
    assumptions: Assumptions,
) -> float:
    """The position that sees the axis of rotation, in cells from the first.

    Raises:
        InputError: it is not known, is given twice, or cannot be found.
    """
    middle = (int(views.shape[1]) - 1) / 2
    if options.axis is None:
        if fan is not None and (options.fan or aligned):
            axis = middle - fan.offset / fan.pitch
            assumptions.add(f"the axis of rotation is seen at cell {axis:g}; --axis auto looks for it")
            return axis
        raise InputError("the axis of rotation is not known", WRITE_AXIS)
    if fan is not None and fan.offset:
        raise InputError("--axis and the offset of --fan both say where the axis is", "leave out one of them")
    if options.axis == "middle":
        assumptions.add(f"the axis of rotation is seen in the middle of the detector, at cell {middle:g}")
        return middle
    if options.axis == "auto":
        axis = find_axis(views, degrees, math.inf if fan is None else fan.source_detector / fan.pitch)
        assumptions.add(f"the axis of rotation is seen at cell {axis:.2f}, where opposite views agree")
        return axis
    try:
        axis = float(options.axis)
    except ValueError:
        axis = math.nan
    if not 0 <= axis < views.shape[1]:
        raise InputError(f"--axis {options.axis} is no position on the detector", WRITE_AXIS)
    return axis


def operator_of(
    detectors: int,
    degrees: NDArray[np.float64],
    axis: float,
    fan: Fan | None,
    options: SinogramImportOptions,
    assumptions: Assumptions,
) -> Tomography:
    """The operator of the views.

    Raises:
        InputError: the size of the image is none, or the source lies inside the image.
    """
    from idmcli.operators import FanBeamCT, ParallelBeamCT

    shape = image_shape(options.shape or (detectors, detectors))
    if shape[0] != 1:
        raise InputError("a sinogram has one channel", "write --shape H,W")
    side = options.pixel or detectors / max(shape[1:])
    if fan is None:
        assumptions.add(f"parallel beams; {shape[1]} x {shape[2]} pixels of {side:g} detector cells")
        return ParallelBeamCT(shape, degrees, detectors=detectors, axis=axis, origin="middle", pitch=1 / side)
    pixel = side * fan.pitch * fan.source_axis / fan.source_detector
    assumptions.add(
        f"fan beams: source to axis {fan.source_axis:g}, to detector {fan.source_detector:g}, cells of "
        f"{fan.pitch:g} {fan.unit}".rstrip()
    )
    assumptions.add(f"{shape[1]} x {shape[2]} pixels of {pixel:.4g} {fan.unit}".rstrip())
    return FanBeamCT(
        shape,
        degrees,
        source_axis=fan.source_axis,
        source_detector=fan.source_detector,
        pitch=fan.pitch,
        pixel=pixel,
        detectors=detectors,
        axis=axis,
        origin="middle",
    )


SINOGRAM, ARRAY, PICTURE = SinogramImporter(), ArrayImporter(), PictureImporter()
