"""Measurement operators y = A x: the contract, the physics, masks and noise, and a measured image as solvers see it."""

from idmcli.numerics.conjugate_gradient import Solution
from idmcli.operators.algebra import Adjoint, Product, Scaled, Stack, Sum, stack
from idmcli.operators.base import Operator, Spec
from idmcli.operators.blur import Blur
from idmcli.operators.compressed_sensing import CompressedSensing
from idmcli.operators.fan_beam import FanBeamCT
from idmcli.operators.hadamard import Hadamard
from idmcli.operators.hdr import HDR
from idmcli.operators.inpainting import Inpainting
from idmcli.operators.learned import LearnedSampling
from idmcli.operators.linear import Gram, LinearOperator, Spectrum
from idmcli.operators.linear_map import LinearMap
from idmcli.operators.linearisation import Linearisation
from idmcli.operators.matrix import MatrixOperator
from idmcli.operators.mri import MRI
from idmcli.operators.noise import add_noise, count_photons
from idmcli.operators.nonlinear_blur import NonlinearBlur
from idmcli.operators.problem import Problem
from idmcli.operators.registry import build_operator
from idmcli.operators.spec import Specification
from idmcli.operators.super_resolution import SuperResolution
from idmcli.operators.tomography import ParallelBeamCT, Tomography

__all__ = [
    "HDR",
    "MRI",
    "Adjoint",
    "Blur",
    "CompressedSensing",
    "FanBeamCT",
    "Gram",
    "Hadamard",
    "Inpainting",
    "LearnedSampling",
    "LinearMap",
    "LinearOperator",
    "Linearisation",
    "MatrixOperator",
    "NonlinearBlur",
    "Operator",
    "ParallelBeamCT",
    "Problem",
    "Product",
    "Scaled",
    "Solution",
    "Spec",
    "Specification",
    "Spectrum",
    "Stack",
    "Sum",
    "SuperResolution",
    "Tomography",
    "add_noise",
    "build_operator",
    "count_photons",
    "stack",
]
