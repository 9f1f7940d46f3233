"""Names of the full-size network's parameters in the released checkpoints and in Stable Diffusion 1.5."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from torch import nn

from idmcli.models.injector import Injector
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.models.stable_diffusion import Attention, StableDiffusionUNet
from idmcli.reversible.coupling import ReversibleGroup

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


def released_names(model: InvertibleDiffusion) -> dict[str, str]:
    """For every parameter of a full-size sampler, its name in a released checkpoint (``net_params_*.pkl``)."""
    unet = model.denoiser.unet
    assert isinstance(unet, StableDiffusionUNet)
    steps = range(len(model.couplings))
    return {
        "alpha": "alpha",
        "start_scale": "input_help_scale_factor",
        "end_scale": "merge_scale_factor",
        **{f"couplings.{step}.v": f"body.{step}.v" for step in steps},
        **{f"denoiser.unet.{ours}": f"unet.{theirs}" for ours, theirs in unet_names(unet).items()},
    }


def unet_names(unet: StableDiffusionUNet) -> dict[str, str]:
    """For every parameter of the U-Net, its name in the released one; the blocks' are those of Stable Diffusion."""

    def names() -> Names:
        for ours, theirs in RENAMED.items():
            yield from _parameters(unet.get_submodule(ours), ours, theirs)
        yield from _group(unet.down_fine, "down_fine", "down_blocks.0", residual=0)
        yield from _group(unet.down_coarse, "down_coarse", "down_blocks.1", residual=1)
        yield from _group(unet.up_coarse, "up_coarse", "up_blocks.0", residual=1)
        yield from _group(unet.up_fine, "up_fine", "up_blocks.1", residual=1)

    return dict(names())


def _parameters(module: nn.Module, ours: str, theirs: str) -> Names:
    return ((f"{ours}.{name}", f"{theirs}.{name}") for name, _ in module.named_parameters())


def _group(group: ReversibleGroup, ours: str, theirs: str, residual: int) -> Names:
    """Of the modules by their kind, each counted on its own; ``residual`` is the number of the first residual block."""
    injectors, attentions, residuals = count(), count(), count(residual)
    for index, module in enumerate(group.modules_):
        here = f"{ours}.modules_.{index}"
        if isinstance(module, Injector):
            yield from _injector(module, here, f"{theirs}.injectors.{next(injectors)}")
        elif isinstance(module, Attention):
            yield from _parameters(module.block, f"{here}.block", f"{theirs}.attentions.{next(attentions)}")
        else:
            block = module.get_submodule("block")
            yield from _parameters(block, f"{here}.block", f"{theirs}.resnets.{next(residuals)}")
    yield f"{ours}.open_scale", f"{theirs}.input_help_scale_factor"
    several = len(group.exits) > 1
    yield f"{ours}.close_scale", f"{theirs}.merge_scale_factor{'s' if several else ''}"
    for part, (start, end) in enumerate(zip([0, *group.exits], group.exits, strict=False)):
        for index in range(start, end):
            place = f"rev_module_lists.{part}.{index - start}" if several else f"rev_module_list.{index}"
            yield f"{ours}.couplings.{index}.v", f"{theirs}.{place}.v"


def _injector(injector: Injector, ours: str, theirs: str) -> Names:
    """Released injectors are numbered by the time t = T .. 1, ours by the step in order of execution."""
    steps = len(injector.to_image)
    for step, time in enumerate(reversed(range(steps))):
        yield from _parameters(injector.to_image[step], f"{ours}.to_image.{step}", f"{theirs}.f2i.{time}.1")
        yield from _parameters(injector.to_features[step], f"{ours}.to_features.{step}", f"{theirs}.i2f.{time}.0")
