"""Priors: denoisers that know what images look like, and the formats of weights that load as one."""

from idmcli.priors.adapters import Grey, handing_over
from idmcli.priors.base import Domain, NetworkPrior, Prior, check_domain
from idmcli.priors.complex_images import for_images
from idmcli.priors.derivative import denoise_with_vjp
from idmcli.priors.formats import FORMATS, load_prior
from idmcli.priors.latent import GreyLatent, LatentPrior, NetworkLatentPrior
from idmcli.priors.sources import find_prior
from idmcli.priors.symmetry import averaged, turned

__all__ = [
    "FORMATS",
    "Domain",
    "Grey",
    "GreyLatent",
    "LatentPrior",
    "NetworkLatentPrior",
    "NetworkPrior",
    "Prior",
    "averaged",
    "check_domain",
    "denoise_with_vjp",
    "find_prior",
    "for_images",
    "handing_over",
    "load_prior",
    "turned",
]
