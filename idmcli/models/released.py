"""The released checkpoints (``net_params_*.pkl``): their names for the parameters, and their import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.injector import Injector
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import PATCH, Attention, StableDiffusionConfig, StableDiffusionUNet
from idmcli.models.tensors import check, fill, read_pickle
from idmcli.reversible.coupling import ReversibleGroup

AGAIN = "download or copy it again"
Names = Iterator[tuple[str, str]]

RENAMED = {
    "conv_in": "conv_in",
    "downsample": "down_blocks.0.downsamplers.0",
    "enter_coarse.block": "down_blocks.1.resnets.0",
    "enter_up_coarse.residual.block": "up_blocks.0.resnets.0",
    "enter_up_fine.upsample": "up_blocks.0.upsamplers.0",
    "enter_up_fine.residual.block": "up_blocks.1.resnets.0",
    "head.norm": "conv_norm_out",
    "head.conv": "conv_out",
}
# Our group, its released name, and the number of its first residual block there.
GROUPS = (
    ("down_fine", "down_blocks.0", 0),
    ("down_coarse", "down_blocks.1", 1),
    ("up_coarse", "up_blocks.0", 1),
    ("up_fine", "up_blocks.1", 1),
)


def load_released(path: Path) -> InvertibleDiffusion:
    """The network of a released checkpoint, in float32 and evaluation mode.

    The file is a state dict by :func:`released_names` and, where it has them, :func:`released_aliases`, with or
    without ``module.`` in front; scalars have the shape (1,). The configuration follows from the shapes.

    Raises:
        InputError: the file is missing, damaged or more than a state dict, or its tensors are not such a network's.
        NumericalError: a weight is not finite.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in read_pickle(path).items()}
    model = _model_of(path, tensors)
    names, aliases = released_names(model), released_aliases(model)
    expected = {names[ours]: p if p.ndim else p.reshape(1) for ours, p in model.named_parameters()}
    present = {alias: name for alias, name in aliases.items() if alias in tensors}
    check(path, expected | {alias: expected[name] for alias, name in present.items()}, tensors)
    for alias, name in present.items():
        if not torch.equal(tensors[alias], tensors[name]):
            raise InputError(
                f"{str(path)!r} contradicts itself: {alias} is not {name}, though they are one tensor", AGAIN
            )
    model.trained_for = released_for(model.config.denoiser.unet.image_channels)
    model.training_record = {"released": path.name}
    return fill(model, {ours: tensors[names[ours]].reshape(p.shape) for ours, p in model.named_parameters()})


def released_for(channels: int) -> dict[str, Any]:
    """The purpose that the released networks were trained for."""
    return {"task": "cs", "operator": {"permutation": "global"}, "channels": channels, "domain": "photographs"}


def _model_of(path: Path, tensors: Mapping[str, Tensor]) -> InvertibleDiffusion:
    """A network of the size of ``tensors``, on the meta device."""
    try:
        fine, outer = tensors["unet.conv_in.weight"].shape[:2]
        config = StableDiffusionConfig(
            image_channels=1 if outer == PATCH**2 else 3,
            steps=min(tensors["alpha"].numel(), len(tensors)),
            injector_kernel=3 if tensors["unet.down_blocks.0.injectors.0.f2i.0.1.weight"].shape[-1] == 3 else 1,
            channels=(fine, tensors["unet.down_blocks.1.resnets.0.conv1.weight"].shape[0]),
        )
        with torch.device("meta"):
            return InvertibleDiffusion(SamplerConfig(DenoiserConfig(config, mean=0.0)))
    except KeyError as error:
        raise InputError(f"{str(path)!r} holds no released network: {error.args[0]} is missing", AGAIN) from None
    except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:  # whatever a network refuses
        raise InputError(f"{str(path)!r} holds no released network: none has tensors of these shapes", AGAIN) from error


def released_names(model: InvertibleDiffusion) -> dict[str, str]:
    """For every parameter of a full-size sampler, its name in a released checkpoint."""
    steps = range(len(model.couplings))
    return {
        "rule.alpha": "alpha",
        "start_scale": "input_help_scale_factor",
        "end_scale": "merge_scale_factor",
        **{f"couplings.{step}.v": f"body.{step}.v" for step in steps},
        **{f"denoiser.unet.{ours}": f"unet.{theirs}" for ours, theirs in unet_names(_unet_of(model)).items()},
    }


def released_aliases(model: InvertibleDiffusion) -> dict[str, str]:
    """The second names of a group's modules, by their place in it; each with the first, by kind."""
    return {
        f"unet.{place}.body.{name}": f"unet.{kind}.{name}"
        for ours, theirs, residual in GROUPS
        for module, kind, place in _places(_unet_of(model), ours, theirs, residual)
        for _, name in _inside(module)
    }


def unet_names(unet: StableDiffusionUNet) -> dict[str, str]:
    """For every parameter of the U-Net, its name in the released one; blocks have the names of Stable Diffusion."""

    def names() -> Names:
        for ours, theirs in RENAMED.items():
            for name, _ in unet.get_submodule(ours).named_parameters():
                yield f"{ours}.{name}", f"{theirs}.{name}"
        for ours, theirs, residual in GROUPS:
            for index, (module, kind, place) in enumerate(_places(unet, ours, theirs, residual)):
                for name, released in _inside(module):
                    yield f"{ours}.modules_.{index}.{name}", f"{kind}.{released}"
                yield f"{ours}.couplings.{index}.v", f"{place}.v"
            several = len(_group(unet, ours).exits) > 1
            yield f"{ours}.open_scale", f"{theirs}.input_help_scale_factor"
            yield f"{ours}.close_scale", f"{theirs}.merge_scale_factor{'s' if several else ''}"

    return dict(names())


def _unet_of(model: InvertibleDiffusion) -> StableDiffusionUNet:
    assert isinstance(model.denoiser.unet, StableDiffusionUNet)
    return model.denoiser.unet


def _group(unet: StableDiffusionUNet, name: str) -> ReversibleGroup:
    group = unet.get_submodule(name)
    assert isinstance(group, ReversibleGroup)
    return group


def _places(unet: StableDiffusionUNet, ours: str, theirs: str, residual: int) -> Iterator[tuple[nn.Module, str, str]]:
    """The modules of a group, each with its released name by kind, counted on its own, and by place."""
    group = _group(unet, ours)
    injectors, attentions, residuals = count(), count(), count(residual)
    for part, (start, end) in enumerate(zip([0, *group.exits], group.exits, strict=False)):
        for index in range(start, end):
            module = group.modules_[index]
            if isinstance(module, Injector):
                kind = f"injectors.{next(injectors)}"
            elif isinstance(module, Attention):
                kind = f"attentions.{next(attentions)}"
            else:
                kind = f"resnets.{next(residuals)}"
            place = f"rev_module_lists.{part}.{index - start}" if len(group.exits) > 1 else f"rev_module_list.{index}"
            yield module, f"{theirs}.{kind}", f"{theirs}.{place}"


def _inside(module: nn.Module) -> Names:
    """Names inside a module of a group. Released injectors are numbered by the time t = T .. 1, ours by the step."""
    if not isinstance(module, Injector):
        for name, _ in module.get_submodule("block").named_parameters():
            yield f"block.{name}", name
        return
    for step, time in enumerate(reversed(range(len(module.to_image)))):
        for name in ("weight", "bias"):
            yield f"to_image.{step}.{name}", f"f2i.{time}.1.{name}"
            yield f"to_features.{step}.{name}", f"i2f.{time}.0.{name}"
