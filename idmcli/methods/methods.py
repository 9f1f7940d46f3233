"""The methods of one command, on weights that are loaded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch

from idmcli import learned, solvers, tasks
from idmcli.config import SolverConfig
from idmcli.errors import ConfigError, InputError
from idmcli.methods.defaults import defaults_of
from idmcli.methods.method import Method
from idmcli.methods.options import read_options
from idmcli.methods.weights import Weights, check_purpose, no_prior, read_prior, read_weights, wrong_weights
from idmcli.models import shipped_weights
from idmcli.models.compiled import check_compiler, compile_blocks
from idmcli.models.evaluations import Evaluations
from idmcli.models.precision import Precision, choose_precision
from idmcli.models.stable_diffusion import StableDiffusionUNet
from idmcli.models.unet import InjectorUNet
from idmcli.operators import Operator
from idmcli.priors import Grey, GreyLatent, LatentPrior, Prior, averaged, find_prior, with_fallback
from idmcli.solvers import Solver


class Methods:
    """Makes methods that are ready to run. Each file of weights is read once, and made ready for a device.

    Args:
        device: where to compute.
        precision: of the networks; operators and solvers stay in float32. "auto" is bf16 where the device computes in
            it and the network has its first and last layer in float32, which costs nothing measurable.
        ensemble: take the mean over all flips and quarter turns wherever a network is called.
        tile: side in pixels of the windows that the full-size network's attention is limited to.
        compile: pass the blocks of a network, or one of other authors as a whole, through torch.compile.
        warn: told once of each way in which a prior is used beyond what it was trained for, and of options without use.

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
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        if compile:
            check_compiler(device, "--compile")
        self.device = device
        self.precision: Precision | Literal["auto"] = precision
        self._ensemble = ensemble
        self._tile = tile
        self._compile = compile
        self._warn = warn
        self._warned: set[str] = set()
        self._loaded: dict[Path, Weights] = {}
        self._places: dict[str, Path] = {}
        self._evaluations = Evaluations()

    def load(self, path: Path) -> Weights:
        """The weights in a file or a folder.

        Raises:
            ConfigError: the file is missing or damaged, or its network has no attention to tile.
            NumericalError: a weight is not finite.
        """
        if path not in self._loaded:
            try:
                weights = read_weights(path)
            except InputError as error:
                raise ConfigError(error.message, error.hint) from error
            self._loaded[path] = self._prepared(path, weights)
        return self._loaded[path]

    def _prepared(self, path: Path, weights: Weights) -> Weights:
        """Weights on the device, with all that was asked for."""
        network = weights.network
        if self._ensemble and learned.find(weights.kind).for_measurements:
            weights.model.average_over_turns()
        attending = [module for module in network.modules() if isinstance(module, StableDiffusionUNet)]
        if self._tile is not None and not attending:
            raise ConfigError(f"--tile is for attention, and {str(path)!r} has none", "leave out --tile")
        if self._tile is not None:
            for unet in attending:
                unet.attend_in_tiles(self._tile)
        if self._compile:
            compile_blocks(network)
        network.to(self.device)
        for part in weights.parts:
            self._evaluations.watch(part)
        return weights

    def named(self, weights: Path | None, prior: str | None) -> Mapping[str, Path]:
        """The files that ``weights`` and ``prior`` name, by their kind; they are loaded.

        Raises:
            ConfigError: one is missing, damaged or of another kind, or both are priors.
            NumericalError: a weight is not finite.
        """
        named = {} if weights is None else {self.load(weights).kind: weights}
        if prior is None:
            return named
        if "prior" in named or "latent" in named:
            raise ConfigError(f"--weights {str(weights)!r} and --prior {prior!r} are two priors", "leave out one")
        path = self._place_of(prior)
        return {**named, self.load(path).kind: path}

    def _place_of(self, prior: str) -> Path:
        """Where the prior of that name is."""
        if prior not in self._places:
            try:
                path = find_prior(prior)
                known = path in self._loaded
                weights = self._loaded[path] if known else read_prior(path)
            except InputError as error:
                raise ConfigError(error.message, error.hint) from error
            if weights is None or weights.kind not in ("prior", "latent"):
                raise no_prior(path)
            if not known:
                self._loaded[path] = self._prepared(path, weights)
            self._places[prior] = path
        return self._places[prior]

    def method(
        self,
        name: str | None,
        operator: Operator,
        weights: Path | None,
        settings: SolverConfig,
        *,
        prior: str | Prior | None = None,
        noise: float = 0.0,
    ) -> Method:
        """A method for what an operator measured.

        Args:
            name: of the method; None for the one that ``weights`` or ``prior`` are made for, or else the default for
                the operator.
            operator: the operator, or one like it.
            weights: a network, or a prior, instead of the shipped ones.
            settings: options of the method.
            prior: what :func:`idmcli.priors.find_prior` takes, or a prior itself. Within the noise levels and for the
                channels it was trained for it is used as it is; beyond them as ``warn`` is told.
            noise: of the measurements, for images in 0..1; the default method may depend on it.

        Raises:
            ConfigError: the method or an option of it is unknown, or the weights are missing, damaged, of the wrong
                kind for it, or made for another task.
            NumericalError: a weight is not finite.
        """
        own = None if prior is None or isinstance(prior, str) else prior
        named = self.named(weights, prior if isinstance(prior, str) else None)
        kinds = {*named, *(["prior"] if own is not None else [])}
        solver = solvers.find(name or settings.method or _default(kinds, operator, noise))
        options = read_options(
            solver, {**defaults_of(operator).options_for(solver, operator, noise), **settings.options}
        )
        for kind, path in named.items():
            if kind != solver.weights:
                raise wrong_weights(solver, kind, path, "weights" if path == weights else "prior", named)
        if own is not None and solver.weights != "prior":
            raise ConfigError(f"--method {solver.name} takes no prior", "leave out the prior or choose another method")
        ensemble = self._ensemble and solver.weights not in (None, "latent")
        if self._ensemble and not ensemble:
            self._say(f"--ensemble does nothing for method {solver.name}")
        if solver.weights is None:
            return Method(solver, options, None, self.device)
        if own is not None:
            own = self._adapted(own, solver, operator)
            own = averaged(own) if self._ensemble else own
            return Method(solver, options, own, self.device, "float32", own.name, ensemble, self._evaluations)
        path = named.get(solver.weights) or shipped_for(solver, operator, noise)
        loaded = self.load(path)
        model = loaded.model
        if loaded.kind == "latent":
            model = self._latent(model, operator)
        elif loaded.kind == "prior":
            model = self._adapted(model, solver, operator) if "prior" in named else model
            model = averaged(model) if self._ensemble else model
        else:
            check_purpose(path, model, operator, noise)
        precision = self._precision_of(loaded)
        return Method(solver, options, model, self.device, precision, loaded.name, ensemble, self._evaluations)

    def _adapted(self, prior: Prior, solver: Solver, operator: Operator) -> Prior:
        """A prior for the channels of what was measured, with the shipped one at noise levels that it lacks."""
        shipped: Prior = self.load(shipped_for(solver, operator)).model
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
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def _precision_of(self, weights: Weights) -> Precision:
        if self.precision != "auto":
            return self.precision
        precise = any(isinstance(module, InjectorUNet) for module in weights.network.modules())
        return choose_precision("auto" if precise else "float32", self.device)


