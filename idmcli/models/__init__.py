"""Networks: the injector U-Net as a denoiser, the wired sampler over it, and their weights files."""

from idmcli.models.checkpoints import load_weights, save_weights, shipped_weights
from idmcli.models.conditional import ConditionalDenoiser
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.network import Network
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.models.zoo import build_model, initialise

__all__ = [
    "ConditionalDenoiser",
    "Denoiser",
    "DenoiserConfig",
    "InvertibleDiffusion",
    "Network",
    "SamplerConfig",
    "UNetConfig",
    "build_model",
    "initialise",
    "load_weights",
    "save_weights",
    "shipped_weights",
]
