"""The defaults of reconstruction: which method, which options and which weights serve where the user names none.

One table, by measurement (docs/results). ``python -m benchmarks.everyday`` measures it again on pictures that nobody
tuned for. Its rows belong to kinds of operators; :data:`ANY` serves operators without a row, those of users among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from idmcli import solvers
from idmcli.operators import MRI, CompressedSensing, Operator
from idmcli.plugins import DEFAULTS
from idmcli.solvers import Solver

FEW_STEPS = {"start": "operator", "iterations": 6, "sigma_start": 0.1, "momentum": 0.0}  # from least squares, if good
FROM_TV = {"start": "tv", "iterations": 20, "sigma_start": 0.1}  # A+ y has ghosts, which a prior may keep
PHOTOGRAPHS = {"prior": "prior-grey", "colour prior": "prior-colour"}
SLICES = {"prior": "prior-mixed", "colour prior": "prior-colour"}  # it knows slices, drawings and photographs


@dataclass(frozen=True)
class Choice:
    """A method, and where it is the best.

    Attributes:
        method: its name.
        where: whether it serves an operator at a level of noise, for images in 0..1.
        case: the same for people; empty where there is no condition.
        options: of the method, where it serves here.
    """

    method: str
    where: Callable[[Any, float], bool] = lambda operator, noise: True
    case: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Defaults:
    """The defaults for one kind of operator.

    Attributes:
        choices: the first that serves is the default method; with a prior, the first that serves and takes one.
        weights: names of shipped weights by the kind that a method runs on ("prior", "idm", ...), and of those for
            images of three channels ("colour prior").
        options: of methods whose own defaults are not the best here.
    """

    choices: Sequence[Choice]
    weights: Mapping[str, str] = field(default_factory=lambda: PHOTOGRAPHS)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def best(self, operator: Operator, noise: float = 0.0) -> list[str]:
        """The methods that serve an operator at a level of noise, the best first."""
        return list(dict.fromkeys(each.method for each in self.choices if each.where(operator, noise)))

    def method(self, operator: Operator, noise: float = 0.0) -> str:
        """The default method."""
        return self.best(operator, noise)[0]

    def options_for(self, solver: Solver, operator: Operator, noise: float = 0.0) -> Mapping[str, Any]:
        """The options of a method for an operator at a level of noise, where they differ from the method's own."""
        serving = (choice for choice in self.choices if choice.method == solver.name and choice.where(operator, noise))
        first = next(serving, None)
        return {**self.options.get(solver.name, {}), **({} if first is None else first.options)}

    def weights_for(self, solver: Solver, channels: int) -> str | None:
        """The shipped weights for a method and images of so many channels; None where there are none."""
        kind = solver.weights or ""
        return (self.weights.get(f"colour {kind}") if channels == 3 else None) or self.weights.get(kind)


def defaults_of(operator: Operator) -> Defaults:
    """The defaults for an operator."""
    defaults: Defaults = DEFAULTS.find(operator.kind) if operator.kind in DEFAULTS.names() else ANY
    return defaults


def runnable(operator: Operator) -> Sequence[Solver]:
    """The methods that reconstruct what an operator measured with what comes with idm."""
    shipped = defaults_of(operator).weights
    able = [solvers.find(name) for name in solvers.suitable(operator)]
    return [solver for solver in able if solver.weights is None or solver.weights in shipped]


def several_coils(operator: MRI, noise: float) -> bool:
    """Whether several coils measured a complex image with noise, so that least squares is a good start."""
    return operator.measurement_shape[0] > 1 and operator.complex_image and noise > 0


def noise_up_to(most: float) -> Callable[[Operator, float], bool]:
    """Whether the noise is at most so much."""
    return lambda operator, noise: noise <= most


def mixes(operator: CompressedSensing, noise: float) -> bool:
    """Whether every measurement mixes pixels of the whole image."""
    return operator.mixing


ANY = Defaults(choices=(Choice("hqs"), Choice("gradient"), Choice("reddiff")))
CS = Defaults(
    choices=(Choice("vamp", mixes, "with a permutation of all pixels"), Choice("hqs")),
    weights={**PHOTOGRAPHS, "idm": "cs-tiny"},
)
SINGLE_PIXEL = Defaults(choices=(Choice("hqs"),))
INPAINTING = Defaults(
    choices=(Choice("idm", noise_up_to(0.01), "noise up to 0.01"), Choice("hqs")),
    weights={**PHOTOGRAPHS, "idm": "inpainting-tiny"},
    options={
        # 0.2: how far off the smooth surface is that lost pixels start from; momentum overshoots in holes
        "hqs": {"iterations": 20, "sigma_start": 0.2, "momentum": 0.0},
        "tv": {"iterations": 2000, "tolerance": 1e-6},  # to fill holes
    },
)
LEARNED = Defaults(choices=(Choice("hqs"),))
MAGNETIC = Defaults(
    choices=(Choice("hqs", several_coils, "several coils, noise", options=FEW_STEPS), Choice("hqs")),
    weights={**SLICES, "idm": "mri-tiny"},
    # more momentum waves smooth areas; closer to total variation, it keeps the faults of few measurements
    options={"hqs": {**FROM_TV, "iterations": 25, "sigma_start": 0.15, "momentum": 0.4}},
)
TOMOGRAPHY = Defaults(
    choices=(Choice("hqs"),),
    weights={**SLICES, "latent": "latent-ct-tiny"},
    options={"hqs": {**FROM_TV, "sigma_start": 0.07, "weight": 0.8, "sigma_end": 0.002}},
)
DEBLURRING = Defaults(
    choices=(Choice("hqs"),),
    # with less weight, stripes in what motion hides; with more momentum, waves in flat pictures from 96 x 96 pixels on
    options={"hqs": {"weight": 0.45, "sigma_start": 0.3, "sigma_end": 0.008, "momentum": 0.2}},
)
SUPER_RESOLUTION = Defaults(
    choices=(Choice("hqs", noise_up_to(0.05), "little noise", options=FROM_TV), Choice("hqs")),
    weights={**PHOTOGRAPHS, "sr3": "sr3-sr"},
    options={"hqs": {"sigma_end": 0.008, "momentum": 0.4}},  # more makes waves in flat pictures
)
DYNAMIC_RANGE = Defaults(
    choices=(Choice("reddiff"),),
    options={"reddiff": {"sigma_start": 0.15, "rate": 0.01}},  # further away the prior makes up what is clipped
)
NONLINEAR_DEBLURRING = Defaults(
    choices=(
        Choice("hqs", noise_up_to(0), "without noise", options={**FROM_TV, "sigma_start": 0.05, "momentum": 0.7}),
        Choice("hqs", options=DEBLURRING.options["hqs"]),
        Choice("gradient"),
        Choice("reddiff"),
    ),
    options={"reddiff": {"weight": 0.6}},  # against its noise
)
