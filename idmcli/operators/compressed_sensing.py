"""Block compressed sensing with orthonormal Gaussian rows and an optional global permutation of the pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import linear_map
from idmcli.operators.base import Spec
from idmcli.operators.blocks import from_blocks, next_multiples, to_blocks
from idmcli.operators.checks import check_fraction, check_image_shape, check_integer, check_seed, tensor_of
from idmcli.operators.gaussian import orthonormal_rows
from idmcli.operators.linear import LinearOperator, Spectrum
from idmcli.operators.spec import Specification
from idmcli.operators.spectra import completed
from idmcli.operators.stored import check_arrays, check_digest, digest

MAX_BLOCK = 64  # pixels of a side


class CompressedSensingSpecification(Specification):
    """The seed is null where phi is among the arrays. The permutation is "given" where its indices are."""

    ratio: float
    block: int = 32
    seed: int | None = 0
    permutation: str = "global"
    permutation_seed: int | list[Any] | None = None
    phi_sha256: str | None = None
    permutation_sha256: str | None = None


class CompressedSensing(LinearOperator):
    """``y = Phi P x``: each vector of B^2 pixels of the zero-padded image is measured by the same q rows.

    P is a permutation of all pixels of the padded image, cut into consecutive vectors ("global", the
    structurally random operator of Chen et al., TPAMI 2025), or the B x B blocks of the image in
    row-major order ("none"). Channels share Phi. They also share P unless each has a permutation of its own: then the
    errors of A^T y are independent, and a prior for colours can tell them from the image. y is (batch, C, vectors, q),
    q = ceil(ratio B^2).

    The domain is the unpadded image. Without padding A A^T = I; with padding the operator is not tight
    and A+ takes a few conjugate gradient iterations, while :meth:`padded` is tight in both cases.
    Phi is kept in float64 and rounded to the precision of the input.

    Args:
        image_shape: (C, H, W) before padding.
        ratio: measurements per pixel, in (0, 1].
        block: B, from 1 to 64.
        seed: of Phi, the first q rows of one orthonormal matrix, so that ratios share their rows.
        permutation: "global", "none", or the indices themselves (integers, one per padded pixel, or that for each
            channel).
        permutation_seed: of the global permutation, or one for each channel; ``seed`` if not given. Drawing a new one
            is cheap.
        phi: orthonormal rows (q, B^2) to use instead of the seeded ones.

    Raises:
        InputError: an argument is out of range, phi is not orthonormal or the indices are no permutation.

    Example:
        >>> sensing = CompressedSensing((1, 8, 10), 0.25, block=4)
        >>> sensing.measurement_shape, sensing.tight, sensing.padded_shape, sensing.padded().tight
        ((1, 6, 4), False, (1, 8, 12), True)
    """

    kind = "cs"
    phi: Tensor
    permutation: Tensor | None
    inverse_permutation: Tensor | None

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        ratio: float,
        *,
        block: int = 32,
        seed: int = 0,
        permutation: str | Tensor = "global",
        permutation_seed: int | Sequence[int] | None = None,
        phi: Tensor | NDArray[Any] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        self._ratio = check_fraction("sampling ratio", ratio)
        self.block = block = check_integer("block size", block, 1, MAX_BLOCK)
        self.seed = None if phi is not None else check_seed("seed of the matrix", seed)
        rows = math.ceil(self._ratio * block**2 - 1e-9)  # 0.07 * 100 is 7.000000000000001
        phi = None if phi is None else tensor_of(phi)
        if phi is None:
            phi = orthonormal_rows(block**2, seed, rows)
        else:
            _check_orthonormal(phi, (rows, block**2))
        self.register_buffer("phi", phi.contiguous(), persistent=False)

        self._padded_shape = channels, *next_multiples((height, width), block)
        pixels = self._padded_shape[1] * self._padded_shape[2]
        self.measurement_shape = (channels, pixels // block**2, rows)
        self.tight = self._padded_shape == self.image_shape

        self.permutation_kind = permutation if isinstance(permutation, str) else "given"
        self.permutation_seed: int | list[int] | None = None
        if self.permutation_kind == "global":
            given = seed if permutation_seed is None else permutation_seed
            self.permutation_seed = _check_seeds(given, channels)
            permutation = _random_permutation(pixels, self.permutation_seed)
        elif permutation_seed is not None:
            raise InputError("a permutation seed is given without a global permutation", "remove one of them")
        if isinstance(permutation, str):
            if permutation != "none":
                raise InputError(f"the permutation is {permutation!r}", "it must be 'global' or 'none'")
            self.permutation = self.inverse_permutation = None
        else:
            self.register_buffer("permutation", permutation, persistent=False)
            self.register_buffer("inverse_permutation", _invert(permutation, channels, pixels), persistent=False)

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        return self._padded_shape

    @property
    def mixing(self) -> bool:  # type: ignore[override]
        return self.permutation is not None

    def padded(self) -> CompressedSensing:
        return self if self.tight else self._on_padded_images

    @cached_property
    def _on_padded_images(self) -> Self:
        padded = self._copy()
        padded.image_shape, padded.tight = self.padded_shape, True
        return padded

    def spectrum(self) -> Spectrum | None:
        """``V^T`` = the permutation and the whole orthonormal matrix, of which phi is the first rows; S = 1."""
        if not self.tight:
            return None
        channels, vectors, q = self.measurement_shape
        size = self.block**2
        if self.seed is None:
            basis = _complete(self.phi)
        else:
            basis = orthonormal_rows(size, self.seed, size).to(self.phi)

        def to_basis(x: Tensor) -> Tensor:
            coordinates = self._vectors(x) @ basis.to(x).T
            return torch.cat([coordinates[..., :q].flatten(2), coordinates[..., q:].flatten(2)], 2)

        def from_basis(c: Tensor) -> Tensor:
            measured, others = c[..., : vectors * q], c[..., vectors * q :]
            parts = [part.reshape(*c.shape[:2], vectors, -1) for part in (measured, others)]
            return self._image(torch.cat(parts, 3) @ basis.to(c))

        return Spectrum(
            self.phi.new_ones(channels, vectors * q),
            lambda y: y.flatten(2),
            lambda x: linear_map(x, to_basis, from_basis),
            lambda c: linear_map(completed(c, vectors * size), from_basis, to_basis),
        )

    def A(self, x: Tensor) -> Tensor:
        return linear_map(x, self._measure, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        return linear_map(y, self._back_project, self._measure)

    def _measure(self, x: Tensor) -> Tensor:
        return self._vectors(self.pad(x)) @ self.phi.to(x.dtype).T

    def _back_project(self, y: Tensor) -> Tensor:
        return self.crop(self._image(y @ self.phi.to(y.dtype)))

    def _vectors(self, x: Tensor) -> Tensor:
        """P: padded images to vectors, (batch, C, vectors, B^2)."""
        if self.permutation is not None:
            return _permuted(x.flatten(2), self.permutation).view(*x.shape[:2], -1, self.block**2)
        return to_blocks(x, self.block)

    def _image(self, v: Tensor) -> Tensor:
        """P^T: the inverse of :meth:`_vectors`."""
        size = self.padded_shape[1:]
        if self.inverse_permutation is not None:
            return _permuted(v.flatten(2), self.inverse_permutation).view(*v.shape[:2], *size)
        return from_blocks(v, size)

    def arrays(self) -> Mapping[str, Tensor]:
        arrays = {} if self.seed is not None else {"phi": self.phi}
        if self.permutation_kind == "given" and self.permutation is not None:
            arrays["permutation"] = self.permutation
        return arrays

    def to_spec(self) -> Spec:
        """``seed`` is null when phi, and ``permutation`` "given" when the permutation, is among the arrays."""
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "ratio": self._ratio,
            "block": self.block,
            "seed": self.seed,
            "permutation": self.permutation_kind,
            "permutation_seed": self.permutation_seed,
            "phi_sha256": digest(self.phi.float()),
            "permutation_sha256": None if self.permutation is None else digest(self.permutation),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = CompressedSensingSpecification.read(spec)
        given = read.permutation == "given"
        check_arrays(read.kind, arrays, [*(["phi"] if read.seed is None else []), *(["permutation"] if given else [])])
        operator = cls(
            read.image_shape,
            read.ratio,
            block=read.block,
            seed=read.seed or 0,
            permutation=arrays["permutation"] if given else read.permutation,
            permutation_seed=read.permutation_seed,
            phi=arrays["phi"] if read.seed is None else None,
        )
        check_digest("sampling matrix", read.phi_sha256, operator.phi.float())
        if operator.permutation is not None:
            check_digest("permutation", read.permutation_sha256, operator.permutation)
        return operator


def _check_seeds(given: int | Sequence[int], channels: int) -> int | list[int]:
    if not isinstance(given, Sequence):
        return check_seed("seed of the permutation", given)
    if len(given) != channels:
        raise InputError(f"there are {len(given)} seeds of permutations", f"give one, or {channels}, one per channel")
    return [check_seed("seed of the permutation", seed) for seed in given]


def _random_permutation(count: int, seed: int | list[int]) -> Tensor:
    """(count,), or (C, count) from as many seeds."""
    if isinstance(seed, list):
        return torch.stack([_random_permutation(count, one) for one in seed])
    generator = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(generator.permutation(count).astype(np.int64, copy=False))


def _permuted(x: Tensor, permutation: Tensor) -> Tensor:
    """(batch, C, N) along N, by one permutation or one per channel."""
    return x.index_select(2, permutation) if permutation.ndim == 1 else x.gather(2, permutation.expand_as(x))


def _invert(permutation: Tensor, channels: int, count: int) -> Tensor:
    if permutation.ndim == 2 and len(permutation) == channels:
        return torch.stack([_invert(channel, 1, count) for channel in permutation])
    if permutation.dtype != torch.int64 or permutation.shape != (count,):
        raise InputError(
            f"the permutation has shape {tuple(permutation.shape)} and type {permutation.dtype}",
            f"it must hold {count} int64 indices, one per pixel of the padded image",
        )
    inverse = torch.full_like(permutation, -1)
    if bool(((permutation >= 0) & (permutation < count)).all()):
        inverse[permutation] = torch.arange(count, device=permutation.device)
    if bool((inverse < 0).any()):
        raise InputError("the permutation does not hold every pixel index once", "correct the array")
    return inverse


def _complete(rows: Tensor) -> Tensor:
    """Orthonormal rows (q, n) with more of them, (n, n)."""
    q = torch.linalg.qr(torch.cat([rows.T, torch.eye(rows.shape[1]).to(rows)], 1))[0].T
    return torch.cat([rows, q[len(rows) :]])


def _check_orthonormal(phi: Tensor, shape: tuple[int, int]) -> None:
    if tuple(phi.shape) != shape or phi.dtype not in (torch.float32, torch.float64):
        raise InputError(
            f"the sampling matrix has shape {tuple(phi.shape)} and type {phi.dtype}",
            f"this ratio and block size need {shape} in float32 or float64",
        )
    gram = phi.double() @ phi.double().T
    error = float((gram - torch.eye(shape[0], dtype=gram.dtype, device=gram.device)).abs().max())
    if not error < 1e-5:
        raise InputError(
            f"the rows of the sampling matrix are not orthonormal (error {error:.1e})", "orthonormalise them first"
        )
