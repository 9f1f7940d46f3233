"""Methods ready to run: a solver, its options, and the weights it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Generator, Tensor, nn

from idmcli import solvers, tasks
from idmcli.config import SolverConfig, check_value
from idmcli.errors import ConfigError, InputError, NumericalError
from idmcli.models import ConditionalDenoiser, Network, load_weights, shipped_weights
from idmcli.models.compiled import check_compiler, compile_blocks
from idmcli.models.cpu import onednn_pays, use_onednn
from idmcli.models.evaluations import Evaluations
from idmcli.models.precision import Precision, choose_precision
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.models.stable_diffusion import StableDiffusionUNet
from idmcli.models.unet import InjectorUNet
from idmcli.operators import Operator, Problem
from idmcli.priors import (
    FORMATS,
    Grey,
    GreyLatent,
    LatentPrior,
    NetworkLatentPrior,
    NetworkPrior,
    Prior,
    averaged,
    check_domain,
    find_prior,
    for_images,
    handing_over,
    load_prior,
)
from idmcli.solvers import Solver

Trained = Network | ConditionalDenoiser  # for one kind of measurement
Loaded = NetworkPrior | NetworkLatentPrior | Trained
Given = Mapping[solvers.Weights, Path | None]


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
    weights: Prior | LatentPrior | Trained | None
    device: torch.device
    precision: Precision = "float32"
    weights_name: str = ""
    ensemble: bool = False
    evaluations: Evaluations = field(default_factory=Evaluations)

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
        if self.solver.weights == "latent" and operator.complex_image:
            raise InputError(f"method {self.name} is for real images, and these are complex", "choose another --method")
        if self.solver.weights in ("prior", "latent"):
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
        compile: pass the blocks of a network, or one of other authors as a whole, through torch.compile.
        tell: told once of each way in which a prior is used beyond what it was trained for.

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
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        if compile:
            check_compiler(device, "--compile")
        self.device = device
        self.precision: Precision | Literal["auto"] = precision
        self._ensemble = ensemble
        self._tile = tile
        self._compile = compile
        self._tell = tell
        self._told: set[str] = set()
        self._loaded: dict[Path, Loaded] = {}
        self._found: dict[str, Path] = {}
        self._evaluations = Evaluations()

    def load(self, path: Path) -> Loaded:
        """The prior or the network of a weights file.

        Raises:
            ConfigError: the file is missing or damaged, or its network has no attention to tile.
            NumericalError: a weight is not finite.
        """
        return self._load(path, lambda: load_prior(path) or load_network(path))

    def _load(self, path: Path, read: Callable[[], Loaded]) -> Loaded:
        if path not in self._loaded:
            try:
                found = read()
            except InputError as error:
                raise ConfigError(error.message, error.hint) from error
            self._loaded[path] = self._prepare(path, found)
        return self._loaded[path]

    def _prepare(self, path: Path, found: Loaded) -> Loaded:
        network = _module_of(found)
        if self._ensemble and isinstance(found, InvertibleDiffusion | ConditionalDenoiser):
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
        parts = found.parts if isinstance(found, NetworkLatentPrior) else [network]
        for part in parts:
            self._evaluations.watch(part)
        return found

    def given(self, weights: Path | None, prior: str | None) -> Given:
        """The files that ``weights`` and ``prior`` name, by their role, :func:`role_of`; loaded.

        Raises:
            ConfigError: one is missing, damaged or of another kind, or both are priors.
            NumericalError: a weight is not finite.
        """
        given: dict[solvers.Weights, Path | None] = dict.fromkeys(solvers.WEIGHTS)
        if weights is not None:
            given[role_of(self.load(weights))] = weights
        if prior is None:
            return given
        if given["prior"] or given["latent"]:
            raise ConfigError(f"--weights {str(weights)!r} and --prior {prior!r} are two priors", "leave out one")
        if prior not in self._found:
            try:
                self._found[prior] = find_prior(prior)
            except InputError as error:
                raise ConfigError(error.message, error.hint) from error
        path = self._found[prior]
        role = role_of(self._load(path, lambda: read_prior(path)))
        if role not in ("prior", "latent"):  # and named with --weights too
            raise _no_prior(path)
        given[role] = path
        return given

    def method(
        self,
        name: str | None,
        operator: Operator,
        weights: Path | None,
        settings: SolverConfig,
        *,
        prior: str | None = None,
        noise: float = 0.0,
    ) -> Method:
        """A method for what an operator measured.

        Args:
            name: of the method; None for the one that ``weights`` or ``prior`` are made for, or else the best for the
                task.
            operator: the operator, or one like it.
            weights: a network, or a prior, instead of the shipped ones.
            settings: options of the method.
            prior: what :func:`idmcli.priors.find_prior` takes. Within the noise levels and for the channels it was
                trained for it is used as it is; beyond them as ``tell`` is told.
            noise: of the measurements, as in a :class:`~idmcli.operators.Problem`; the best method may depend on it.

        Raises:
            ConfigError: the method or an option of it is unknown, or the weights are missing, damaged, of the wrong
                kind for it, or made for another task.
            NumericalError: a weight is not finite.
        """
        given = self.given(weights, prior)
        solver = solvers.find(name or settings.method or _default(given, operator, noise))
        tuned = tasks.task_of(operator).tuned.get(solver.name, {})
        options = read_options(solver, {**tuned, **settings.options})
        for kind, path in given.items():
            if path is not None and kind != solver.weights:
                raise _not_for(solver, kind, path, "weights" if path == weights else "prior", given)
        if solver.weights is None:
            return Method(solver, options, None, self.device)
        path = given[solver.weights] or _shipped(solver, operator)
        model = self.load(path)
        ready: Prior | LatentPrior | Trained
        if isinstance(model, Trained):
            check_trained_for(path, model, operator)
            ready, name = model, path.stem
        elif isinstance(model, NetworkLatentPrior):
            ready, name = self._latent(model, operator), model.name
        else:
            ready, name = self._fitted(model, solver, operator) if given["prior"] else model, model.name
            ready = averaged(ready) if self._ensemble else ready
        precision = self._precision_of(model)
        ensemble = self._ensemble and solver.weights != "latent"
        return Method(solver, options, ready, self.device, precision, name, ensemble, self._evaluations)

    def _fitted(self, prior: Prior, solver: Solver, operator: Operator) -> Prior:
        """A prior for the channels of what was measured, with the shipped one at noise levels that it lacks."""
        shipped = self.load(_shipped(solver, operator))
        assert not isinstance(shipped, Trained | NetworkLatentPrior)
        if shipped is prior:
            return prior
        return handing_over(Grey(prior) if self._grey(prior, operator) else prior, shipped, self._say)

    def _latent(self, prior: LatentPrior, operator: Operator) -> LatentPrior:
        """A latent prior for the channels of what was measured."""
        return GreyLatent(prior) if self._grey(prior, operator) else prior

    def _grey(self, prior: Prior | LatentPrior, operator: Operator) -> bool:
        """Whether a prior for colours has to take a grey image; says so where image and prior differ."""
        channels, there = operator.image_shape[0], prior.domain.channels
        if channels % there:
            self._say(f"the prior {prior.name} is for colour images: it takes a grey one as {there} equal channels")
        elif channels != there:
            self._say(f"the prior {prior.name} is for grey images: it takes the channels of a colour one by one")
        return channels % there > 0

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)

    def _precision_of(self, weights: Loaded) -> Precision:
        if self.precision != "auto":
            return self.precision
        precise = any(isinstance(module, InjectorUNet) for module in _module_of(weights).modules())
        return choose_precision("auto" if precise else "float32", self.device)


def load_network(path: Path) -> Trained:
    """The network of a weights file that holds no prior."""
    model = load_weights(path)
    assert isinstance(model, Trained)
    return model


def _module_of(weights: Loaded) -> nn.Module:
    return weights if isinstance(weights, Trained) else weights.network


def read_prior(path: Path) -> NetworkPrior | NetworkLatentPrior:
    """The prior in a file or a folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    prior = load_prior(path)
    if prior is None:
        raise _no_prior(path)
    return prior


