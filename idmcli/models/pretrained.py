"""Stable Diffusion's weights, in the folders of diffusers, as the start of a full-size network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.io.hub import fetch, is_hub_name
from idmcli.io.records import read_object
from idmcli.models.released import unet_names
from idmcli.models.stable_diffusion import HEADS, NORM_GROUPS, StableDiffusionUNet
from idmcli.models.tensors import PICKLES, check_finite, read_pickle

CONFIG = "config.json"
FILES = tuple(f"diffusion_pytorch_model{end}" for end in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin"))
EXAMPLE = "sd-legacy/stable-diffusion-v1-5"
OURS_ALONE = re.compile(r"\.injectors\.|\.v$|scale_factors?$")


def find_unet(source: str) -> Path:
    """The folder with ``config.json`` and the weights of a U-Net.

    Args:
        source: that folder, the model folder it lies in, or the name of a model on the Hugging Face hub
            ("owner/name"), of which these two files are downloaded unless the hub's cache has them.

    Raises:
        InputError: it is none of these, or the hub cannot be reached.
    """
    for folder in (Path(source) / "unet", Path(source)):
        if (folder / CONFIG).is_file() and any((folder / name).is_file() for name in FILES):
            return folder
    if Path(source).exists() or not is_hub_name(source):
        raise InputError(
            f"--init {source!r} is neither a weights file nor a folder with unet/{CONFIG} and unet/{FILES[0]}",
            f"name such a file or folder, or a model on the Hugging Face hub, {EXAMPLE} for example",
        )
    hint = "download the model's folder unet where there is a network, and give its path to --init"
    wanted = [[f"unet/{CONFIG}"], [f"unet/{file}" for file in FILES]]
    return fetch("--init", source, wanted, hint) / "unet"


def load_unet(unet: StableDiffusionUNet, folder: Path) -> tuple[list[nn.Parameter], list[str]]:
    """Copy into ``unet`` what a pretrained U-Net has of its tensors; the others keep their start.

    Blocks go by their place: the first two of the way down, the last two of the way up. The 1x1 convolutions around
    the attention may be linear layers there.

    Returns:
        The tensors that were copied, and a remark on each tensor that should have been and does not fit.

    Raises:
        InputError: the folder holds no such U-Net.
        NumericalError: one of its weights is not finite.
    """
    first_up = _levels(folder) - 2
    names = {
        ours: re.sub(r"^up_blocks\.(\d)", lambda block: f"up_blocks.{first_up + int(block[1])}", theirs)
        for ours, theirs in unet_names(unet).items()
        if not OURS_ALONE.search(theirs)
    }
    file = next(folder / name for name in FILES if (folder / name).is_file())
    tensors = _read(file, names.values())
    if not tensors:
        raise InputError(f"{str(file)!r} holds none of Stable Diffusion's tensors", f"name a model such as {EXAMPLE}")
    check_finite(file, tensors)
    loaded, unfit = [], []
    for ours, theirs in names.items():
        parameter, tensor = unet.get_parameter(ours), tensors.get(theirs)
        if tensor is not None and (*tensor.shape, 1, 1) == parameter.shape:
            tensor = tensor[:, :, None, None]
        if tensor is None:
            unfit.append(f"{ours} (missing)")
        elif tensor.shape != parameter.shape:
            unfit.append(f"{ours} {tuple(parameter.shape)} (not {tuple(tensor.shape)})")
        else:
            with torch.no_grad():
                parameter.copy_(tensor)
            loaded.append(parameter)
    return loaded, unfit


def differences(folder: Path) -> list[str]:
    """The differences of a pretrained U-Net from ours with the same tensors, by its configuration."""
    config = _config(folder)
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", HEADS)  # its name in old models
    there = {**config, "attention heads": heads[:2] if isinstance(heads, list) else [heads, heads]}
    here = {"attention heads": [HEADS, HEADS], "norm_num_groups": NORM_GROUPS, "norm_eps": 1e-5, "act_fn": "silu"}
    return [f"{key}: {there[key]} there, {value} here" for key, value in here.items() if there.get(key, value) != value]


def _config(folder: Path) -> dict[str, Any]:
    return read_object(folder / CONFIG, "copy it again")


def _levels(folder: Path) -> int:
    channels = _config(folder).get("block_out_channels")
    if not isinstance(channels, list) or len(channels) < 2:
        raise InputError(
            f"{str(folder / CONFIG)!r} describes no U-Net of two levels or more", f"name a model such as {EXAMPLE}"
        )
    return len(channels)


def _read(file: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """The tensors that a file has."""
    if file.suffix in PICKLES:
        content = read_pickle(file)
        return {name: content[name] for name in names if name in content}
    try:
        with safe_open(file, framework="pt") as opened:
            there = set(opened.keys())
            return {name: opened.get_tensor(name) for name in names if name in there}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{str(file)!r} is not a readable weights file: {error}", "copy it again") from error
