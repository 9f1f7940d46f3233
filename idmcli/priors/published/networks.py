"""Networks of the sizes that files describe, with the values in them, as priors for photographs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.denoiser import PHOTOGRAPH_MEAN
from idmcli.models.tensors import check, fill
from idmcli.models.variance_preserving import VariancePreserving
from idmcli.priors.base import Domain
from idmcli.priors.module import ModulePrior

Tensors = Mapping[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)


def build_network(path: Path, build: Callable[[], Module]) -> Module:
    """A network on the meta device, of the size that the tensors or the configuration of a file say.

    Args:
        path: the file, for messages.
        build: makes the network; whatever it raises means that the file describes none.

    Returns:
        The result of ``build``.

    Raises:
        InputError: ``build`` raised something.
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


def load_tensors(path: Path, network: Module, tensors: Tensors, name_in_file: Callable[[str], str] = str) -> Module:
    """Give a network the values of a file.

    Args:
        path: the file, for messages.
        network: on the meta device.
        tensors: the state dict of the file.
        name_in_file: the name in the file of each tensor of the network, by its name there.

    Returns:
        The network on the CPU, frozen and in evaluation mode.

    Raises:
        InputError: a tensor is missing, unknown or of another shape; the first ten are named.
        NumericalError: a value is not finite.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    check(path, {name_in_file(name): tensor for name, tensor in own.items()}, tensors)
    return fill(network, {name: tensors[name_in_file(name)] for name in own})


def check_image_channels(path: Path, channels: int) -> int:
    """The number of channels itself.

    Raises:
        InputError: it is neither for grey nor for colour images.
    """
    if channels not in (1, 3):
        raise InputError(
            f"{str(path)!r} is for images of {channels} channels", "name a prior for grey or colour images"
        )
    return channels


def photographs(channels: int, *, symmetric: bool) -> Domain:
    """The domain of a network that was trained on photographs, with or without flips of them."""
    return Domain(channels, PHOTOGRAPH_MEAN, symmetric)


def diffusion_prior(path: Path, name: str, network: VariancePreserving) -> ModulePrior:
    """A diffusion model for photographs, which have a right way up, as a prior.

    Args:
        path: its file or folder, for messages.
        name: the name of the prior.
        network: the model.

    Returns:
        The prior, for the noise levels of the model's schedule.

    Raises:
        InputError: it is for images of neither 1 nor 3 channels.
    """
    channels = check_image_channels(path, int(network.unet.config.in_channels))  # type: ignore[union-attr, arg-type]
    return ModulePrior(network.eval(), name, photographs(channels, symmetric=False), network.noise_levels)