def _no_prior(path: Path) -> InputError:
    known = ", ".join(format.name for format in FORMATS)
    return ConfigError(
        f"{str(path)!r} is no prior that idm knows", f"it knows those of {known}; --weights takes networks"
    )


def role_of(weights: Loaded) -> solvers.Weights:
    """What a weights file holds, as methods need it."""
    if isinstance(weights, Network):
        return "network"
    if isinstance(weights, ConditionalDenoiser):
        return "conditional"
    return "latent" if isinstance(weights, NetworkLatentPrior) else "prior"


def check_trained_for(path: Path, network: Trained, operator: Operator) -> None:
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


def _default(given: Given, operator: Operator, noise: float) -> str:
    """The best method that takes what was given (README, "Which method")."""
    trained = given["network"] or given["conditional"]
    if trained and (given["prior"] or given["latent"]):
        raise ConfigError("--weights and --prior serve different methods", "choose one with --method")
    if trained:
        return "idm" if given["network"] else "sr3"
    if given["latent"]:
        return "resample"
    best = tasks.task_of(operator).best_methods(operator, noise)
    return best[0] if not given["prior"] else next(name for name in best if solvers.find(name).weights == "prior")


def _not_for(solver: Solver, kind: solvers.Weights, path: Path, option: str, given: Given) -> ConfigError:
    """Why a method does not run on weights of a kind."""
    if solver.weights is None:
        return ConfigError(
            f"--method {solver.name} takes no {option}", f"leave out --{option} or choose another method"
        )
    needs = solvers.NEEDS[solver.weights]
    if given[solver.weights]:
        return ConfigError(f"--method {solver.name} takes {needs} alone", f"leave out --{option}")
    return ConfigError(
        f"--method {solver.name} needs {needs}, and {str(path)!r} is {solvers.NEEDS[kind]}",
        f"methods for it: {', '.join(name for name in solvers.names() if solvers.find(name).weights == kind)}",
    )


