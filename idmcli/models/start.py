"""The start of a network from trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.architectures import UNetSettings
from idmcli.models.checkpoints import load_weights, shipped_names, shipped_weights
from idmcli.models.denoiser import Denoiser
from idmcli.models.learned import Learned
from idmcli.models.pretrained import differences, find_unet, load_unet
from idmcli.models.stable_diffusion import StableDiffusionUNet
from idmcli.models.tensors import PICKLES
from idmcli.models.unet import UNetConfig
from idmcli.plugins import MODELS


@dataclass(frozen=True)
class Start:
    """A report of what a network took from other weights.

    Attributes:
        tensors, parameters: how much.
        own: number of tensors that such weights do not have: injectors, couplings, the rule.
        unfit: remarks on tensors that they have in another shape or lack. Like ``own``, these keep their start.
        differences: remarks on what the same tensors compute there and not here.
    """

    tensors: int
    parameters: int
    own: int
    unfit: tuple[str, ...]
    differences: tuple[str, ...]

    def __str__(self) -> str:
        kept = [f"{self.own} of the network's own (injectors, couplings)"] if self.own else []
        kept += [f"{len(self.unfit)} that do not fit"] if self.unfit else []
        text = f"{self.tensors} tensors, {self.parameters / 1e6:.2f} M parameters loaded"
        text += f"; {' and '.join(kept)} keep their start" if kept else ""
        text += f": {', '.join(self.unfit[:6])}" if self.unfit else ""
        return text + (f" and {len(self.unfit) - 6} more" if len(self.unfit) > 6 else "")


def find_start(source: str, *, full: bool) -> Path:
    """The weights file, or the folder of Stable Diffusion's U-Net, that a network may start from.

    Args:
        source: the name of weights that come with idm, a weights file, or what
            :func:`idmcli.models.pretrained.find_unet` takes; in this order.
        full: whether the network is of full size; smaller ones have no blocks of Stable Diffusion.

    Raises:
        InputError: it names neither, or cannot be downloaded, or needs a full-size network.
    """
    path, shipped = Path(source), shipped_names()
    if source in shipped:
        return shipped_weights(source)
    if path.is_file() or path.suffix in (".safetensors", *PICKLES):
        return path  # what is wrong with a file is found when it is loaded
    if not full:
        raise InputError(
            f"--init {source!r} is no weights file, and Stable Diffusion's weights are for full-size networks only",
            f'name one that comes with idm ({", ".join(shipped)}) or a weights file, or set model.size = "full"',
        )
    return find_unet(source)


def initialise(model: Learned, source: str | Path) -> Start:
    """Copy trained weights into ``model``: those of its own kind, a prior into the denoiser of another kind, or Stable
    Diffusion's into a full-size U-Net. What they lack keeps its start, for injectors the identity, but for what sees
    the measurements: that starts at zero.

    Args:
        model: to be changed.
        source: as for :func:`find_start`.

    Raises:
        InputError: as :func:`find_start`, or the weights are of another shape or kind.
        NumericalError: one of them is not finite.
    """
    unet = next((module for module in model.modules() if isinstance(module, StableDiffusionUNet)), None)
    start = find_start(str(source), full=unet is not None)
    if start.is_dir() and unet is not None:
        loaded, unfit = load_unet(unet, start)
        remarks = differences(start)
    else:
        loaded, unfit, remarks = _copy(model, start), [], []
    return Start(
        tensors=len(loaded),
        parameters=sum(parameter.numel() for parameter in loaded),
        own=len(list(model.parameters())) - len(loaded) - len(unfit),
        unfit=tuple(unfit),
        differences=tuple(remarks),
    )


def _copy(model: Learned, start: Path) -> list[nn.Parameter]:
    """Copy the weights in a file into ``model``; returns them."""
    source, kind = load_weights(start), MODELS.find(model.kind)
    if source.kind not in kind.starts_from:
        hint = f"{kind.noun} starts from {' or '.join(MODELS.find(other).noun for other in kind.starts_from)}"
        raise InputError(f"--init {str(start)!r} is of kind {source.kind}", hint)
    target: nn.Module = model
    tensors = source.state_dict()
    inner, outer = _denoiser(source), _denoiser(model)
    if inner is not None and outer is not None:
        if inner.config.noise_map and not outer.config.noise_map:
            raise InputError(
                f"--init {str(start)!r} receives the noise level, and the network to be trained does not",
                "set model.noise_map = true",
            )
        adapted = _coloured(inner.state_dict(), inner.unet.config, outer.unet.config)
        adapted = _widened(adapted, inner, outer)
        if inner is source:
            target, tensors = outer, adapted
        else:
            tensors |= {f"denoiser.{name}": tensor for name, tensor in adapted.items()}
    try:
        missing, unexpected = target.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"--init {str(start)!r} has tensors of other shapes: {str(error).splitlines()[1].strip()}",
            "use the same model.size, model.steps, model.channels, model.blocks and model.carry",
        ) from error
    missing = [name for name in missing if ".to_image." not in name and ".to_features." not in name]
    if missing or unexpected:
        raise InputError(
            f"--init {str(start)!r} is another network: {(missing + unexpected)[0]} has no counterpart",
            "use the same model.size, model.steps, model.channels, model.blocks and model.carry",
        )
    return list(source.parameters())


def _denoiser(model: nn.Module) -> Denoiser | None:
    """The noise estimator in a model, or the model itself if it is one; None for a model without."""
    return next((module for module in model.modules() if isinstance(module, Denoiser)), None)


def _coloured(tensors: dict[str, Tensor], grey: UNetSettings, colour: UNetSettings) -> dict[str, Tensor]:
    """The weights of a grey U-Net for one of ``colour.image_channels``, which then sees the mean of the channels and
    estimates the same noise in each; other weights as they are."""
    copies = colour.image_channels
    if grey.image_channels != 1 or copies == 1 or not isinstance(grey, UNetConfig):
        return tensors
    first, last = tensors["unet.conv_in.weight"], tensors["unet.conv_out.weight"]
    return {
        **tensors,
        "unet.conv_in.weight": first.repeat(1, copies, 1, 1) / copies,
        "unet.conv_out.weight": last.repeat(copies, 1, 1, 1),
        "unet.conv_out.bias": tensors["unet.conv_out.bias"].repeat(copies),
    }


def _widened(tensors: dict[str, Tensor], source: Denoiser, target: Denoiser) -> dict[str, Tensor]:
    """The weights of a U-Net for one of more inputs and outputs.

    New inputs stand after the old images and before the noise map, and the estimate of the noise does not depend on
    them. New outputs keep their start.
    """
    channels = target.unet.config.image_channels
    first = tensors["unet.conv_in.weight"]
    inputs = first.view(len(first), channels, source.inputs, -1, *first.shape[2:])
    images, level = inputs.tensor_split([source.inputs - source.config.noise_map], 2)
    unseen = torch.zeros_like(inputs[:, :, :1]).repeat(1, 1, max(0, target.inputs - source.inputs), 1, 1, 1)
    found = {**tensors, "unet.conv_in.weight": torch.cat([images, unseen, level], 2).flatten(1, 3)}
    own = target.state_dict()
    for name in (f"unet.{target.unet.last}.{part}" for part in ("weight", "bias")):
        if target.outputs > source.outputs and len(own[name]) * source.outputs == len(tensors[name]) * target.outputs:
            outputs = own[name].view(channels, target.outputs, -1, *own[name].shape[1:]).clone()
            outputs[:, : source.outputs] = tensors[name].view(channels, source.outputs, *outputs.shape[2:])
            found[name] = outputs.flatten(0, 2)
    return found
