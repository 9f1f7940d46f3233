"""Blur: convolution with a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, tensor_of
from idmcli.operators.convolution import (
    check_boundary,
    convolution_matrix,
    convolve,
    convolve_adjoint,
    mirrored_filter,
    mirrored_response,
    transfer_function,
)
from idmcli.operators.kernels import check_kernel, gaussian_kernel
from idmcli.operators.linear import LinearOperator, Spectrum
from idmcli.operators.spec import Specification, make_described
from idmcli.operators.spectra import fourier_spectrum, kronecker_spectrum
from idmcli.operators.stored import check_arrays, check_digest, digest

LONGEST_DECOMPOSED = 2048  # pixels: the decomposition of a line takes their cube


class BlurSpecification(Specification):
    """The kernel is a description, or ``{"type": "given"}`` where it is among the arrays."""

    kernel: dict[str, Any]
    boundary: str = "reflect"
    kernel_sha256: str | None = None


class Blur(LinearOperator):
    """``y = k * x``, (batch, C, H, W) like x: a point becomes the kernel, whose centre is (K // 2, L // 2).

    Beyond its edges the image is mirrored without repeating them ("reflect", on which DPS, ReSample and their
    followers compare), or continues at the other side ("circular", as for DPIR and DiffPIR).

    A+ and the regularised inverse have a closed form for circular boundaries, by Fourier's transform. They also have
    one for kernels that are the product of a column and a row, as a Gaussian is, by the decompositions of the two,
    which take images of at most 2048 x 2048 pixels. Singular values below a thousandth of the largest count as not
    measured. Other kernels with reflecting boundaries take conjugate gradients. For kernels that are symmetric along
    each axis the cosine transform preconditions those of the regularised inverse, at any size.

    Args:
        image_shape: (C, H, W).
        kernel: (K, L), >= 0; its sum is made 1. Or ``{"type": "gaussian", "size": 61, "std": 3.0}``.
        boundary: "reflect" or "circular".

    Raises:
        InputError: the kernel or the boundary is none.

    Example:
        >>> blur = Blur((1, 3, 4), torch.tensor([[1.0, 2.0, 1.0]]))
        >>> blur.A(torch.tensor([[[[0.0, 4.0, 0.0, 0.0]] * 3]]))[0, 0, 0]
        tensor([2., 2., 1., 0.])
    """

    kind = "deblur"
    unknown_name = "std"
    kernel: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        kernel: Tensor | NDArray[Any] | Mapping[str, Any],
        *,
        boundary: str = "reflect",
    ) -> None:
        super().__init__()
        self.image_shape = self.measurement_shape = check_image_shape(image_shape)
        check_boundary(boundary)
        self.boundary = boundary
        if isinstance(kernel, Mapping):
            self.description, made = dict(kernel), make_described("kernel", kernel, {"gaussian": gaussian_kernel})
        else:
            self.description, made = {"type": "given"}, tensor_of(kernel)
        self.register_buffer("kernel", check_kernel(made), persistent=False)

    def A(self, x: Tensor) -> Tensor:
        return convolve(x, self.kernel, self.boundary)

    def AT(self, y: Tensor) -> Tensor:
        return convolve_adjoint(y, self.kernel, self.boundary)

    def spectrum(self) -> Spectrum | None:
        return self._decomposition

    @cached_property
    def _decomposition(self) -> Spectrum | None:
        channels, height, width = self.image_shape
        if self.boundary == "circular":
            return fourier_spectrum(transfer_function(self.kernel, (height, width)), channels)
        if max(height, width) > LONGEST_DECOMPOSED:
            return None
        u, s, v = torch.linalg.svd(self.kernel, full_matrices=False)
        if s[1:].sum() > 1e-12 * s[0]:
            return None
        rows = convolution_matrix(u[:, 0] * s[0], height, self.boundary)
        return kronecker_spectrum(rows, convolution_matrix(v[0], width, self.boundary), channels)

    def near_inverse(self, r: Tensor, rho: Tensor | float) -> Tensor:
        """``(G F (1 + rho S^2) F^T G)^-1`` with the cosine transform F and eigenvalues S of a symmetric kernel.

        The blur is ``G^-1 F S F^T G``, where G is 1 inside the image, ``1 / sqrt 2`` at its edges and 1 / 2 in its
        corners: F is orthonormal only for pixels that count by ``G^2``. The true inverse is within a factor of 16.
        """
        if self._mirrored is None:
            return r
        at_edges = r.clone()
        for axis in (-2, -1):
            if r.shape[axis] > 1:
                at_edges.select(axis, 0).mul_(2)
                at_edges.select(axis, -1).mul_(2)
        return mirrored_filter(at_edges, 1 / (1 + rho * self._mirrored.to(r) ** 2))

    @cached_property
    def _mirrored(self) -> Tensor | None:
        """The eigenvalues of the blur; None unless the image is mirrored and the kernel symmetric along each axis."""
        rows, columns = self.kernel.shape
        even = rows % 2 == 0 or columns % 2 == 0
        gap = max(float((self.kernel - self.kernel.flip(axis)).abs().max()) for axis in (0, 1))
        if self.boundary != "reflect" or even or gap > 1e-9 * float(self.kernel.max()):
            return None
        return mirrored_response(self.kernel, self.image_shape[1:])

    @property
    def unknown(self) -> float | None:
        """The standard deviation of a Gaussian."""
        return float(self.description["std"]) if self.description["type"] == "gaussian" else None

    def with_unknown(self, value: float) -> Self:
        return type(self)(self.image_shape, {**self.description, "std": value}, boundary=self.boundary).to(self.kernel)

    def arrays(self) -> Mapping[str, Tensor]:
        return {"kernel": self.kernel} if self.description["type"] == "given" else {}

    def to_spec(self) -> Spec:
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "kernel": dict(self.description),
            "boundary": self.boundary,
            "kernel_sha256": digest(self.kernel) if self.description["type"] == "given" else None,
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = BlurSpecification.read(spec)
        given = read.kernel.get("type") == "given"
        check_arrays(read.kind, arrays, ["kernel"] if given else [])
        kernel = arrays["kernel"] if given else read.kernel
        if isinstance(kernel, Tensor):
            check_digest("kernel", read.kernel_sha256, kernel)
        return cls(read.image_shape, kernel, boundary=read.boundary)
