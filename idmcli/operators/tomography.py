"""Computed tomography: parallel beams."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import linear_map
from idmcli.operators.angles import number_or_degrees, shares, surround
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, check_integer, check_positive, is_number, shown
from idmcli.operators.linear import Gram, LinearOperator, Parted
from idmcli.operators.projector import Projector
from idmcli.operators.rays import ParallelRays, Rays
from idmcli.operators.spec import Specification
from idmcli.operators.stored import check_arrays

MAX_DETECTORS = 100_000
PIXELS_PER_VALUE = 10_000  # that a measured number may stand for; with more, an image is mostly made up
FEWEST_HELD_OUT = 2  # views, from which something can be told
Origin = Literal["pixel", "middle"]


class TomographySpecification(Specification):
    """The angles are the number of views, or a list of degrees."""

    angles: int | list[Any]
    detectors: int | None = None
    axis: float | None = None
    origin: Origin = "pixel"


class ParallelBeamCTSpecification(TomographySpecification):
    """The pitch is in pixels."""

    pitch: float = 1.0


class Tomography(LinearOperator):
    """``y``: line integrals in pixel units, (batch, C, views, detectors).

    Rays are sampled by Joseph's method: linear interpolation along each row, or each column, that a ray crosses.
    Forward and adjoint have the same weights; the geometry is in float64, so that they match to its rounding and give
    the same result in every run on a device. A+ takes conjugate gradients.

    A subclass says where the rays of a view run. These parameters are common to all subclasses:

    Args:
        image_shape: (C, H, W).
        angles: degrees, as a list, an array or a tensor; or the number of views, equally spaced over :attr:`turn`.
        detectors: their number in each view.
        axis: the position on the detector that sees the axis of rotation, in cells from the first one. If not given,
            the middle of the detector as ``origin`` has it.
        origin: where the axis of rotation runs through the image, and where the middle of the detector is: "pixel" has
            it in pixel (H // 2, W // 2) and cell detectors // 2, as scikit-image does; "middle" between pixels where
            their number is even, at ((H - 1) / 2, (W - 1) / 2) and (detectors - 1) / 2, as ASTRA, ODL and TIGRE do.

    Attributes:
        turn: the angle in degrees over which all is seen.
        period: the angle in degrees after which views repeat.
    """

    turn: ClassVar[float]
    period: ClassVar[float]

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: int | Sequence[float] | NDArray[Any] | Tensor,
        detectors: int,
        axis: float | None,
        origin: Origin,
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        self.angles = number_or_degrees(angles)
        detectors = check_integer("number of detectors", detectors, 1, MAX_DETECTORS)
        if origin not in ("pixel", "middle"):
            raise InputError(f"the origin is {shown(origin)}", 'it must be "pixel" or "middle"')
        if axis is not None and not (is_number(axis) and math.isfinite(axis)):
            raise InputError(f"the axis of rotation is {shown(axis)}", "it must be a number, in cells from the first")
        self.origin: Origin = origin
        self.axis = middle_of(detectors, origin) if axis is None else float(axis)
        self.measurement_shape = (channels, len(self.degrees), detectors)
        if height * width > PIXELS_PER_VALUE * len(self.degrees) * detectors:
            raise InputError(
                f"{len(self.degrees)} x {detectors} rays are too few for {height} x {width} pixels",
                "measure more, or make the image smaller",
            )

    @cached_property
    def degrees(self) -> list[float]:
        """The angle of each view."""
        if not isinstance(self.angles, int):
            return self.angles
        return [self.turn * k / self.angles for k in range(self.angles)]

    @property
    @abstractmethod
    def rays(self) -> Rays:
        """The rays of one view."""

    @property
    @abstractmethod
    def ray_weights(self) -> NDArray[np.float64]:
        """The weight of each ray in filtered back-projection, (views, detectors) or (views, 1): the angle that it
        stands for, in radians, and whatever the geometry asks for.
        """

    @cached_property
    def _projector(self) -> Projector:
        shape = self.image_shape[1:]
        grid = shape if self.origin == "middle" else (2 * (shape[0] // 2) + 1, 2 * (shape[1] // 2) + 1)
        return Projector(self.rays, self.degrees, shape, grid)

    def A(self, x: Tensor) -> Tensor:
        return linear_map(x, self._project_rays, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        return linear_map(y, self._back_project, self._project_rays)

    def _project_rays(self, x: Tensor) -> Tensor:
        return self._projector.project(x.flatten(0, 1)).view(-1, *self.measurement_shape)

    def _back_project(self, y: Tensor) -> Tensor:
        return self._projector.back_project(y.flatten(0, 1)).view(-1, *self.image_shape)

    def smear(self, y: Tensor) -> Tensor:
        """Give each pixel the sum of every view's linearly interpolated value at its position, weighted as the geometry
        asks for: (B, \\*image_shape).
        """
        self.check_measurements(y)
        return self._projector.smear(y.flatten(0, 1)).view(-1, *self.image_shape)

    def gram(self, y: Tensor) -> Gram:
        """A filter along the detectors with the gains ``L / p + 2 V / |w|``, w in radians per cell.

        One view by itself has the gain L / p, the length of a ray over the distance p of two rays. V views over 180
        degrees blur the image by ``V / (pi p |r|)``. Its gain ``2 V / |w|`` is added where views overlap, at low
        frequencies; views over a smaller angle are denser there.
        """
        views, detectors = self.measurement_shape[1:]
        covered = min(float(shares(self.degrees, self.period).sum()), math.pi)
        frequency = 2 * math.pi * torch.fft.rfftfreq(detectors, dtype=y.dtype, device=y.device)
        overlap = 2 * views * math.pi / covered / frequency.clamp_min(math.pi / detectors)
        gains = max(self.image_shape[1:]) / self.rays.spacing + overlap
        return Gram(gains, torch.fft.rfft, lambda spectrum: torch.fft.irfft(spectrum, detectors))

    def hold_out(self, share: float) -> Parted | None:
        """Whole views, one from each of as many neighbourhoods of angles; typical if all were seen around the turn."""
        count = round(share * len(self.degrees))
        if count < FEWEST_HELD_OUT:
            return None
        rng = np.random.default_rng(0)
        order = np.argsort(np.mod(self.degrees, self.period), kind="stable")
        held = torch.zeros(len(self.degrees), dtype=torch.bool)
        held[[int(rng.choice(part)) for part in np.array_split(order, count)]] = True
        angles = [angle for angle, lost in zip(self.degrees, held.tolist(), strict=True) if not lost]
        others = self.from_spec({**self.to_spec(), "angles": angles}, {})
        typical = surround(self.degrees, self.period)
        return Parted(others, (..., ~held, slice(None)), (..., held, slice(None)), typical)

    def to_spec(self) -> Spec:
        """``angles`` is the number of views, or the list of angles; what is as it is by default is left out."""
        detectors = self.measurement_shape[2]
        spec: Spec = {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "angles": self.angles,
            "detectors": detectors,
        }
        if self.origin != "pixel":
            spec["origin"] = self.origin
        if self.axis != middle_of(detectors, self.origin):
            spec["axis"] = self.axis
        return spec


class ParallelBeamCT(Tomography):
    """Parallel beams: see :class:`Tomography` for ``y``, for how rays are sampled, and for ``axis`` and ``origin``.

    The view at angle t sees the pixel at column c and row r, counted from the axis of rotation, at the detector
    position ``axis + (c cos t - r sin t) / pitch``: the convention of ``skimage.transform.radon``.

    Args:
        image_shape: (C, H, W).
        angles: degrees, as a list, an array or a tensor; or the number of views, equally spaced over [0, 180).
        detectors: their number in each view; enough for the image's diagonal, ceil(sqrt(2) max(H, W)) for a pitch of
            one pixel, if not given.
        axis: the position that sees the axis of rotation, in cells from the first; see :class:`Tomography`.
        origin: where the axis of rotation runs through the image; see :class:`Tomography`.
        pitch: distance of two detectors, in pixels.

    Raises:
        InputError: no view, an angle that is not finite, no detector, more than 100,000 of them, or another parameter
            is out of range.

    Example:
        >>> two_views = ParallelBeamCT((1, 3, 3), [0, 90], detectors=3)
        >>> two_views.A(torch.arange(1.0, 10).view(1, 1, 3, 3))
        tensor([[[[12., 15., 18.],
                  [24., 15.,  6.]]]])
    """

    kind = "ct"
    turn = period = 180.0

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: int | Sequence[float] | NDArray[Any] | Tensor,
        *,
        detectors: int | None = None,
        axis: float | None = None,
        origin: Origin = "pixel",
        pitch: float = 1.0,
    ) -> None:
        self.pitch = check_positive("distance of two detectors", pitch)
        if detectors is None:
            detectors = math.ceil(math.sqrt(2) * max(check_image_shape(image_shape)[1:]) / self.pitch)
        super().__init__(image_shape, angles, detectors, axis, origin)

    @property
    def rays(self) -> ParallelRays:
        return ParallelRays(self.measurement_shape[2], self.axis, self.pitch)

    @property
    def ray_weights(self) -> NDArray[np.float64]:
        return shares(self.degrees, self.period)[:, None] / self.pitch

    def to_spec(self) -> Spec:
        return super().to_spec() | ({} if self.pitch == 1 else {"pitch": self.pitch})

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = ParallelBeamCTSpecification.read(spec)
        check_arrays(read.kind, arrays, [])
        return cls(
            read.image_shape,
            read.angles,
            detectors=read.detectors,
            axis=read.axis,
            origin=read.origin,
            pitch=read.pitch,
        )


def middle_of(cells: int, origin: Origin) -> float:
    """The position that counts as the middle of so many cells."""
    return cells // 2 if origin == "pixel" else (cells - 1) / 2
