"""Methods by name, with the weights they need."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from idmcli.errors import ConfigError, InputError, NumericalError
from idmcli.models.checkpoints import Model, kind_of, load_weights, shipped_weights
from idmcli.models.compiled import compile_blocks
from idmcli.models.cpu import onednn_pays, use_onednn
from idmcli.models.denoiser import Denoiser
from idmcli.models.network import Network
from idmcli.models.stable_diffusion import StableDiffusionUNet
from idmcli.operators.base import LinearOperator
from idmcli.solvers import classical
from idmcli.solvers.ddnm import ddnm
from idmcli.solvers.problem import is_structurally_random
from idmcli.solvers.vamp import vamp

Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Method:
    """A way to reconstruct.

    Attributes:
        summary: one line for the user.
        needs: the weights it runs on: none, a "prior", or an "idm" network.
        shipped: the weights that come with idm for it.
    """

    summary: str
    needs: Literal["none", "prior", "idm"]
    shipped: str = ""


METHODS: dict[str, Method] = {
    "idm": Method("invertible diffusion model, trained end to end", "idm", "cs-tiny"),
    "vamp": Method("denoising vector approximate message passing with the prior", "prior", "prior-tiny"),
    "ddnm": Method("null-space diffusion sampling with the prior", "prior", "prior-tiny"),
    "tv": Method("total variation, no weights", "none"),
    "tikhonov": Method("smoothness, no weights", "none"),
    "back-projection": Method("the pseudo-inverse A+ y, no weights", "none"),
}


@dataclass(frozen=True)
class Reconstructor:
    """A method with its weights, on a device.

    Called with an operator, measurements (B, \\*measurement_shape) of images in [0, 1], the standard
    deviation of their noise and a seed (for sampling methods), it returns (B, C, H, W) in [0, 1].

    Raises (when called):
        InputError: the method cannot handle the operator.
        NumericalError: the result is not finite.
    """

    method: str
    model: Model | None
    device: torch.device
    precision: Precision = "float32"

    def __call__(self, operator: LinearOperator, y: Tensor, *, noise: float = 0.0, seed: int = 0) -> Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            x = self._run(operator.to(self.device), y.to(self.device), noise, seed)
        x = x.abs() if x.is_complex() else x
        if not bool(torch.isfinite(x).all()):
            raise NumericalError(f"method {self.method} gave values that are not finite", "try another --method")
        return x.clamp(0, 1)

    def _run(self, operator: LinearOperator, y: Tensor, noise: float, seed: int) -> Tensor:
        match self.method, self.model:
            case "idm", Network() as model:
                return model.reconstruct(y, operator)
            case "vamp", Denoiser() as model:
                return vamp(model, operator, y, noise=noise)
            case "ddnm", Denoiser() as model:
                return ddnm(model, operator, y, noise=noise, seed=seed)
            case _:
                return CLASSICAL[self.method](operator, y, noise)


CLASSICAL: dict[str, Callable[[LinearOperator, Tensor, float], Tensor]] = {
    "tv": lambda operator, y, noise: classical.total_variation(operator, y, noise=noise),
    "tikhonov": lambda operator, y, noise: classical.tikhonov(operator, y, noise=noise),
    "back-projection": lambda operator, y, noise: classical.back_projection(operator, y),
}


def default_method(operator: LinearOperator) -> str:
    """The best method that runs out of the box, by measurement (README, "Which method")."""
    if is_structurally_random(operator):
        return "vamp"
    return "back-projection" if operator.kind == "ct" else "tv"


class Library:
    """The networks of one command: each weights file is read once and made ready for a device.

    Args:
        device: where to compute.
        precision: of the networks; operators and solvers stay in float32.
        tile: side in pixels of the windows that the full-size network's attention is limited to.
        compile: pass the blocks of a network through torch.compile.

    Raises:
        ConfigError: torch.compile has no compiler to work with.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        precision: Precision = "float32",
        tile: int | None = None,
        compile: bool = False,
    ) -> None:
        if compile and device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
            raise ConfigError("--compile needs a C++ compiler", "install g++ or clang++, or leave out --compile")
        self.device = device
        self.precision: Precision = precision
        self._tile = tile
        self._compile = compile
        self._models: dict[Path, Model] = {}

    def load(self, path: Path) -> Model:
        """The network of a weights file.

        Raises:
            ConfigError: the file is missing or damaged, or its network has no attention to tile.
            NumericalError: a weight is not finite.
        """
        if path not in self._models:
            self._models[path] = self._prepare(path)
        return self._models[path]

    def _prepare(self, path: Path) -> Model:
        try:
            model = load_weights(path)
        except InputError as error:
            raise ConfigError(error.message, error.hint) from error
        unet = (model if isinstance(model, Denoiser) else model.denoiser).unet
        if self._tile is not None:
            if not isinstance(unet, StableDiffusionUNet):
                raise ConfigError(f"--tile is for attention, and {str(path)!r} has none", "leave out --tile")
            unet.attend_in_tiles(self._tile)
        exact_on_cpu = self.device.type == "cpu" and self.precision == "float32"
        if isinstance(unet, StableDiffusionUNet) and exact_on_cpu and onednn_pays():
            use_onednn(unet)
        if self._compile:
            compile_blocks(unet)
        return model.to(self.device)


def load_reconstructor(
    method: str | None, operator: LinearOperator, weights: Path | None, library: Library
) -> Reconstructor:
    """A reconstructor for ``operator``.

    Args:
        method: a name of :data:`METHODS`; None for the one that ``weights`` are made for, or else
            the default for the operator.
        operator: the operator, or one like it.
        weights: a weights file instead of the shipped ones.
        library: where networks come from.

    Raises:
        ConfigError: unknown method, or weights that are missing, damaged or of the wrong kind for it.
        NumericalError: a weight is not finite.
    """
    model = library.load(weights) if weights is not None else None
    if method is None:
        method = "idm" if model is not None and kind_of(model) == "idm" else default_method(operator)
    if method not in METHODS:
        raise ConfigError(f"--method {method} is unknown", f"choose one of {', '.join(METHODS)}")
    needs = METHODS[method].needs
    if needs == "none":
        if model is not None:
            raise ConfigError(f"--method {method} takes no weights", "leave out --weights or choose another method")
        return Reconstructor(method, None, library.device, library.precision)
    if model is None:
        model = library.load(shipped_weights(METHODS[method].shipped))
    if kind_of(model) != needs:
        raise ConfigError(
            f"--method {method} needs weights of kind {needs}, and {str(weights)!r} is of kind {kind_of(model)}",
            "choose the method the weights were trained for",
        )
    return Reconstructor(method, model, library.device, library.precision)
