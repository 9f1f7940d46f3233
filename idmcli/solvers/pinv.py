"""The pseudo-inverse."""

from __future__ import annotations

from torch import Generator, Tensor

from idmcli.operators import Problem
from idmcli.solvers import NoOptions, Progress, Solver


def pinv(problem: Problem, prior: None, options: NoOptions, generator: Generator, progress: Progress) -> Tensor:
    """``A+ y``, the least-squares image of minimum norm."""
    return problem.operator.solve(problem.y, progress=progress).x


SOLVER = Solver(
    "pinv",
    "the pseudo-inverse A+ y",
    pinv,
    meets=frozenset({"measurements"}),
)
