"""Networks: the injector U-Net as a denoiser, the wired sampler over it, and their weights files."""

from idmcli.models.checkpoints import load_weights, save_weights, shipped_weights
from idmcli.models.conditional import ConditionalDenoiser
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.learned import Learned
from idmcli.models.network import Network
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.sampling_network import SamplingNetwork
from idmcli.models.start import initialise
from idmcli.models.unet import UNetConfig

__all__ = [
    "ConditionalDenoiser",
    "Denoiser",
    "DenoiserConfig",
    "InvertibleDiffusion",
    "Learned",
    "Network",
    "SamplerConfig",
    "SamplingNetwork",
    "UNetConfig",
    "initialise",
    "load_weights",
    "save_weights",
    "shipped_weights",
]
