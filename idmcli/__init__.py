"""idm: reconstruct images from measurements y = A x with invertible diffusion models, and with what they compare with.

>>> import numpy, idmcli as idm
>>> image = numpy.random.rand(64, 64)
>>> m = idm.sense(image, task="cs", ratio=0.3, seed=1)
>>> x = idm.reconstruct(m, method="tikhonov")
>>> x.shape
(64, 64)

Importing the package is light: what a name needs, PyTorch for example, is loaded when the name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idmcli import operators
    from idmcli.api import evaluate, fit, load, psnr, reconstruct, sense, ssim, train
    from idmcli.errors import ConfigError, IdmError, InputError, NumericalError, ResourceError
    from idmcli.evaluation.comparison import Comparison
    from idmcli.io.scale import Scale
    from idmcli.measuring import Measurement, Provenance
    from idmcli.operators import LinearMap, LinearOperator, MatrixOperator, Operator, stack
    from idmcli.priors import FunctionPrior
    from idmcli.reporting import IdmWarning, Listener

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "ConfigError",
    "FunctionPrior",
    "IdmError",
    "IdmWarning",
    "InputError",
    "LinearMap",
    "LinearOperator",
    "Listener",
    "MatrixOperator",
    "Measurement",
    "NumericalError",
    "Operator",
    "Provenance",
    "ResourceError",
    "Scale",
    "evaluate",
    "fit",
    "load",
    "operators",
    "psnr",
    "reconstruct",
    "sense",
    "ssim",
    "stack",
    "train",
]

_HOMES = {
    **dict.fromkeys(("evaluate", "fit", "load", "psnr", "reconstruct", "sense", "ssim", "train"), "api"),
    **dict.fromkeys(("ConfigError", "IdmError", "InputError", "NumericalError", "ResourceError"), "errors"),
    **dict.fromkeys(("IdmWarning", "Listener"), "reporting"),
    **dict.fromkeys(("LinearMap", "LinearOperator", "MatrixOperator", "Operator", "stack"), "operators"),
    **dict.fromkeys(("Measurement", "Provenance"), "measuring"),
    "Comparison": "evaluation.comparison",
    "FunctionPrior": "priors",
    "Scale": "io.scale",
}


def __getattr__(name: str) -> Any:
    if name == "operators":
        return import_module("idmcli.operators")
    if name in _HOMES:
        return getattr(import_module(f"idmcli.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'idmcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
