"""Computed tomography: fan beams and a flat detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.angles import coverage, shares
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, check_positive
from idmcli.operators.rays import FanRays
from idmcli.operators.stored import check_arrays
from idmcli.operators.tomography import Origin, Tomography, TomographySpecification


class FanBeamCTSpecification(TomographySpecification):
    """Distances are in the unit of ``pixel``."""

    source_axis: float
    source_detector: float
    pitch: float
    pixel: float


class FanBeamCT(Tomography):
    """Fan beams: see :class:`Tomography` for ``y``, for how rays are sampled, and for ``axis`` and ``origin``.

    Column c and row r of a pixel are counted from the axis of rotation, in the unit of the distances. In the view at
    angle t the source is at ``-source_axis (sin t, cos t)``, and a pixel with ``a = c cos t - r sin t`` and
    ``b = c sin t + r cos t`` is seen at the detector position ``axis + a source_detector / (source_axis + b) / pitch``.
    With a far source this is :class:`ParallelBeamCT`.

    Args:
        image_shape: (C, H, W).
        angles: degrees, as a list, an array or a tensor; or the number of views, equally spaced over [0, 360).
        source_axis: distance of the source from the axis of rotation, in any unit.
        source_detector: distance of the source from the detector, in the same unit.
        pitch: distance of two detectors, in the same unit.
        pixel: side of a pixel, in the same unit; ``pitch * source_axis / source_detector``, a detector as it is seen at
            the axis, if not given.
        detectors: their number in each view; enough for the image's diagonal if not given.
        axis: the position that the ray through the axis of rotation hits, in cells from the first; see
            :class:`Tomography`. A detector that is shifted by s has it at its middle minus s / pitch.
        origin: where the axis of rotation runs through the image; see :class:`Tomography`.

    Raises:
        InputError: no view, an angle that is not finite, no detector, more than 100,000 of them, the source is inside
            the image or behind the detector, or another parameter is out of range.

    Example:
        >>> import torch
        >>> far = FanBeamCT((1, 3, 3), [0, 90], source_axis=1e9, source_detector=1e9, pitch=1, detectors=3)
        >>> far.A(torch.arange(1.0, 10).view(1, 1, 3, 3)).round()
        tensor([[[[12., 15., 18.],
                  [24., 15.,  6.]]]])
    """

    kind = "fan"
    turn = period = 360.0

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: int | Sequence[float] | NDArray[Any] | Tensor,
        *,
        source_axis: float,
        source_detector: float,
        pitch: float,
        pixel: float | None = None,
        detectors: int | None = None,
        axis: float | None = None,
        origin: Origin = "pixel",
    ) -> None:
        self.source_axis = check_positive("distance of source and axis", source_axis)
        self.source_detector = check_positive("distance of source and detector", source_detector)
        self.pitch = check_positive("distance of two detectors", pitch)
        seen = self.pitch * self.source_axis / self.source_detector
        self.pixel = seen if pixel is None else check_positive("side of a pixel", pixel)
        _, height, width = check_image_shape(image_shape)
        radius = self.pixel * (math.hypot(height, width) / 2 + 1)
        if not radius < self.source_axis <= self.source_detector:
            raise InputError(
                f"the source is {self.source_axis:g} from the axis and {self.source_detector:g} from the detector, and "
                f"the image reaches {radius:g} from the axis",
                "the source must be outside the image, and the axis between source and detector: check the unit",
            )
        if detectors is None:
            reach = self.source_detector * radius / math.sqrt(self.source_axis**2 - radius**2)
            detectors = math.ceil(2 * reach / self.pitch)
        super().__init__(image_shape, angles, detectors, axis, origin)

    @property
    def rays(self) -> FanRays:
        lengths = (length / self.pixel for length in (self.source_axis, self.source_detector, self.pitch))
        return FanRays(self.measurement_shape[2], self.axis, *lengths)

    @property
    def ray_weights(self) -> NDArray[np.float64]:
        """The angle that a view stands for, times ``cos g`` at the angle g from the central ray, times the share of the
        ray among those along the same line, ``w(t) / (w(t) + w(t + 2 g + 180))`` (Noo et al., Phys. Med. Biol. 47,
        2002, Eq. 32), over the distance of two rays at the axis.
        """
        rays, degrees = self.rays, np.asarray(self.degrees)[:, None]
        g = np.arctan2(rays.across, rays.source_detector)
        own, opposite = (coverage(self.degrees, self.period, at) for at in (degrees, degrees + 2 * np.degrees(g) + 180))
        return shares(self.degrees, self.period)[:, None] * np.cos(g) * own / (own + opposite) / rays.spacing

    def to_spec(self) -> Spec:
        lengths = ("source_axis", "source_detector", "pitch", "pixel")
        return super().to_spec() | {name: getattr(self, name) for name in lengths}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = FanBeamCTSpecification.read(spec)
        check_arrays(read.kind, arrays, [])
        return cls(
            read.image_shape,
            read.angles,
            source_axis=read.source_axis,
            source_detector=read.source_detector,
            pitch=read.pitch,
            pixel=read.pixel,
            detectors=read.detectors,
            axis=read.axis,
            origin=read.origin,
        )
