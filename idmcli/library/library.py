"""The weights of one command, and the methods that run on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from idmcli import solvers, tasks
from idmcli.config import SolverConfig
from idmcli.errors import ConfigError, InputError
from idmcli.library.choice import default_method, not_for, shipped_for
from idmcli.library.method import Method
from idmcli.library.options import read_options
from idmcli.library.weights import (
    Given,
    Loaded,
    Trained,
    check_trained_for,
    load_network,
    module_of,
    no_prior,
    read_prior,
    role_of,
)
from idmcli.models import ConditionalDenoiser
from idmcli.models.compiled import check_compiler, compile_blocks
from idmcli.models.evaluations import Evaluations
from idmcli.models.precision import Precision, choose_precision
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.models.stable_diffusion import StableDiffusionUNet
from idmcli.models.unet import InjectorUNet
from idmcli.operators import Operator
from idmcli.priors import (
    Grey,
    GreyLatent,
    LatentPrior,
    NetworkLatentPrior,
    Prior,
    averaged,
    find_prior,
    load_prior,
    with_fallback,
)
from idmcli.solvers import Solver


class Library:
    """The weights of one command: each file is read once and made ready for a device.

    Args:
        device: where to compute.
        precision: of the networks; operators and solvers stay in float32. "auto" is bf16 where the device computes in
            it and the network has its first and last layer in float32, which costs nothing measurable.
        ensemble: take the mean over all flips and quarter turns wherever a network is called.
        tile: side in pixels of the windows that the full-size network's attention is limited to.
        compile: pass the blocks of a network, or one of other authors as a whole, through torch.compile.
        tell: told once of each way in which a prior is used beyond what it was trained for, and of options without use.

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
        network = module_of(found)
        if self._ensemble and isinstance(found, InvertibleDiffusion | ConditionalDenoiser):
            found.denoiser.ensemble = True
        attending = [module for module in network.modules() if isinstance(module, StableDiffusionUNet)]
        if self._tile is not None and not attending:
            raise ConfigError(f"--tile is for attention, and {str(path)!r} has none", "leave out --tile")
        if self._tile is not None:
            for unet in attending:
                unet.attend_in_tiles(self._tile)
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
            raise no_prior(path)
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
        solver = solvers.find(name or settings.method or default_method(given, operator, noise))
        tuned = tasks.task_of(operator).tuned.get(solver.name, {})
        options = read_options(solver, {**tuned, **settings.options})
        for kind, path in given.items():
            if path is not None and kind != solver.weights:
                raise not_for(solver, kind, path, "weights" if path == weights else "prior", given)
        ensemble = self._ensemble and solver.weights not in (None, "latent")
        if self._ensemble and not ensemble:
            self._say(f"--ensemble does nothing for method {solver.name}")
        if solver.weights is None:
            return Method(solver, options, None, self.device)
        path = given[solver.weights] or shipped_for(solver, operator, noise)
        model = self.load(path)
        ready: Prior | LatentPrior | Trained
        if isinstance(model, Trained):
            check_trained_for(path, model, operator, noise)
            ready, name = model, path.stem
        elif isinstance(model, NetworkLatentPrior):
            ready, name = self._latent(model, operator), model.name
        else:
            ready, name = self._fitted(model, solver, operator) if given["prior"] else model, model.name
            ready = averaged(ready) if self._ensemble else ready
        precision = self._precision_of(model)
        return Method(solver, options, ready, self.device, precision, name, ensemble, self._evaluations)

    def _fitted(self, prior: Prior, solver: Solver, operator: Operator) -> Prior:
        """A prior for the channels of what was measured, with the shipped one at noise levels that it lacks."""
        shipped = self.load(shipped_for(solver, operator))
        assert not isinstance(shipped, Trained | NetworkLatentPrior)
        if shipped is prior:
            return prior
        return with_fallback(Grey(prior) if self._grey(prior, operator) else prior, shipped, self._say)

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
        precise = any(isinstance(module, InjectorUNet) for module in module_of(weights).modules())
        return choose_precision("auto" if precise else "float32", self.device)
