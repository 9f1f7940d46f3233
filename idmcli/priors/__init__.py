"""Priors: denoisers that know what images look like, and the formats of weights that load as one."""

from idmcli.priors.adapters import Grey, with_fallback
from idmcli.priors.base import Domain, NetworkPrior, Prior, check_domain
from idmcli.priors.complex_images import for_images
from idmcli.priors.derivative import denoise_with_vjp
from idmcli.priors.formats import PriorFormat, Source, format_names, is_prior, load_prior
from idmcli.priors.function import FunctionPrior, as_prior
from idmcli.priors.latent import GreyLatent, LatentPrior, NetworkLatentPrior
from idmcli.priors.module import ModulePrior
from idmcli.priors.sources import find_prior
from idmcli.priors.symmetry import averaged, turned

__all__ = [
    "Domain",
    "PriorFormat",
    "FunctionPrior",
    "Grey",
    "GreyLatent",
    "LatentPrior",
    "ModulePrior",
    "NetworkLatentPrior",
    "NetworkPrior",
    "Prior",
    "Source",
    "as_prior",
    "averaged",
    "check_domain",
    "denoise_with_vjp",
    "find_prior",
    "for_images",
    "format_names",
    "is_prior",
    "load_prior",
    "turned",
    "with_fallback",
]
