"""What the tests share: small operators, a photograph, priors that are formulas, and a way to run solvers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from idmcli import solvers
from idmcli.methods import defaults_of
from idmcli.metrics import psnr
from idmcli.models import shipped_weights
from idmcli.numerics.noise import falling_levels
from idmcli.operators import (
    HDR,
    MRI,
    Blur,
    CompressedSensing,
    FanBeamCT,
    Hadamard,
    Inpainting,
    LinearMap,
    LinearOperator,
    MatrixOperator,
    NonlinearBlur,
    Operator,
    ParallelBeamCT,
    Problem,
    SuperResolution,
    add_noise,
    stack,
)
from idmcli.operators.kernels import motion_kernel
from idmcli.priors import Domain, Prior, for_images, load_prior
from idmcli.priors.base import Adapted
from idmcli.solvers import Progress, Solver


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def asymmetric_mask(height: int, width: int) -> Tensor:
    return torch.rand(height, width, generator=generator(1)) < 0.4


def random_maps(coils: int, height: int, width: int) -> Tensor:
    return torch.randn(coils, height, width, dtype=torch.complex128, generator=generator(2))


def given_cs() -> CompressedSensing:
    phi, _ = torch.linalg.qr(torch.randn(16, 5, dtype=torch.float64, generator=generator(3)))
    permutation = torch.randperm(12 * 8, generator=generator(4))
    return CompressedSensing((1, 11, 7), 5 / 16, block=4, phi=phi.T.contiguous(), permutation=permutation)


LINES = {"type": "equispaced", "acceleration": 4, "centre_fraction": 0.1}
OPERATORS: dict[str, LinearOperator] = {
    "cs-global": CompressedSensing((1, 16, 24), 0.3, block=8, seed=1),
    "cs-blocks-colour": CompressedSensing((3, 16, 8), 0.5, block=4, permutation="none"),
    "cs-global-colour": CompressedSensing((3, 9, 8), 0.5, block=4, permutation_seed=[1, 2, 3]),
    "cs-global-padded": CompressedSensing((1, 13, 9), 0.3, block=4, seed=2, permutation_seed=5),
    "cs-blocks-padded": CompressedSensing((1, 9, 14), 0.25, block=4, permutation="none"),
    "cs-full-ratio": CompressedSensing((1, 8, 8), 1.0, block=8),
    "cs-given": given_cs(),
    "hadamard": Hadamard((1, 8, 16)),
    "hadamard-colour": Hadamard((3, 4, 8), torch.tensor([5, 0, 31, 17, 8]), order="sequency"),
    "hadamard-complex": Hadamard((1, 8, 4), torch.arange(3, 20), order="dyadic-2d", complex_image=True),
    "hadamard-padded": Hadamard((1, 7, 11), torch.arange(40), order="sequency-2d"),
    "hadamard-padded-all": Hadamard((1, 5, 4), order="dyadic"),
    "inpainting-random": Inpainting((3, 9, 7), {"type": "random", "ratio": 0.4, "seed": 3}),
    "inpainting-boxes": Inpainting((1, 8, 11), {"type": "boxes", "boxes": [[1, 2, 3, 4], [0, 0, 2, 2]]}),
    "inpainting-given": Inpainting((1, 6, 5), asymmetric_mask(6, 5)),
    "mri-radial": MRI((1, 16, 12), {"type": "radial", "lines": 5}),
    "mri-radial-odd": MRI((1, 15, 11), {"type": "radial", "fraction": 0.3}),
    "mri-asymmetric-odd": MRI((1, 9, 7), asymmetric_mask(9, 7)),
    "mri-asymmetric-even": MRI((1, 8, 10), asymmetric_mask(8, 10), dc="centre"),
    "mri-equispaced": MRI((1, 10, 16), LINES),
    "mri-complex": MRI((1, 9, 8), {"type": "random", "acceleration": 2, "seed": 1}, complex_image=True),
    "mri-coils": MRI((1, 9, 8), asymmetric_mask(9, 8), sensitivity=random_maps(3, 9, 8)),
    "mri-coils-complex": MRI(
        (1, 6, 8), {"type": "radial", "lines": 4}, sensitivity=random_maps(4, 6, 8), complex_image=True
    ),
    "ct": ParallelBeamCT((1, 9, 12), 5),
    "ct-angles-colour": ParallelBeamCT((3, 8, 7), [0, 45.0, 90, 100.5, -30, 0], detectors=6),
    "ct-axis": ParallelBeamCT((1, 9, 8), [10.0, 100.0, 80.0, 145.0], detectors=9, axis=4.3, origin="middle"),
    "ct-pitch": ParallelBeamCT((1, 8, 10), 6, pitch=0.7),
    "deblur-gaussian": Blur((3, 9, 12), {"type": "gaussian", "size": 5, "std": 0.7}),
    "deblur-circular": Blur((1, 11, 8), torch.arange(1.0, 13).view(4, 3).square(), boundary="circular"),
    "deblur-given": Blur((1, 8, 7), torch.diag(torch.tensor([1.0, 4, 2])) + torch.eye(3).roll(1, 0)),
    "sr": SuperResolution((1, 16, 12), 4),
    "sr-odd-colour": SuperResolution((3, 9, 7), 2),
    "sr-average": SuperResolution((1, 10, 13), 3, filter="average"),
}
MOTION = motion_kernel(7, 0.5, 1)
FANS: dict[str, LinearOperator] = {
    "fan": FanBeamCT((1, 9, 12), 4, source_axis=20, source_detector=33, pitch=2.5, pixel=1),
    "fan-axis": FanBeamCT(
        (1, 8, 7),
        [200.0, 250.0, 290.0, 340.0, 20.0, 200.0],
        source_axis=9.5,
        source_detector=14,
        pitch=1.2,
        pixel=1.1,
        detectors=11,
        axis=4.3,
        origin="middle",
    ),
}


def gaussian_matrix(rows: int, columns: int, *, seed: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    """Well-conditioned: its singular values are from 1 to 3."""
    u, _, v = torch.linalg.svd(torch.randn(rows, columns, dtype=dtype, generator=generator(seed)), full_matrices=False)
    return u * torch.linspace(1, 3, u.shape[1], dtype=torch.float64) @ v


def sparse_matrix(rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A band of three entries a row, and the diagonal of a square part of it."""
    dense = gaussian_matrix(rows, columns, dtype=dtype)
    near = (torch.arange(rows)[:, None] * columns // rows - torch.arange(columns)).abs() <= 1
    return (dense * near + torch.eye(rows, columns)).to_sparse()


MATRICES: dict[str, LinearOperator] = {
    "matrix": MatrixOperator(gaussian_matrix(20, 30), (1, 6, 5)),
    "matrix-tall": MatrixOperator(gaussian_matrix(40, 30), (1, 6, 5)),
    "matrix-channels": MatrixOperator(gaussian_matrix(8, 20), (3, 5, 4)),
    "matrix-colour": MatrixOperator(gaussian_matrix(20, 36), (3, 4, 3)),
    "matrix-blocks": MatrixOperator(gaussian_matrix(6, 16), (3, 8, 12), 4),
    "matrix-blocks-padded": MatrixOperator(torch.linalg.qr(gaussian_matrix(16, 6))[0].mT, (1, 7, 10), 4),
    "matrix-tight": MatrixOperator(torch.linalg.qr(gaussian_matrix(30, 12))[0].mT, (1, 6, 5)),
    "matrix-sparse": MatrixOperator(sparse_matrix(25, 42), (1, 6, 7)),
    "matrix-sparse-complex": MatrixOperator(sparse_matrix(20, 30, torch.complex128), (1, 6, 5), complex_image=True),
    "matrix-complex": MatrixOperator(gaussian_matrix(9, 30, dtype=torch.complex128), (1, 6, 5)),
    "matrix-complex-tall": MatrixOperator(gaussian_matrix(18, 30, dtype=torch.complex128), (1, 6, 5)),
    "matrix-complex-image": MatrixOperator(gaussian_matrix(20, 30), (1, 6, 5), complex_image=True),
}
KERNEL = {"type": "gaussian", "size": 5, "std": 0.6}
COMPOSITES: dict[str, LinearOperator] = {
    "product": Inpainting((1, 9, 7), asymmetric_mask(9, 7)) @ Blur((1, 9, 7), KERNEL),
    "product-complex": MRI((1, 9, 8), asymmetric_mask(9, 8)) @ Blur((1, 9, 8), KERNEL) @ Blur((1, 9, 8), KERNEL),
    "sum": Blur((3, 8, 9), KERNEL) + 0.5 * Blur((3, 8, 9), torch.ones(3, 1), boundary="circular"),
    "difference": OPERATORS["sr"] - SuperResolution((1, 16, 12), 4, filter="average"),
    "scaled": -2.5 * OPERATORS["sr-odd-colour"],
    "scaled-tight": 3 * OPERATORS["inpainting-random"],
    "scaled-padded": 0.5 * OPERATORS["cs-global-padded"],
    "scaled-complex": 2 * OPERATORS["mri-complex"],
    "negative": -OPERATORS["mri-radial-odd"],
    "adjoint": OPERATORS["sr-average"].H,
    "adjoint-tight": OPERATORS["mri-complex"].H,
    "normal": OPERATORS["sr-average"].H @ OPERATORS["sr-average"],
    "stack": stack([OPERATORS["inpainting-given"], MatrixOperator(gaussian_matrix(7, 30), (1, 6, 5))]),
    "stack-complex": stack([OPERATORS["mri-complex"], 0.7 * OPERATORS["mri-complex"] - OPERATORS["mri-complex"]]),
}


class Minimal(LinearOperator):
    """All that a class of one's own has to define: a matrix of 33 rows for images of 48 pixels."""

    image_shape = (1, 8, 6)
    measurement_shape = (33,)

    def A(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ gaussian_matrix(33, 48).to(x).T

    def AT(self, y: Tensor) -> Tensor:
        return (y @ gaussian_matrix(33, 48).to(y)).view(-1, 1, 8, 6)


class MinimalComplex(Minimal):
    """Complex images and measurements, and the class says no more of them."""

    complex_image = complex_measurements = True

    def A(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ gaussian_matrix(33, 48, dtype=torch.complex128).to(x).T

    def AT(self, y: Tensor) -> Tensor:
        return (y @ gaussian_matrix(33, 48, dtype=torch.complex128).to(y).conj()).view(-1, 1, 8, 6)


def columns_in_numpy(x: Tensor) -> np.ndarray[Any, Any]:
    """The sums of neighbouring columns, by a function without a derivative."""
    image = x.cpu().numpy()
    return image[:, :, 1:] + image[:, :, :-1]


def columns_back(y: Tensor) -> np.ndarray[Any, Any]:
    """The adjoint of :func:`columns_in_numpy`."""
    padded = np.pad(y.cpu().numpy(), ((0, 0), (0, 0), (1, 1)))
    return padded[:, :, 1:] + padded[:, :, :-1]


FUNCTIONS: dict[str, LinearOperator] = {
    "map": LinearMap(columns_in_numpy, columns_back, (3, 7, 5), (3, 7, 4)),
    "map-complex": LinearMap(
        lambda x: 2 * torch.fft.fft2(x, norm="ortho")[0, ::2],
        lambda y: 2 * torch.fft.ifft2(torch.stack([y, 0 * y], 1).flatten(0, 1)[None], norm="ortho").real,
        (1, 8, 6),
        (4, 6),
        complex_measurements=True,
    ),
    "minimal": Minimal(),
    "minimal-complex": MinimalComplex(),
}
SAVED = OPERATORS | FANS | MATRICES | COMPOSITES  # linear ones that can be written to a file
LINEAR = SAVED | FUNCTIONS
NONLINEAR: dict[str, Operator] = {
    "hdr": HDR((3, 8, 11)),
    "hdr-gain": HDR((1, 9, 6), 1.3),
    "nonlinear_deblur": NonlinearBlur(Blur((1, 12, 9), MOTION)),
    "nonlinear_deblur-circular": NonlinearBlur(
        Blur((3, 8, 10), {"type": "gaussian", "size": 9, "std": 1.2}, boundary="circular")
    ),
}
ONE_OF_EACH = ["cs-global", "cs-global-padded", "inpainting-boxes", "mri-radial", "mri-equispaced", "mri-coils", "ct"]
SIMPLE_BLUR = Blur((1, 48, 48), {"type": "gaussian", "size": 9, "std": 1.5})
OF_CAMERA = [CompressedSensing((1, 48, 48), 0.5, block=16), HDR((1, 48, 48)), NonlinearBlur(SIMPLE_BLUR)]
REAL = {name: operator for name, operator in OPERATORS.items() if not operator.complex_image}


def each(*names: str) -> pytest.MarkDecorator:
    """Run a test for the operators of these names, or for all."""
    chosen, known = names or tuple(OPERATORS), LINEAR | NONLINEAR
    return pytest.mark.parametrize("operator", [known[name] for name in chosen], ids=chosen)


def camera(side: int = 64, step: int = 1) -> Tensor:
    """(1, 1, side, side) pixels of a photograph, every ``step``-th of its rows and columns."""
    pixels = skimage.data.camera()[128 : 128 + side * step : step, 128 : 128 + side * step : step]
    return torch.from_numpy(pixels / 255).float()[None, None]


def picture(operator: Operator, batch: int = 1) -> Tensor:
    """A batch of different photographs for an operator, in double precision."""
    channels, height, width = operator.image_shape
    pixels = skimage.data.camera() / 255
    views = [pixels[100 + 20 * n : 100 + 20 * n + 4 * height : 4, 150 : 150 + 4 * width : 4] for n in range(batch)]
    x = torch.stack([torch.from_numpy(view.copy()) for view in views])[:, None]
    x = torch.cat([x * (1 - 0.2 * channel) for channel in range(channels)], 1)
    return torch.polar(x, 2 * x) if operator.complex_image else x


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=generator(seed))


def dense(operator: LinearOperator) -> Tensor:
    """A as a real matrix (measured numbers, image values); a complex number counts as two."""
    shape = operator.image_shape
    basis = torch.eye(prod(shape), dtype=torch.float64).view(-1, *shape)
    if operator.complex_image:
        basis = torch.stack([basis + 0j, 1j * basis], 1).flatten(0, 1)
    return flat(operator.A(basis)).T


def flat(batch: Tensor) -> Tensor:
    """(B, ...) to real numbers (B, N)."""
    return (torch.view_as_real(batch) if batch.is_complex() else batch).flatten(1)


@dataclass(frozen=True)
class Gaussian:
    """The best denoiser of white images ``x = mean + sqrt(power) n``."""

    power: float
    name: str = "gaussian"
    domain: Domain = Domain(mean=0.45)
    noise_levels: tuple[float, float] = (0.0, 10.0)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        return self.domain.mean + self.power / (self.power + sigma**2) * (r - self.domain.mean)


@dataclass(frozen=True)
class Correlated:
    """The best denoiser of images with the mean m, (C, H, W), and the covariance S of their values, (N, N)."""

    mean: Tensor
    covariance: Tensor
    name: str = "correlated"
    domain: Domain = Domain(mean=0.45)
    noise_levels: tuple[float, float] = (0.0, 10.0)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        noise = sigma.flatten()[0] ** 2 * torch.eye(len(self.covariance), dtype=self.covariance.dtype)
        gain = torch.linalg.solve(self.covariance + noise, self.covariance)
        return self.mean + (flat(r - self.mean) @ gain).view(r.shape)

    def draw(self, batch: int) -> Tensor:
        """Such images."""
        root = torch.linalg.cholesky(self.covariance)
        return self.mean + (random(batch, len(root)) @ root.T).view(batch, *self.mean.shape)

    def posterior(self, operator: LinearOperator, y: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        """Mean, (B, C, H, W), and covariance of x given y = A x + n."""
        a = dense(operator)
        power = a @ self.covariance @ a.T + noise**2 * torch.eye(len(a), dtype=a.dtype)
        gain = torch.linalg.solve(power, a @ self.covariance).T
        mean = self.mean + (flat(y - operator.A(self.mean[None])) @ gain.T).view(-1, *self.mean.shape)
        return mean, self.covariance - gain @ a @ self.covariance


def smooth_images(channels: int, height: int, width: int) -> Correlated:
    """Images with a gradient as their mean, whose values are alike where they are near."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1).double()
    near = 0.06 * torch.exp(-torch.cdist(places, places) / 3)
    mean = (0.3 + 0.3 * columns / width).double().expand(channels, -1, -1)
    return Correlated(mean, torch.block_diag(*[near] * channels))


@dataclass(frozen=True)
class LatentGaussian:
    """Latents (c, h, w) with the covariance S of their values and mean 0, and a linear autoencoder of orthonormal
    columns Q: ``x = 0.45 + s Q z``, ``z = Q^T (x - 0.45) / s``."""

    columns: Tensor
    covariance: Tensor
    latent_shape: tuple[int, int, int]
    image_shape: tuple[int, int, int]
    scale: float = 0.2
    name: str = "latent-gaussian"
    domain: Domain = Domain(mean=0.45)

    def levels(self, steps: int) -> list[float]:
        return falling_levels(steps, 10.0, 0.02)

    def encode(self, x: Tensor) -> Tensor:
        z = (x - self.domain.mean).flatten(1) @ self.columns.to(x) / self.scale
        return z.view(-1, *self.latent_shape)

    def decode(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        x = self.domain.mean + self.scale * z.flatten(1) @ self.columns.to(z).T
        return x.view(-1, *self.image_shape)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        covariance = self.covariance.to(r)
        noise = sigma.flatten()[0] ** 2 * torch.eye(len(covariance)).to(r)
        return (flat(r) @ torch.linalg.solve(covariance + noise, covariance)).view(r.shape)


def latent_gaussian(operator: Operator, *, rank: int | None = None) -> LatentGaussian:
    """For the images of an operator: half as many latents as values, of so many dimensions or all."""
    shape = operator.image_shape
    size = shape[0] * shape[1] * shape[2]
    columns, _ = torch.linalg.qr(random(size, size // 2, seed=7))
    root = random(size // 2, rank or size // 2, seed=8) / (rank or size // 2) ** 0.5
    return LatentGaussian(columns, root @ root.T, (1, 1, size // 2), shape)


@dataclass(frozen=True)
class Curved:
    """A denoiser that is not linear and mixes neighbours."""

    name: str = "curved"
    domain: Domain = Domain(mean=0.45)
    noise_levels: tuple[float, float] = (0.0, 10.0)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        local = (r + r.roll(1, -1) + r.roll(1, -2)) / 3 - self.domain.mean
        return self.domain.mean + 0.5 * torch.tanh(local / (0.3 + sigma))


@dataclass(frozen=True)
class Oracle:
    """Knows the image."""

    truth: Tensor
    name: str = "oracle"
    domain: Domain = Domain(mean=0.45)
    noise_levels: tuple[float, float] = (0.0, 10.0)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        down, right = (size - own for size, own in zip(r.shape[2:], self.truth.shape[2:], strict=True))
        return pad(self.truth - self.domain.mean, (0, right, 0, down)) + self.domain.mean + 0 * r


@dataclass(frozen=True)
class Watched(Adapted):
    """Another prior, noting for each call the noise there is in r and the level that it is told."""

    truth: Tensor
    seen: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        self.seen.append((float((r - self.truth).std()), float(sigma.mean())))
        return self.prior(r, sigma)


@cache
def shipped_prior(name: str = "prior-grey") -> Prior:
    """A prior that comes with idm."""
    prior = load_prior(shipped_weights(name))
    assert prior is not None
    return prior


def run(
    solver: str | Solver,
    operator: Operator,
    y: Tensor,
    prior: Any = None,
    *,
    noise: float = 0.0,
    seed: int = 0,
    progress: Progress = lambda done, total, unknown=None: None,
    **options: Any,
) -> Tensor:
    """What a solver makes of measurements, not clipped."""
    solver = solvers.find(solver) if isinstance(solver, str) else solver
    problem: Any = Problem(operator, y, noise)
    if prior and solver.weights == "prior":
        prior = for_images(prior, complex_image=operator.complex_image)
    return solver.run(problem, prior, solver.options(**options), generator(seed), progress)


def gain(solver: str, operator: Operator, **options: Any) -> float:
    """By how many dB a solver with the shipped prior does better than its start, for one of :data:`OF_CAMERA`."""
    x, noise = camera(48, 2), 0.01
    y = add_noise(operator.A(x), noise, 0)
    found = run(solver, operator, y, shipped_prior(), noise=noise, **options)
    first = Problem(operator, y, noise).first_guess(shipped_prior().domain.mean)
    return float(psnr(found.clamp(0, 1), x) - psnr(first.clamp(0, 1), x))


def default_method(operator: Operator, noise: float = 0.0) -> str:
    """The method that reconstructs what an operator measured where none is named."""
    return defaults_of(operator).method(operator, noise)
