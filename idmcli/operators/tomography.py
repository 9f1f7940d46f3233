"""Parallel-beam computed tomography."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import linear_map
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, check_integer, is_integer, is_number
from idmcli.operators.joseph import Projector
from idmcli.operators.linear import Gram, LinearOperator
from idmcli.operators.spec import Specification
from idmcli.operators.stored import check_arrays

MAX_RAYS = 100_000  # views, and detectors


class ParallelBeamCTSpecification(Specification):
    """The angles are the number of views, or a list of degrees."""

    angles: int | list[Any]
    detectors: int | None = None


class ParallelBeamCT(LinearOperator):
    """``y``: line integrals in pixel units, (batch, C, views, detectors).

    Joseph's method: linear interpolation along each row, or each column, that a ray crosses. The view at
    angle t sees the pixel at column c and row r, counted from the centre (H // 2, W // 2), at the detector
    position ``c cos t - r sin t``, counted from detectors // 2 with one pixel between detectors: the
    convention of ``skimage.transform.radon``.

    Forward and adjoint both gather, with the same weights; the geometry is in float64, so that they match
    to its rounding and give the same result in every run on a device. A+ takes conjugate gradients.

    Args:
        image_shape: (C, H, W).
        angles: degrees, as a list, an array or a tensor; or the number of views, equally spaced over [0, 180).
        detectors: their number in each view; enough for the image's diagonal, ceil(sqrt(2) max(H, W)), if not given.

    Raises:
        InputError: no view, an angle that is not finite, no detector, or more than 100,000 of them.

    Example:
        >>> two_views = ParallelBeamCT((1, 3, 3), [0, 90], detectors=3)
        >>> two_views.A(torch.arange(1.0, 10).view(1, 1, 3, 3))
        tensor([[[[12., 15., 18.],
                  [24., 15.,  6.]]]])
    """

    kind = "ct"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: int | Sequence[float] | NDArray[Any] | Tensor,
        *,
        detectors: int | None = None,
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        self.angles = _number_or_degrees(angles)
        views = self.angles if isinstance(self.angles, int) else len(self.angles)
        degrees = [180 * k / views for k in range(views)] if isinstance(self.angles, int) else self.angles
        if detectors is None:
            detectors = math.ceil(math.sqrt(2) * max(height, width))
        detectors = check_integer("number of detectors", detectors, 1, MAX_RAYS)
        directions = [(math.cos(math.radians(a)), math.sin(math.radians(a))) for a in degrees]
        self._projector = Projector(directions, (height, width), detectors)
        self.measurement_shape = (channels, len(degrees), detectors)

    def A(self, x: Tensor) -> Tensor:
        return linear_map(x, self._project_rays, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        return linear_map(y, self._back_project, self._project_rays)

    def _project_rays(self, x: Tensor) -> Tensor:
        return self._projector.project(x.flatten(0, 1)).view(-1, *self.measurement_shape)

    def _back_project(self, y: Tensor) -> Tensor:
        return self._projector.back_project(y.flatten(0, 1)).view(-1, *self.image_shape)

    def smear(self, y: Tensor) -> Tensor:
        """Give each pixel the sum of every view's linearly interpolated value at its position: (B, \\*image_shape)."""
        self.check_measurements(y)
        return self._projector.smear(y.flatten(0, 1)).view(-1, *self.image_shape)

    def gram(self, y: Tensor) -> Gram:
        """A filter along the detectors with the gains ``L + 2 V / |w|``, w in radians per pixel.

        L, the length of a ray, is the gain of one view by itself. V views over 180 degrees blur the image by
        ``V / (pi |r|)``, whose gain 2 V / |w| is what they add where they overlap, at low frequencies.
        """
        views, detectors = self.measurement_shape[1:]
        frequency = 2 * math.pi * torch.fft.rfftfreq(detectors, dtype=y.dtype, device=y.device)
        gains = max(self.image_shape[1:]) + 2 * views / frequency.clamp_min(math.pi / detectors)
        return Gram(gains, torch.fft.rfft, lambda spectrum: torch.fft.irfft(spectrum, detectors))

    def to_spec(self) -> Spec:
        """``angles`` is the number of views, or the list of angles."""
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "angles": self.angles,
            "detectors": self.measurement_shape[2],
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = ParallelBeamCTSpecification.read(spec)
        check_arrays(read.kind, arrays, [])
        return cls(read.image_shape, read.angles, detectors=read.detectors)


def _number_or_degrees(angles: Any) -> int | list[float]:
    """The number of views, or the angle of each, as plain numbers of Python."""
    if isinstance(angles, Tensor | np.ndarray):
        angles = angles.tolist()
    if is_integer(angles) and 1 <= angles <= MAX_RAYS:
        return int(angles)
    if not isinstance(angles, Iterable) or not 1 <= len(degrees := list(islice(angles, MAX_RAYS + 1))) <= MAX_RAYS:
        raise InputError(f"the number of views is not from 1 to {MAX_RAYS}", "give their number, or their angles")
    try:
        found = [float(angle) for angle in degrees if is_number(angle)]
    except OverflowError:
        found = []
    if len(found) < len(degrees) or not all(map(math.isfinite, found)):
        raise InputError("an angle is not a finite number", "give the angles in degrees")
    return found
