"""Priors: denoisers that know what images look like, and the formats of weights files that load as one."""

from idmcli.priors.base import Domain, Prior, check_domain
from idmcli.priors.formats import load_prior

__all__ = ["Domain", "Prior", "check_domain", "load_prior"]
