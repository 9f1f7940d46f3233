"""Magnetic resonance imaging: some points of the Fourier transform are known, for one coil or several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import prod
from typing import Any, Literal, Self, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.conjugate_gradient import Solution
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_finite, check_fraction, check_image_shape, tensor_of
from idmcli.operators.linear import LinearOperator, Parted
from idmcli.operators.masks import KSPACE_MASKS, check_mask, make_mask
from idmcli.operators.spec import Specification
from idmcli.operators.stored import check_arrays, check_digest, digest, restored, storable

DC = Literal["corner", "centre"]
CENTRE = 0.08  # cycles per pixel, up to which k-space is never held out
FEWEST_HELD_OUT = 64  # points, from which something can be told


class MRISpecification(Specification):
    """The mask is a description, or ``{"type": "given"}`` where it is among the arrays. So are the maps of coils."""

    mask: dict[str, Any]
    complex_image: bool = False
    coils: int | None = None
    dc: DC = "corner"
    mask_sha256: str | None = None


class MRI(LinearOperator):
    """``y_c = M F (S_c x)``: the M sampled points of each coil's orthonormal DFT, complex, (batch, coils, M).

    F is numpy's ``fft2(x, norm="ortho")``, whose zero frequency (DC) is at the corner [0, 0]. The points are in
    row-major order of that layout, ``y = k[mask]``. With ``dc = "centre"`` they belong to ``fftshift(k)``: both
    the given mask and the order of y have DC at [H // 2, W // 2]. The image is not shifted: from k-space that was
    computed as ``fftshift(fft2(ifftshift(x)))`` comes ``ifftshift(x)``.

    A single coil without S has a closed-form A+. For a real image ``A^T A`` is a circulant matrix with the
    eigenvalues ``(m(k) + m(-k)) / 2``, so A is tight if the mask is conjugate-symmetric; otherwise a point
    whose mirror image is missing counts twice in A+. For a complex image A is always tight. With
    sensitivity maps A+ takes conjugate gradients.

    Args:
        image_shape: (1, H, W).
        mask: (H, W), 1 = sampled; or its description, ``{"type": "equispaced" | "random", "acceleration": 4,
            "centre_fraction": 0.08}`` (with "seed" if random) or ``{"type": "radial", "lines" or "fraction": ...}``.
        dc: where DC is, "corner" or "centre", in a mask given as a tensor and in the layout that orders y.
        complex_image: whether x is complex; otherwise it is real and the adjoint takes the real part.
        sensitivity: (coils, H, W), complex.

    Raises:
        InputError: the mask keeps nothing, is not binary, or does not fit; the maps do not fit.

    Example:
        >>> middle = torch.zeros(4, 4)
        >>> middle[2, 1:] = 1
        >>> MRI((1, 4, 4), middle, dc="centre").A(torch.ones(1, 1, 4, 4)).real
        tensor([[[0., 4., 0.]]])
    """

    kind = "mri"
    complex_measurements = True
    mask: Tensor
    index: Tensor
    sensitivity: Tensor | None

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        mask: Tensor | NDArray[Any] | Mapping[str, Any],
        *,
        dc: DC = "corner",
        complex_image: bool = False,
        sensitivity: Tensor | NDArray[Any] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        if channels != 1:
            raise InputError(f"the image has {channels} channels", "MRI measures one channel: use a grey image")
        if dc not in get_args(DC):
            raise InputError(f"the DC convention is {dc!r}", "it must be 'corner' or 'centre'")
        self.dc = dc
        self.complex_image = complex_image
        if isinstance(mask, Mapping):
            self.description, sampled = dict(mask), make_mask(mask, (height, width), KSPACE_MASKS)
        else:
            self.description, sampled = {"type": "given"}, check_mask(tensor_of(mask), (height, width))
            sampled = torch.fft.ifftshift(sampled) if dc == "centre" else sampled
        points = torch.arange(height * width, device=sampled.device).view(height, width)
        self.register_buffer("mask", sampled, persistent=False)
        self.register_buffer("index", self._in_layout(points)[self._in_layout(sampled)], persistent=False)
        if sensitivity is not None:
            sensitivity = tensor_of(sensitivity)
            _check_sensitivity(sensitivity, (height, width))
        self.register_buffer("sensitivity", sensitivity, persistent=False)
        self.measurement_shape = (1 if sensitivity is None else len(sensitivity), len(self.index))
        symmetric = bool((sampled == _negate_frequencies(sampled)).all())
        self.tight = sensitivity is None and (complex_image or symmetric)

    def _in_layout(self, points: Tensor) -> Tensor:
        """Points of k-space (H, W) with DC at the corner, in the layout that orders y."""
        return torch.fft.fftshift(points) if self.dc == "centre" else points

    def A(self, x: Tensor) -> Tensor:
        coils = x if self.sensitivity is None else x * self.sensitivity.to(x.dtype.to_complex())
        kspace: Tensor = torch.fft.fft2(coils, norm="ortho")
        return kspace.flatten(2).index_select(2, self.index)

    def AT(self, y: Tensor) -> Tensor:
        return self._image(self._zero_filled(y))

    def _zero_filled(self, y: Tensor) -> Tensor:
        """M^T: k-space (batch, coils, H, W), zero where not sampled."""
        _, height, width = self.image_shape
        zeros = y.new_zeros(*y.shape[:2], height * width)
        return zeros.index_copy(2, self.index, y).view(*y.shape[:2], height, width)

    def _image(self, kspace: Tensor) -> Tensor:
        """``sum_c conj(S_c) F^H k_c``, its real part for real images."""
        x: Tensor = torch.fft.ifft2(kspace, norm="ortho")
        if self.sensitivity is not None:
            x = (self.sensitivity.to(x.dtype).conj() * x).sum(1, keepdim=True)
        return x if self.complex_image else x.real

    def solve(self, y: Tensor, **options: Any) -> Solution:
        if self.tight or self.sensitivity is not None:
            return super().solve(y, **options)
        self.check_measurements(y)
        eigenvalues = (self.mask.to(y.real.dtype) + _negate_frequencies(self.mask).to(y.real.dtype)) / 2
        weights = torch.where(eigenvalues > 0, 1 / eigenvalues.clamp(min=0.5), 0)
        return Solution(self._image(weights * self._zero_filled(y)), 0, 0.0, True)

    def hold_out(self, share: float) -> Parted | None:
        """Whole lines if lines are sampled, otherwise points; with their mirror images, and none near the centre.

        They are not typical: a mask measures most where spectra are strong.

        None of several coils: each point is a mixture of many then, and little is left to guess.
        """
        if self.sensitivity is not None:
            return None
        height, width = self.mask.shape
        rows, columns = (torch.fft.fftfreq(n, device=self.mask.device) for n in (height, width))
        drawn = torch.rand(height, width, generator=torch.Generator().manual_seed(0)).to(rows) < share
        if bool((self.mask == self.mask[:1]).all()):
            drawn, outside = drawn[:1].expand(height, width), columns.abs() > CENTRE
        elif bool((self.mask == self.mask[:, :1]).all()):
            drawn, outside = drawn[:, :1].expand(height, width), rows[:, None].abs() > CENTRE
        else:
            outside = torch.hypot(rows[:, None], columns) > CENTRE
        held = self.mask & outside & (drawn | _negate_frequencies(drawn))
        if int(held.sum()) < FEWEST_HELD_OUT:
            return None
        others = MRI(
            self.image_shape,
            self._in_layout(self.mask & ~held),
            dc=self.dc,
            complex_image=self.complex_image,
        )
        lost = held.flatten()[self.index]
        return Parted(others, (..., ~lost), (..., lost), typical=False)

    def arrays(self) -> Mapping[str, Tensor]:
        arrays = {"mask": self._in_layout(self.mask)} if self.description["type"] == "given" else {}
        if self.sensitivity is not None:
            arrays["sensitivity"] = storable(self.sensitivity)
        return arrays

    def to_spec(self) -> Spec:
        """``coils`` is null for a single coil; otherwise the sensitivity maps are among the arrays. ``dc`` is there if
        it is "centre".
        """
        spec = {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "mask": dict(self.description),
            "complex_image": self.complex_image,
            "coils": None if self.sensitivity is None else len(self.sensitivity),
            "mask_sha256": digest(self._in_layout(self.mask)),
        }
        return spec if self.dc == "corner" else {**spec, "dc": self.dc}

    @classmethod
    def fewest_measurements(cls, spec: Mapping[str, Any]) -> int:
        """The arrays of a radial mask by its fraction, which takes long to draw."""
        read = MRISpecification.read(spec)
        if (fraction := read.mask.get("fraction")) is None:
            return 1
        return math.ceil(check_fraction("kept fraction", fraction) * prod(read.image_shape)) * (read.coils or 1)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = MRISpecification.read(spec)
        given = read.mask.get("type") == "given"
        expected = [*(["mask"] if given else []), *([] if read.coils is None else ["sensitivity"])]
        check_arrays(read.kind, arrays, expected)
        sensitivity = restored(arrays["sensitivity"], 3) if "sensitivity" in arrays else None
        if sensitivity is not None and sensitivity.shape[:1] != (read.coils,):
            raise InputError(
                f"the mri specification has {read.coils} coils, and the maps have shape {tuple(sensitivity.shape)}",
                "correct 'coils'",
            )
        operator = cls(
            read.image_shape,
            arrays["mask"] if given else read.mask,
            dc=read.dc,
            complex_image=read.complex_image,
            sensitivity=sensitivity,
        )
        check_digest("mask", read.mask_sha256, operator._in_layout(operator.mask))
        return operator


def _negate_frequencies(mask: Tensor) -> Tensor:
    """``m(-k)``, DC at the corner, any size."""
    return mask.flip(0, 1).roll((1, 1), (0, 1))


def _check_sensitivity(sensitivity: Tensor, shape: tuple[int, int]) -> None:
    if sensitivity.ndim != 3 or tuple(sensitivity.shape[1:]) != shape or not sensitivity.is_complex():
        raise InputError(
            f"the sensitivity maps have shape {tuple(sensitivity.shape)} and type {sensitivity.dtype}",
            f"they must be complex, (coils, {shape[0]}, {shape[1]})",
        )
    check_finite("sensitivity", sensitivity)
