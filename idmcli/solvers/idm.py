"""Invertible diffusion models (Chen et al., TPAMI 2025)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from idmcli.models import Network
from idmcli.operators import Problem
from idmcli.solvers import NoOptions, Progress, Solver


@torch.no_grad()
def by_network(
    problem: Problem, network: Network, options: NoOptions, generator: Generator, progress: Progress
) -> Tensor:
    """The image that a network makes of measurements, by all its steps at once."""
    x: Tensor = network(problem.y, problem.operator, noise=problem.noise)
    return x


SOLVER = Solver(
    "idm",
    "invertible diffusion model, trained end to end (Chen et al., 2025)",
    by_network,
    needs=frozenset({"idm", "linear", "real"}),
    meets=frozenset({"measurements", "others", "range", "roughness"}),
)