def _default(kinds: set[str], operator: Operator, noise: float) -> str:
    """The best method that takes the kinds of weights that were named."""
    if len(kinds) > 1:
        raise ConfigError("--weights and --prior serve different methods", "choose one with --method")
    best = defaults_of(operator).best(operator, noise)
    for kind in kinds:
        own = learned.find(kind).method
        return own or next(name for name in best if solvers.find(name).weights == kind)
    return best[0]


def shipped_for(solver: Solver, operator: Operator, noise: float = 0.0) -> Path:
    """The weights that come with idm for a method and what it is to reconstruct.

    Raises:
        ConfigError: there are none.
    """
    defaults, kind = defaults_of(operator), operator.kind
    name = defaults.weights_for(solver, operator.image_shape[0])
    if name is not None:
        return shipped_weights(name)
    if solver.weights == "latent":
        raise ConfigError(
            f"no latent prior for --method {solver.name} on task {kind} comes with idm",
            "name one with --prior: latent-ct-tiny (of head CT), or a folder of diffusers with an autoencoder",
        )
    if kind not in tasks.kinds():
        training = "name some with --weights"
    else:
        preset, of_kind = tasks.find(kind).preset, f" --set model.kind={solver.weights}"
        of_kind = "" if solver.weights == "idm" else of_kind  # the presets of tasks are for this kind
        training = f"train some with `idm train --preset {preset}{of_kind}` and name them with --weights"
    raise ConfigError(
        f"no weights for --method {solver.name} on task {kind} come with idm",
        f"{training}, or use --method {defaults.method(operator, noise)}",
    )
