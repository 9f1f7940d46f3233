"""U-Nets by the name that their configurations give: the one place that knows them all."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from idmcli.models.stable_diffusion import StableDiffusionConfig, StableDiffusionUNet
from idmcli.models.unet import InjectorUNet, UNetConfig

UNetSettings = Annotated[StableDiffusionConfig | UNetConfig, Field(discriminator="architecture")]
"""The configuration of any U-Net; read from JSON, its ``architecture`` decides which."""

UNet = StableDiffusionUNet | InjectorUNet

ARCHITECTURES: dict[str, Any] = {"stable-diffusion": StableDiffusionUNet, "injector-unet": InjectorUNet}


def build_unet(config: UNetSettings, inputs: int = 1, outputs: int = 1) -> UNet:
    """The untrained U-Net of a configuration, that sees so many images side by side, and gives so many."""
    unet: UNet = ARCHITECTURES[config.architecture](config, inputs, outputs)
    return unet


def updated(unet: dict[str, Any]) -> dict[str, Any]:
    """A U-Net's configuration from a file of the first schema: there none had a name, and only small ones a patch."""
    if "patch" not in unet:
        return {"architecture": "stable-diffusion", **unet}
    rest = {key: value for key, value in unet.items() if key != "patch"}
    return {"architecture": "injector-unet", "unshuffle": unet["patch"], **rest}
