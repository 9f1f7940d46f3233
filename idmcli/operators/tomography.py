"""Parallel-beam computed tomography."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import linear_map
from idmcli.operators.base import Gram, LinearOperator, Spec
from idmcli.operators.joseph import Projector
from idmcli.operators.spec import check_arrays, check_image_shape, check_keys

MAX_RAYS = 100_000  # views, and detectors


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
        angles: degrees; or the number of views, equally spaced over [0, 180).
        detectors: number per view; enough for the image's diagonal, ceil(sqrt(2) max(H, W)), if not given.

    Raises:
        InputError: no view, an angle that is not finite, no detector, or more than 100,000 of them.
    """

    kind = "ct"
    tight = False

    def __init__(
        self, image_shape: tuple[int, int, int], angles: int | Sequence[float], *, detectors: int | None = None
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        count = angles if isinstance(angles, int) else len(angles)
        if isinstance(angles, bool) or not 1 <= count <= MAX_RAYS:
            raise InputError(f"the number of views is not from 1 to {MAX_RAYS}", "give their number, or their angles")
        degrees = [180 * k / count for k in range(count)] if isinstance(angles, int) else list(angles)
        if not all(isinstance(a, int | float) and abs(a) <= sys.float_info.max for a in degrees):
            raise InputError("an angle is not a finite number", "give the angles in degrees")
        self.angles = angles if isinstance(angles, int) else [float(a) for a in angles]
        if detectors is None:
            detectors = math.ceil(math.sqrt(2) * max(height, width))
        if isinstance(detectors, bool) or not isinstance(detectors, int) or not 1 <= detectors <= MAX_RAYS:
            raise InputError(f"the number of detectors is {detectors!r}", f"it must be from 1 to {MAX_RAYS}")
        directions = [(math.cos(math.radians(a)), math.sin(math.radians(a))) for a in degrees]
        self._projector = Projector(directions, (height, width), detectors)
        self.measurement_shape = (channels, len(degrees), detectors)

    def A(self, x: Tensor) -> Tensor:
        self.check_image(x)
        return linear_map(x, self._project_rays, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        self.check_measurements(y)
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
        name = "ct specification"
        required = {"kind": (str,), "image_shape": (list,), "angles": (int, list)}
        check_keys(name, spec, required, {"detectors": (int, None)})
        check_arrays(name, arrays, [])
        return cls(check_image_shape(spec["image_shape"]), spec["angles"], detectors=spec.get("detectors"))
