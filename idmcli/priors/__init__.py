"""Priors: denoisers that know what images look like, and the formats of weights files that load as one."""

from idmcli.priors.base import Domain, NetworkPrior, Prior, check_domain
from idmcli.priors.complex_images import for_images
from idmcli.priors.derivative import denoise_with_vjp
from idmcli.priors.formats import load_prior
from idmcli.priors.symmetry import averaged, turned

__all__ = [
    "Domain",
    "NetworkPrior",
    "Prior",
    "averaged",
    "check_domain",
    "denoise_with_vjp",
    "for_images",
    "load_prior",
    "turned",
]
