"""Measurement operators y = A x: the contract, the physics, masks and noise, and a measured image as solvers see it."""

from idmcli.operators.base import Gram, LinearOperator, Operator, Solution, Spec, Spectrum
from idmcli.operators.blur import Blur
from idmcli.operators.compressed_sensing import CompressedSensing
from idmcli.operators.hdr import HDR
from idmcli.operators.inpainting import Inpainting
from idmcli.operators.mri import MRI
from idmcli.operators.noise import add_noise, count_photons
from idmcli.operators.nonlinear_blur import NonlinearBlur
from idmcli.operators.problem import Problem
from idmcli.operators.super_resolution import SuperResolution
from idmcli.operators.tomography import ParallelBeamCT

__all__ = [
    "HDR",
    "MRI",
    "Blur",
    "CompressedSensing",
    "Gram",
    "Inpainting",
    "LinearOperator",
    "NonlinearBlur",
    "Operator",
    "ParallelBeamCT",
    "Problem",
    "Solution",
    "Spec",
    "Spectrum",
    "SuperResolution",
    "add_noise",
    "count_photons",
]
