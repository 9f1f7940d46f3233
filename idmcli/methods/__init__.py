"""Methods ready to run: a solver, its options, and the weights it runs on; and what they make of a measurement."""

from idmcli.methods.defaults import defaults_of, runnable
from idmcli.methods.fit import Fit, fit_of
from idmcli.methods.method import Method
from idmcli.methods.methods import Methods
from idmcli.methods.options import check_options, read_options
from idmcli.methods.reconstruction import Reconstruction, solve
from idmcli.methods.weights import Weights

__all__ = [
    "Fit",
    "Method",
    "Methods",
    "Reconstruction",
    "Weights",
    "check_options",
    "defaults_of",
    "fit_of",
    "read_options",
    "runnable",
    "solve",
]
