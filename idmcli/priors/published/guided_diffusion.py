"""Guided diffusion (Dhariwal & Nichol, NeurIPS 2021): the unconditional networks of OpenAI and of DPS.

Their U-Net is a ``UNet2DModel`` of diffusers: its configuration is read off the shapes of a state dict, and the tensors
go by another name and in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.tensors import check, fill
from idmcli.models.variance_preserving import VariancePreserving, linear_schedule
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.networks import Tensors, build_network, diffusion_prior

HEAD_CHANNELS = 64  # of the published models; no tensor tells

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "qkv", "to_k": "qkv", "to_v": "qkv", "to_out.0": "proj_out"}
THIRDS = ("to_q", "to_k", "to_v")  # of qkv, in this order within each head


def unet_config(tensors: Tensors) -> dict[str, Any]:
    """The configuration of the ``UNet2DModel`` that computes what a published network does, read off its tensors.

    Raises:
        KeyError: naming a tensor without which nothing can be said.
    """
    blocks = _count(tensors, "output_blocks.{}.0.in_layers.0.weight")
    ups = [n for n in range(blocks) if any(f"output_blocks.{n}.{k}.in_layers.0.weight" in tensors for k in (1, 2))]
    levels = len(ups) + 1
    per_level = blocks // levels  # residual blocks on the way up, one more than on the way down
    first = [1 + level * per_level for level in range(levels)]
    attention = [f"input_blocks.{n}.1.qkv.weight" in tensors for n in first]
    conv_in, conv_out = tensors["input_blocks.0.0.weight"], tensors["out.2.weight"]
    return {
        "in_channels": conv_in.shape[1],
        "out_channels": conv_out.shape[0],
        "block_out_channels": [tensors[f"input_blocks.{n}.0.out_layers.3.weight"].shape[0] for n in first],
        "layers_per_block": per_level - 1,
        "down_block_types": ["AttnDownBlock2D" if there else "ResnetDownsampleBlock2D" for there in attention],
        "up_block_types": ["AttnUpBlock2D" if there else "ResnetUpsampleBlock2D" for there in reversed(attention)],
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "attention_head_dim": HEAD_CHANNELS,
        "attn_norm_num_groups": 32,
        "resnet_time_scale_shift": "scale_shift",
        "flip_sin_to_cos": True,
        "freq_shift": 0,
    }


def _count(tensors: Tensors, name: str) -> int:
    return next(n for n in range(len(tensors) + 1) if name.format(n) not in tensors)


def published_names(unet: nn.Module) -> dict[str, str]:
    """For every parameter of such a ``UNet2DModel``, its published name; q, k and v share theirs."""
    return {ours: theirs for module, place in _places(unet) for ours, theirs in _inside(unet, module, place)}


def _places(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """Modules of ours, each with its published place."""
    config: Any = unet.config
    levels, layers = len(config.block_out_channels), config.layers_per_block
    yield from {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}.items()
    yield from {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}.items()
    for ours, theirs in (("resnets.0", 0), ("attentions.0", 1), ("resnets.1", 2)):
        yield f"mid_block.{ours}", f"middle_block.{theirs}"
    for level in range(levels):
        down, up = 1 + level * (layers + 1), level * (layers + 1)
        for n in range(layers + 1):
            downward = f"resnets.{n}" if n < layers else "downsamplers.0"
            yield f"down_blocks.{level}.{downward}", f"input_blocks.{down + n}.0"
            yield f"down_blocks.{level}.attentions.{n}", f"input_blocks.{down + n}.1"
            yield f"up_blocks.{level}.resnets.{n}", f"output_blocks.{up + n}.0"
            yield f"up_blocks.{level}.attentions.{n}", f"output_blocks.{up + n}.1"
        attends = "Attn" in config.up_block_types[level]
        yield f"up_blocks.{level}.upsamplers.0", f"output_blocks.{up + layers}.{2 if attends else 1}"


def _inside(unet: nn.Module, module: str, place: str) -> Iterator[tuple[str, str]]:
    """Names of the parameters inside a module of ours, if it is there."""
    try:
        found = unet.get_submodule(module)
    except AttributeError:  # no attention here, or no change of resolution
        return
    for name, _ in found.named_parameters():
        part, dot, kind = name.rpartition(".")
        inner = {**RESIDUAL, **ATTENTION}.get(part, part)
        yield f"{module}.{name}", f"{place}.{inner}{'.' if inner else ''}{kind}"


def tensor_for(name: str, theirs: Tensor) -> Tensor:
    """The values of a parameter of ours, in the published tensor that has them.

    In q, k and v together it is a third of each head; a 1x1 convolution of the attention is a linear layer of ours.
    """
    part = name.split(".")[-2]
    if part in THIRDS:
        heads = theirs.reshape(-1, 3, HEAD_CHANNELS, *theirs.shape[1:])
        theirs = heads[:, THIRDS.index(part)].flatten(0, 1)
    return theirs.flatten(1) if ".attentions." in name and theirs.ndim == 3 else theirs


def _of_published_shape(name: str, tensor: Tensor) -> Tensor:
    """A tensor of the shape of the published counterpart of one of ours."""
    thirds = 3 if name.split(".")[-2] in THIRDS else 1
    kernel = (1,) if ".attentions." in name and tensor.ndim == 2 else ()
    return torch.empty((thirds * tensor.shape[0], *tensor.shape[1:], *kernel), device="meta")


def recognises(source: Source) -> bool:
    """Whether a state dict belongs to guided diffusion, by its first layers."""
    return {"time_embed.0.weight", "input_blocks.0.0.weight"} <= source.tensors.keys()


def load(source: Source) -> ModulePrior:
    """The prior in the state dict of an unconditional network, with the linear schedule that it was trained for.

    Raises:
        InputError: the network needs the class of an image, or the file is damaged.
        NumericalError: a value is not finite.
    """
    from diffusers import UNet2DModel

    path, tensors = source.path, source.tensors
    if "label_emb.weight" in tensors:
        raise InputError(f"{str(path)!r} needs the class of the image", "name an unconditional network")

    def build() -> nn.Module:
        return cast(nn.Module, UNet2DModel(**unet_config(tensors)))  # type: ignore[no-untyped-call]

    unet = build_network(path, build)
    names, own = published_names(unet), unet.state_dict()
    check(path, {names[name]: _of_published_shape(name, tensor) for name, tensor in own.items()}, tensors)
    fill(unet, {name: tensor_for(name, tensors[names[name]]) for name in own})
    return diffusion_prior(path, path.stem, VariancePreserving(unet, linear_schedule()))


FORMAT = PriorFormat(recognises, load)
