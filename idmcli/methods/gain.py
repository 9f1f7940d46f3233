"""The unit of measurements that nobody here simulated."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from idmcli.operators import LinearOperator, Operator, Problem
from idmcli.solvers.tikhonov import TikhonovOptions, tikhonov

SHARE = 0.999  # of the values of a smooth image that lie below its brightest
HEADROOM = 1.2  # white over these: priors serve for images darker than theirs, and less for brighter ones


@torch.no_grad()
def estimate_gain(operator: Operator, y: Tensor) -> float:
    """The value that white stands for in the image that was measured, in the unit of y; 1 for y = 0.

    It is 1.2 times the 99.9th percentile of the magnitudes of a smooth image that fits y
    (:func:`idmcli.solvers.tikhonov.tikhonov`): the pseudo-inverse A+ y would be darkened by what was not measured.
    It is proportional to y. An operator that is not linear has images in 0..1.

    Args:
        operator: A.
        y: measurements, (\\*operator.measurement_shape).
    """
    if not isinstance(operator, LinearOperator):
        return 1.0
    problem = Problem(operator, y[None])
    smooth = tikhonov(problem, None, TikhonovOptions(), Generator(), lambda done, total, unknown=None: None)
    ordered = smooth.abs().flatten().sort().values
    white = HEADROOM * float(ordered[round(SHARE * (len(ordered) - 1))])
    return white if white > 0 else 1.0
