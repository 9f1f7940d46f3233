"""Noise estimators of variance-preserving diffusion as denoisers, and the two families that are diffusers' U-Nets.

A picture x in [0, 1] is ``x' = 2 x - 1`` there, so that noise of level sigma has the level ``s = 2 sigma``. The network
sees ``x_t = sqrt(ab) x' + sqrt(1 - ab) n``, which is ``sqrt(ab) (x' + s n)`` with ``s = sqrt((1 - ab) / ab)``, so

    ab = 1 / (1 + s^2),    x_t = (2 r - 1) / sqrt(1 + s^2),    t such that ab_t = ab.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from idmcli.models.foreign.padding import pad_to

Prediction = Literal["epsilon", "sample", "v_prediction"]

HEAD_CHANNELS = 64  # of guided diffusion's published models; no tensor tells


def linear_schedule(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """The cumulative alphas of Ho et al. (2020), (steps,), in double precision."""
    return torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), 0)


def scaled_linear_schedule(steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> Tensor:
    """The cumulative alphas of latent diffusion (Rombach et al., 2022), with the ends of Stable Diffusion: the square
    roots of the betas are linear; (steps,), in double precision."""
    betas = torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


class VariancePreserving(nn.Module):
    """Denoises with a U-Net of diffusers, by what it predicts of ``x_t = sqrt(ab) x' + sqrt(1 - ab) e``:

    epsilon: ``x' = (x_t - sqrt(1 - ab) e) / sqrt(ab)``; v_prediction: ``x' = sqrt(ab) x_t - sqrt(1 - ab) v``;
    sample: x' itself. Of outputs with a learned variance the first half is used.

    Args:
        unet: a ``UNet2DModel``.
        alphas_cumprod: ab_t, (steps,), positive and falling.
        prediction: what it was trained for.
    """

    log_levels: Tensor

    def __init__(self, unet: nn.Module, alphas_cumprod: Tensor, prediction: Prediction = "epsilon") -> None:
        super().__init__()
        self.unet = unet
        self.prediction = prediction
        self.multiple = 2 ** (len(unet.config.block_out_channels) - 1)  # type: ignore[arg-type, union-attr]
        log_levels = ((1 - alphas_cumprod) / alphas_cumprod).log() / 2
        self.register_buffer("log_levels", log_levels.float())

    @property
    def noise_levels(self) -> tuple[float, float]:
        """The least and the largest sigma of the schedule, for images in [0, 1]."""
        low, high = self.log_levels[[0, -1]].exp().tolist()
        return low / 2, high / 2

    def time(self, s: Tensor) -> Tensor:
        """The time t, a real number, at which the schedule has the level s; linear in log s between its steps."""
        wanted, last = s.log(), len(self.log_levels) - 1
        after = torch.searchsorted(self.log_levels, wanted).clamp(1, last)
        low, high = self.log_levels[after - 1], self.log_levels[after]
        time: Tensor = after - 1 + (wanted - low) / (high - low)
        return time.clamp(0, last)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised images of x in [0, 1], (B, C, H, W), with noise of level sigma, (B, 1, 1, 1)."""
        return (self.denoise(2 * x - 1, 2 * sigma) + 1) / 2

    def denoise(self, r: Tensor, s: Tensor) -> Tensor:
        """x' of ``r = x' + s n``, on the scale that the network was trained on."""
        ab = 1 / (1 + s**2)
        x_t = ab.sqrt() * r
        seen = pad_to(x_t, self.multiple, "reflect")
        out: Tensor = self.unet(seen, self.time(s).flatten()).sample[:, : r.shape[1], : r.shape[2], : r.shape[3]]
        match self.prediction:
            case "epsilon":
                return r - s * out
            case "v_prediction":
                return ab.sqrt() * x_t - (1 - ab).sqrt() * out
            case "sample":
                return out


def guided_config(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration of the ``UNet2DModel`` that computes what a network of guided diffusion (Dhariwal & Nichol,
    2021) does, read off its tensors.

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


def _count(tensors: Mapping[str, Tensor], name: str) -> int:
    return next(n for n in range(len(tensors) + 1) if name.format(n) not in tensors)


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


def guided_names(unet: nn.Module) -> dict[str, str]:
    """For every parameter of such a ``UNet2DModel``, its name in guided diffusion; q, k and v share theirs."""
    return {ours: theirs for module, place in _guided_places(unet) for ours, theirs in _inside(unet, module, place)}


def _guided_places(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """Modules with their places there."""
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


def guided_tensor(name: str, theirs: Tensor) -> Tensor:
    """The values of a parameter of ours in those of its counterpart: a third of each head's q, k and v, and linear
    layers for 1x1 convolutions."""
    part = name.split(".")[-2]
    if part in THIRDS:
        heads = theirs.reshape(-1, 3, HEAD_CHANNELS, *theirs.shape[1:])
        theirs = heads[:, THIRDS.index(part)].flatten(0, 1)
    return theirs.flatten(1) if ".attentions." in name and theirs.ndim == 3 else theirs
