"""Methods ready to run: a solver, its options, and the weights it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Generator, Tensor

from idmcli import solvers, tasks
from idmcli.config import SolverConfig, check_value
from idmcli.errors import ConfigError, InputError, NumericalError
from idmcli.models import Network, load_weights, shipped_weights
from idmcli.models.compiled import check_compiler, compile_blocks
from idmcli.models.cpu import onednn_pays, use_onednn
from idmcli.models.precision import Precision, choose_precision
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.models.stable_diffusion import StableDiffusionUNet
from idmcli.models.unet import InjectorUNet
from idmcli.operators import Operator, Problem
from idmcli.priors import NetworkPrior, Prior, averaged, check_domain, for_images, load_prior
from idmcli.solvers import Solver


@dataclass(frozen=True)
class Method:
    """A solver with its options and weights, on a device.

    Called with a problem whose images are in [0, 1] and a seed (for methods that sample), it returns
    (B, C, H, W), real or complex, as the solver left it: not clipped.

    Raises (when called):
        InputError: the method cannot handle the operator, or its prior the images.
        NumericalError: the result is not finite.
    """

    solver: Solver
    options: Any
    weights: Prior | Network | None
    device: torch.device
    precision: Precision = "float32"
    weights_name: str = ""
    ensemble: bool = False

    @property
    def name(self) -> str:
        """Of the solver."""
        return self.solver.name

    def check(self, operator: Operator) -> None:
        """Raise InputError if the method cannot handle an operator, or its prior the images."""
        refusal = solvers.why_not(self.solver, operator)
        if refusal:
            shipped = tasks.task_of(operator).weights
            others = [solvers.find(name) for name in solvers.suitable(operator)]
            ready = [other.name for other in others if other.weights is None or other.weights in shipped]
            raise InputError(refusal, f"these can: {', '.join(ready)}")
        if self.solver.weights == "prior":
            check_domain(self.weights, operator.image_shape[0])  # type: ignore[arg-type]

    def __call__(
        self,
        problem: Problem[Operator],
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] = lambda done, total: None,
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


class Library:
    """The weights of one command: each file is read once and made ready for a device.

    Args:
        device: where to compute.
        precision: of the networks; operators and solvers stay in float32. "auto" is bf16 where the device computes in
            it and the network has its first and last layer in float32, which costs nothing measurable.
        ensemble: take the mean over all flips and quarter turns wherever a network is called.
        tile: side in pixels of the windows that the full-size network's attention is limited to.
        compile: pass the blocks of a network through torch.compile.

    Raises:
        ConfigError: torch.compile has no compiler to work with.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        precision: Precision | Literal["auto"] = "auto",
        ensemble: bool = False,
        tile: int | None = None,
        compile: bool = False,
    ) -> None:
        if compile:
            check_compiler(device, "--compile")
        self.device = device
        self.precision: Precision | Literal["auto"] = precision
        self._ensemble = ensemble
        self._tile = tile
        self._compile = compile
        self._loaded: dict[Path, NetworkPrior | Network] = {}

    def load(self, path: Path) -> NetworkPrior | Network:
        """The prior or the network of a weights file.

        Raises:
            ConfigError: the file is missing or damaged, or its network has no attention to tile.
            NumericalError: a weight is not finite.
        """
        if path not in self._loaded:
            self._loaded[path] = self._prepare(path)
        return self._loaded[path]

    def _prepare(self, path: Path) -> NetworkPrior | Network:
        try:
            found = load_prior(path) or load_network(path)
        except InputError as error:
            raise ConfigError(error.message, error.hint) from error
        network = found if isinstance(found, Network) else found.network
        if self._ensemble and isinstance(found, InvertibleDiffusion):
            found.denoiser.ensemble = True
        attending = [module for module in network.modules() if isinstance(module, StableDiffusionUNet)]
        if self._tile is not None and not attending:
            raise ConfigError(f"--tile is for attention, and {str(path)!r} has none", "leave out --tile")
        for unet in attending:
            if self._tile is not None:
                unet.attend_in_tiles(self._tile)
            if self.device.type == "cpu" and self.precision != "bf16" and onednn_pays():
                use_onednn(unet)
        if self._compile:
            compile_blocks(network)
        network.to(self.device)
        return found

    def method(
        self,
        name: str | None,
        operator: Operator,
        weights: Path | None,
        settings: SolverConfig,
        *,
        noise: float = 0.0,
    ) -> Method:
        """A method for what an operator measured.

        Args:
            name: of the method; None for the one that ``weights`` are made for, or else the best for the task.
            operator: the operator, or one like it.
            weights: a weights file instead of the shipped ones.
            settings: options of the method.
            noise: of the measurements, as in a :class:`~idmcli.operators.Problem`; the best method may depend on it.

        Raises:
            ConfigError: the method or an option of it is unknown, or the weights are missing, damaged, of the wrong
                kind for it, or made for another task.
            NumericalError: a weight is not finite.
        """
        model = None if weights is None else self.load(weights)
        solver = solvers.find(name or settings.method or _default(model, operator, noise))
        tuned = tasks.task_of(operator).tuned.get(solver.name, {})
        options = read_options(solver, {**tuned, **settings.options})
        if solver.weights is None:
            if model is not None:
                raise ConfigError(
                    f"--method {solver.name} takes no weights", "leave out --weights or choose another method"
                )
            return Method(solver, options, None, self.device)
        path = weights or _shipped(solver, operator)
        model = self.load(path)
        kind = kind_of(model)
        if kind != solver.weights:
            raise ConfigError(
                f"--method {solver.name} needs {solvers.NEEDS[solver.weights]}, and {str(path)!r} is {_A[kind]}",
                "choose the method the weights were trained for",
            )
        if isinstance(model, Network):
            check_trained_for(path, model, operator)
        precision = self._precision_of(model)
        ready = averaged(model) if self._ensemble and not isinstance(model, Network) else model
        return Method(solver, options, ready, self.device, precision, path.stem, self._ensemble)

    def _precision_of(self, weights: NetworkPrior | Network) -> Precision:
        if self.precision != "auto":
            return self.precision
        network = weights if isinstance(weights, Network) else weights.network
        precise = any(isinstance(module, InjectorUNet) for module in network.modules())
        return choose_precision("auto" if precise else "float32", self.device)


