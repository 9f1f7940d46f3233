"""Measurement operators y = A x: the contract, the physics, masks and noise, and a measured image as solvers see it."""

from idmcli.operators.base import Gram, LinearOperator, Operator, Solution, Spec, Spectrum
from idmcli.operators.compressed_sensing import CompressedSensing
from idmcli.operators.inpainting import Inpainting
from idmcli.operators.mri import MRI
from idmcli.operators.noise import add_noise, count_photons
from idmcli.operators.problem import Problem
from idmcli.operators.tomography import ParallelBeamCT

__all__ = [
    "MRI",
    "CompressedSensing",
    "Gram",
    "Inpainting",
    "LinearOperator",
    "Operator",
    "ParallelBeamCT",
    "Problem",
    "Solution",
    "Spec",
    "Spectrum",
    "add_noise",
    "count_photons",
]
