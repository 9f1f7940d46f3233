"""The noise level of k-space, where no noise was measured."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from idmcli.numerics.conjugate_gradient import conjugate_gradient
from idmcli.operators import LinearOperator

ITERATIONS = 15  # of conjugate gradients
LEAST_SHARE = 0.1  # of the numbers, that must be left over once the image is fitted
FLAT = 1.3  # ratio of powers at which the outer parts of k-space count as a floor
WHITE = 0.3  # correlation of neighbours at which they count as independent


@torch.no_grad()
def noise_of_fit(operator: LinearOperator, y: Tensor) -> float | None:
    """The noise level by which y deviates from every image: ``|y - A x|^2 = 2 (M - trace H) noise^2``.

    x is the least-squares image, and H the map from y to A x. Its trace is the mean of ``<z, H z>`` for white z
    (Hutchinson, 1990). Errors of the coil maps count as noise, as they should.

    Args:
        operator: A, complex.
        y: M measurements, (\\*measurement_shape).

    Returns:
        the standard deviation of real and imaginary parts; None if less than ``LEAST_SHARE`` of the numbers are left
        over.
    """
    draws = torch.Generator().manual_seed(0)
    z = torch.complex(*(torch.randn(y.shape, generator=draws) for _ in range(2)))
    both = torch.stack([y, z])
    fitted = operator.A(conjugate_gradient(operator.normal, operator.AT(both), max_iterations=ITERATIONS).x)
    trace = y.numel() * float((z.conj() * fitted[1]).real.sum() / z.abs().square().sum())
    left = y.numel() - trace
    if left < LEAST_SHARE * y.numel():
        return None
    return math.sqrt(float((y - fitted[0]).abs().square().sum()) / (2 * left))


def noise_of_margin(samples: Tensor, axis: int, count: int) -> float:
    """The noise level in the margin of the field of view of an oversampled readout, where there is no object.

    It is the least of the root mean squares of the four outer eighths of the margin's two sides.

    Args:
        samples: complex, (coils, H, W), fully sampled along the axis, with frequency zero at N // 2.
        axis: of the readout.
        count: pixels of the field of view that was asked for.
    """
    image = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(samples, axis), dim=axis, norm="ortho"), axis)
    side = image.shape[axis]
    width = max((side - count) // 8, 1)
    starts = (0, width, side - 2 * width, side - width)
    power = [float(image.narrow(axis, start, width).abs().square().mean()) for start in starts]
    return math.sqrt(min(power) / 2)


def noise_of_floor(samples: Tensor, sampled: Tensor) -> float | None:
    """The noise level at the highest frequencies, if the signal has fallen to a floor there.

    It has if the outer tenth of the points has nearly the power of the tenth before, and neighbours are not correlated.

    Args:
        samples: complex, (coils, H, W), frequency zero at N // 2.
        sampled: boolean, (H, W).

    Returns:
        the standard deviation of real and imaginary parts; None if there is no floor.
    """
    height, width = sampled.shape
    rows, columns = (torch.arange(n) - n // 2 for n in (height, width))
    radius = (rows[:, None] / height) ** 2 + (columns / width) ** 2
    limits = torch.quantile(radius[sampled], torch.tensor([0.8, 0.9]))
    outer, inner = sampled & (radius > limits[1]), sampled & (radius > limits[0]) & (radius <= limits[1])
    if not bool(outer.any() and inner.any()):
        return None
    power, before = (float(samples[:, part].abs().square().mean()) for part in (outer, inner))
    pairs = outer[:, 1:] & outer[:, :-1]
    a, b = samples[:, :, 1:][:, pairs], samples[:, :, :-1][:, pairs]
    correlation = float((a.conj() * b).sum().abs() / (a.norm() * b.norm()).clamp_min(1e-30)) if a.numel() else 0.0
    return math.sqrt(power / 2) if 0 < before < FLAT * power and correlation < WHITE else None
