"""State dicts of other authors' networks, recognised by their names; sizes are read off the shapes.

Each function returns None for a state dict that is not its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.foreign.convolutional import IRCNN, IRCNN_DILATIONS, DnCNN, FFDNet, NormalisedFFDNet
from idmcli.models.foreign.diffusion import (
    THIRDS,
    VariancePreserving,
    guided_config,
    guided_names,
    guided_tensor,
    linear_schedule,
)
from idmcli.models.foreign.drunet import DRUNet
from idmcli.models.foreign.edm import EDM, NOISE_LEVELS
from idmcli.models.tensors import check, fill
from idmcli.priors.foreign import ForeignPrior, photographs

Tensors = Mapping[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)

FFDNET_LEVELS = (0.0, 75 / 255)
BLIND_DNCNN_LEVELS, BLIND_DNCNN_LAYERS = (0.0, 55 / 255), 20
DRUNET_LEVELS, DEEPINV_LEVELS = (0.0, 50 / 255), (0.0, 20 / 255)


def built(path: Path, build: Callable[[], Module]) -> Module:
    """A network on the meta device, of the size that a file's tensors or configuration say.

    Raises:
        InputError: there is none such.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):  # of sizes that do not fit later
            return build()
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{str(path)!r} is not whole: {error.args[0]} is missing", "copy it again") from None
    except Exception as error:  # whatever a network refuses
        raise InputError(f"{str(path)!r} describes no network that can be built", "copy it again") from error


def filled(path: Path, network: Module, tensors: Tensors, named: Callable[[str], str] = str) -> Module:
    """A network with the values of a file, whose name for each parameter ``named`` gives.

    Raises:
        InputError: a tensor is missing, unknown or of another shape; the first ten are named.
        NumericalError: one is not finite.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    check(path, {named(name): tensor for name, tensor in own.items()}, tensors)
    return fill(network, {name: tensors[named(name)] for name in own})


def image_channels(path: Path, channels: int) -> int:
    """Raise InputError unless so many channels are those of a grey or a colour image."""
    if channels not in (1, 3):
        raise InputError(
            f"{str(path)!r} is for images of {channels} channels", "name a prior for grey or colour images"
        )
    return channels


def drunet(path: Path, tensors: Tensors) -> ForeignPrior | None:
    """DRUNet; its authors' weights are for noise of up to 50 of 255, those that deepinv trained for 20."""
    if not {"m_head.weight", "m_tail.weight"} & tensors.keys():
        return None

    def build() -> DRUNet:
        widths = [tensors[f"m_up{scale}.0.weight"].shape[1] for scale in (1, 2, 3)]
        blocks = len([name for name in tensors if re.fullmatch(r"m_body\.\d+\.res\.0\.weight", name)])
        channels = image_channels(path, tensors["m_tail.weight"].shape[0])
        return DRUNet(channels, [*widths, tensors["m_up3.0.weight"].shape[0]], blocks)

    network = filled(path, built(path, build), tensors)
    levels = DEEPINV_LEVELS if "deepinv" in path.stem else DRUNET_LEVELS
    return ForeignPrior(network, path.stem, photographs(network.channels, symmetric=True), levels)