def load_network(path: Path) -> Network:
    """The network of a weights file that holds no prior."""
    model = load_weights(path)
    assert isinstance(model, Network)
    return model


_A = {"prior": "a prior", "network": "a network trained end to end"}


def kind_of(weights: Prior | Network) -> Literal["prior", "network"]:
    """What a weights file holds."""
    return "network" if isinstance(weights, Network) else "prior"


def check_trained_for(path: Path, network: Network, operator: Operator) -> None:
    """Raise ConfigError if a network was trained for another kind of measurement, as far as its file says."""
    trained, task = network.trained_for or {}, tasks.task_of(operator)
    there = {"task": trained.get("task"), **trained.get("operator", {})}
    here = {"task": task.kind, **task.identity(operator)}
    rows = [(key, there[key], value) for key, value in here.items() if there.get(key) not in (None, value)]
    if rows:
        width = max(len(key) for key, _, _ in rows)
        table = "\n".join(f"{key:<{width}}  weights: {their}, here: {value}" for key, their, value in rows)
        raise ConfigError(
            f"{str(path)!r} is made for other measurements:\n{table}",
            f"train a network for these, or use --method {task.default_method(operator)}",
        )


def _default(model: Prior | Network | None, operator: Operator, noise: float) -> str:
    """The best method that takes these weights (README, "Which method")."""
    best = tasks.task_of(operator).default_method(operator, noise)
    if model is None:
        return best
    if kind_of(model) == "network":
        return "idm"
    return best if solvers.find(best).weights == "prior" else "ddnm"


def _shipped(solver: Solver, operator: Operator) -> Path:
    """The weights that come with idm for a method and what it is to reconstruct."""
    task = tasks.task_of(operator)
    need, colour = solver.weights or "", operator.image_shape[0] == 3
    name = (task.weights.get(f"colour {need}") if colour else None) or task.weights.get(need)
    if name is None:
        raise ConfigError(
            f"no weights for --method {solver.name} on task {task.kind} come with idm",
            f"train some with `idm train --preset {task.kind}` and name them with --weights, or use --method "
            f"{task.default_method(operator)}",
        )
    return shipped_weights(name)


def check_options(settings: SolverConfig) -> None:
    """Raise ConfigError for a method that is unknown or has no such options, if [solver] names one."""
    if settings.method is not None:
        read_options(solvers.find(settings.method), settings.options)


def read_options(solver: Solver, values: Mapping[str, Any]) -> Any:
    """The options of a method from the values of [solver].

    Raises:
        ConfigError: naming every value that the method has no option for, or that is out of range.
    """
    known = [field.name for field in fields(solver.options)]
    problems, found = [], {}
    for key, value in values.items():
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            problems.append(f"method {solver.name} has no option solver.{key}; {has}")
            continue
        found[key], problem = check_value(solver.options, key, value)
        problems += [f"solver.{problem}"] if problem else []
    if problems:
        raise ConfigError("\n".join(problems), "`idm methods` lists the options of each method")
    return solver.options(**found)