def _shipped(solver: Solver, operator: Operator) -> Path:
    """The weights that come with idm for a method and what it is to reconstruct."""
    task = tasks.task_of(operator)
    need, colour = solver.weights or "", operator.image_shape[0] == 3
    name = (task.weights.get(f"colour {need}") if colour else None) or task.weights.get(need)
    if name is None and need == "latent":
        raise ConfigError(
            f"no latent prior for --method {solver.name} on task {task.kind} comes with idm",
            "name one with --prior: latent-ct-tiny (of head CT), or a folder of diffusers with an autoencoder",
        )
    if name is None:
        stage = " --set training.stage=conditional" if need == "conditional" else ""
        raise ConfigError(
            f"no weights for --method {solver.name} on task {task.kind} come with idm",
            f"train some with `idm train --preset {task.preset}{stage}` and name them with --weights, or use --method "
            f"{task.default_method(operator)}",
        )
    return shipped_weights(name)


def check_options(settings: SolverConfig, methods: Sequence[str | None] = (None,)) -> None:
    """Raise ConfigError for what is wrong with [solver], as far as that can be told before anything is measured.

    Args:
        settings: [solver].
        methods: what it is for; None for the method it names, or else the default of the task.
    """
    for name in methods:
        if name or settings.method:
            read_options(solvers.find(name or settings.method or ""), settings.options)
            continue
        known = {option.name for name in solvers.names() for option in fields(solvers.find(name).options)}
        for key in settings.options.keys() - known:
            close = get_close_matches(key, known, n=1)
            raise ConfigError(
                f"no method has an option solver.{key}",
                f"did you mean solver.{close[0]}?" if close else "`idm methods` lists the options of each method",
            )


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