def chain(path: Path, tensors: Tensors) -> ForeignPrior | None:
    """DnCNN and FFDNet in the layout of KAIR."""
    places = _places(tensors, r"model\.(\d+)\.(weight|bias)")
    if places is None:
        return None
    layers = max(places) // 2 + 1

    def build() -> FFDNet | DnCNN:
        first, last = tensors["model.0.weight"], tensors[f"model.{2 * (layers - 1)}.weight"]
        inner, outer, features = first.shape[1], last.shape[0], first.shape[0]
        if (inner, outer) in ((5, 4), (13, 12)):
            return FFDNet(outer // 4, features, layers)
        if inner == outer and layers != len(IRCNN_DILATIONS):
            return DnCNN(image_channels(path, outer), features, layers)
        raise InputError(
            f"{str(path)!r} is a network of {layers} convolutions from {inner} to {outer} channels, and neither a "
            "DnCNN nor an FFDNet",
            "name the whole file of IRCNN's networks, not one of them" if inner == outer else "",
        )

    network = filled(path, built(path, build), tensors)
    levels = FFDNET_LEVELS if isinstance(network, FFDNet) else _dncnn_levels(path, layers)
    return ForeignPrior(network, path.stem, photographs(network.channels, symmetric=True), levels)


def _dncnn_levels(path: Path, layers: int) -> tuple[float, float]:
    """Those of a blind network, or those within 1 of 255 of the one level that a file's name gives."""
    level = re.search(r"[_-](\d{1,2})(?!\d)", path.stem)
    if level is not None:
        return (int(level[1]) - 1) / 255, (int(level[1]) + 1) / 255
    if layers >= BLIND_DNCNN_LAYERS:
        return BLIND_DNCNN_LEVELS
    raise InputError(
        f"{str(path)!r} is a DnCNN for one noise level, and its name does not say which",
        "call the file dncnn_25.pth, for example, if it is for 25 of 255",
    )


def ircnn(path: Path, tensors: Tensors) -> ForeignPrior | None:
    """The networks of IRCNN in one file, "0" to "24"."""
    places = _places(tensors, r"(\d+)\.model\.\d+\.(weight|bias)")
    if places is None:
        return None

    def build() -> IRCNN:
        first = tensors["0.model.0.weight"]
        return IRCNN(image_channels(path, first.shape[1]), first.shape[0], max(places) + 1)

    network = filled(path, built(path, build), tensors, lambda name: name.removeprefix("networks."))
    levels = (IRCNN.STEP, len(network.networks) * IRCNN.STEP)
    return ForeignPrior(network, path.stem, photographs(network.channels, symmetric=True), levels)


def normalised_ffdnet(path: Path, tensors: Tensors) -> ForeignPrior | None:
    """FFDNet in the layout of its IPOL paper."""
    prefix = "intermediate_dncnn.itermediate_dncnn."
    places = _places(tensors, re.escape(prefix) + r"(\d+)\.\w+")
    if places is None:
        return None
    layers = (max(places) + 4) // 3  # 0, 2, 5, 8 ..

    def build() -> NormalisedFFDNet:
        first = tensors[f"{prefix}0.weight"]
        return NormalisedFFDNet(image_channels(path, first.shape[1] // 5), first.shape[0], layers)

    network = filled(path, built(path, build), tensors)
    return ForeignPrior(network, path.stem, photographs(network.channels, symmetric=True), FFDNET_LEVELS)


def _places(tensors: Tensors, pattern: str) -> set[int] | None:
    """The numbers of the layers in a state dict, by the names that follow a pattern; None if there are none, or they
    could not be those of layers."""
    matches = [re.fullmatch(pattern, name) for name in tensors]
    places = {int(match[1]) for match in matches if match is not None and len(match[1]) < 6}
    return places if places and max(places) <= 3 * len(tensors) else None


def guided_diffusion(path: Path, tensors: Tensors) -> ForeignPrior | None:
    """The unconditional networks of guided diffusion with its linear schedule: OpenAI's and DPS's."""
    if not {"time_embed.0.weight", "input_blocks.0.0.weight"} <= tensors.keys():
        return None
    _refuse_classes(path, "label_emb.weight" in tensors)
    from diffusers import UNet2DModel

    unet = built(path, lambda: cast(nn.Module, UNet2DModel(**guided_config(tensors))))  # type: ignore[no-untyped-call]
    names, own = guided_names(unet), unet.state_dict()
    check(path, {names[name]: _as_published(name, tensor) for name, tensor in own.items()}, tensors)
    fill(unet, {name: guided_tensor(name, tensors[names[name]]) for name in own})
    return diffusion(path, path.stem, VariancePreserving(unet, linear_schedule()))


def _as_published(name: str, tensor: Tensor) -> Tensor:
    """A tensor of the shape that the counterpart of one of ours has."""
    thirds = 3 if name.split(".")[-2] in THIRDS else 1
    kernel = (1,) if ".attentions." in name and tensor.ndim == 2 else ()
    return torch.empty((thirds * tensor.shape[0], *tensor.shape[1:], *kernel), device="meta")


def diffusion(path: Path, name: str, network: VariancePreserving) -> ForeignPrior:
    """The prior of a diffusion model, whose pictures have a right way up."""
    channels = image_channels(path, int(network.unet.config.in_channels))  # type: ignore[union-attr, arg-type]
    return ForeignPrior(network.eval(), name, photographs(channels, symmetric=False), network.noise_levels)


def edm(path: Path, tensors: Tensors) -> ForeignPrior | None:
    """The unconditional networks of EDM, with or without "model." in front of the names."""
    prefix = "model." if "model.map_layer0.weight" in tensors else ""
    if f"{prefix}map_layer0.weight" not in tensors:
        return None
    inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    _refuse_classes(path, "map_label.weight" in inner)
    if "baseline" in path.stem:
        raise InputError(f"{str(path)!r} has another preconditioning than EDM's", "name one that EDM trained")
    network = filled(path, built(path, lambda: EDM(inner)), tensors, lambda name: f"{prefix}{name}")
    channels = image_channels(path, network.channels)
    low, high = NOISE_LEVELS
    return ForeignPrior(network, path.stem, photographs(channels, symmetric=False), (low / 2, high / 2))


def _refuse_classes(path: Path, conditional: bool) -> None:
    if conditional:
        raise InputError(f"{str(path)!r} needs the class of the image", "name an unconditional network")


LAYOUTS: Mapping[str, Callable[[Path, Tensors], ForeignPrior | None]] = {
    "DRUNet": drunet,
    "DnCNN and FFDNet of KAIR": chain,
    "IRCNN of KAIR": ircnn,
    "FFDNet of its IPOL paper": normalised_ffdnet,
    "guided diffusion": guided_diffusion,
    "EDM": edm,
}
