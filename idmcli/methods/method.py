"""A solver with its options and weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Generator, Tensor

from idmcli import solvers
from idmcli.errors import InputError, NumericalError
from idmcli.methods.defaults import runnable
from idmcli.models import Learned
from idmcli.models.evaluations import Evaluations
from idmcli.models.precision import Precision
from idmcli.operators import Operator, Problem
from idmcli.priors import LatentPrior, Prior, check_domain, for_images
from idmcli.solvers import Solver


@dataclass(frozen=True)
class Method:
    """A solver with its options and weights, on a device.

    Called with a problem whose images are in [0, 1] and a seed (for methods that sample), it returns
    (B, C, H, W), real or complex, as the solver left it: not clipped. ``evaluations`` counts those of all networks of
    its library.

    Raises (when called):
        InputError: the method cannot handle the operator, or its prior the images.
        NumericalError: the result is not finite.
    """

    solver: Solver
    options: Any
    weights: Prior | LatentPrior | Learned | None
    device: torch.device
    precision: Precision = "float32"
    weights_name: str = ""
    ensemble: bool = False
    evaluations: Evaluations = field(default_factory=Evaluations)

    @property
    def name(self) -> str:
        """The solver's name."""
        return self.solver.name

    def quick(self) -> Method:
        """The same method, to be run for a short time."""
        fewer = {name: min(most, getattr(self.options, name)) for name, most in self.solver.quick.items()}
        return replace(self, options=replace(self.options, **fewer)) if fewer else self

    def check(self, operator: Operator) -> None:
        """Raise InputError if the method cannot handle an operator, or its prior the images."""
        refusal = solvers.why_not(self.solver, operator)
        if refusal:
            raise InputError(refusal, f"these can: {', '.join(other.name for other in runnable(operator))}")
        if self.solver.weights == "latent" and operator.complex_image:
            raise InputError(f"method {self.name} is for real images, and these are complex", "choose another --method")
        if self.solver.weights in ("prior", "latent"):
            check_domain(self.weights, operator.image_shape[0])  # type: ignore[arg-type]

    def __call__(
        self,
        problem: Problem[Operator],
        *,
        seed: int = 0,
        progress: solvers.Progress = lambda done, total, unknown=None: None,
    ) -> Tensor:
        operator = problem.operator
        self.check(operator)
        problem = replace(problem, operator=operator.to(self.device), y=problem.y.to(self.device))
        generator = Generator().manual_seed(seed)
        weights = self.weights
        if self.solver.weights == "prior":
            weights = for_images(weights, complex_image=operator.complex_image)  # type: ignore[arg-type]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            x = self.solver.run(cast(Problem, problem), weights, self.options, generator, progress).detach()
        if not bool(torch.isfinite(x).all()):
            raise NumericalError(f"method {self.name} gave values that are not finite", "try another --method")
        return x
