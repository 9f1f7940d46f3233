"""Everything that can be added to idm, by sort: idm's own parts, and the groups of entry points for other parts.

A new part of idm's own is one file: in ``solvers/``, in ``tasks/``, or in one of the places named here. A part in
another package is one entry point of the group that a registry names; see :class:`~idmcli.registry.Registry`.
"""

from __future__ import annotations

from typing import Any

from idmcli.registry import Registry, parts_in

OPERATORS: Registry[Any] = Registry(
    "idmcli.operators",
    {
        "adjoint": "idmcli.operators.algebra:Adjoint",
        "cs": "idmcli.operators.compressed_sensing:CompressedSensing",
        "ct": "idmcli.operators.tomography:ParallelBeamCT",
        "deblur": "idmcli.operators.blur:Blur",
        "fan": "idmcli.operators.fan_beam:FanBeamCT",
        "hadamard": "idmcli.operators.hadamard:Hadamard",
        "hdr": "idmcli.operators.hdr:HDR",
        "inpainting": "idmcli.operators.inpainting:Inpainting",
        "learned": "idmcli.operators.learned:LearnedSampling",
        "matrix": "idmcli.operators.matrix:MatrixOperator",
        "mri": "idmcli.operators.mri:MRI",
        "nonlinear_deblur": "idmcli.operators.nonlinear_blur:NonlinearBlur",
        "product": "idmcli.operators.algebra:Product",
        "scaled": "idmcli.operators.algebra:Scaled",
        "sr": "idmcli.operators.super_resolution:SuperResolution",
        "stack": "idmcli.operators.algebra:Stack",
        "sum": "idmcli.operators.algebra:Sum",
    },
    "idmcli.operators:Operator",
)
"""The operators A, by the kind that their specifications name."""

TASKS: Registry[Any] = Registry(
    "idmcli.tasks",
    parts_in("idmcli.tasks", "TASK", without=("base", "kernels", "masks", "ratios")),
    "idmcli.tasks:Task",
)
"""The tasks that [task] names: a kind of measurement with its options."""

MODELS: Registry[Any] = Registry(
    "idmcli.models",
    {
        "prior": "idmcli.learned.prior:KIND",
        "sr3": "idmcli.learned.sr3:KIND",
        "latent": "idmcli.learned.latent:KIND",
        "idm": "idmcli.learned.idm:KIND",
        "rk-ccsnet": "idmcli.learned.rk_ccsnet:KIND",
        "csnet-plus": "idmcli.learned.csnet_plus:KIND",
    },
    "idmcli.learned.base:ModelKind",
)
"""The kinds of learned models: [model] names them, weights files hold them, and methods run on them."""

PRIORS: Registry[Any] = Registry(
    "idmcli.priors",
    {
        "idm": "idmcli.priors.network:FORMAT",
        "diffusers-latents": "idmcli.priors.published.diffusers_latents:FORMAT",
        "diffusers-pixels": "idmcli.priors.published.diffusers_pixels:FORMAT",
        "DRUNet": "idmcli.priors.published.drunet:FORMAT",
        "FFDNet": "idmcli.priors.published.ffdnet:FORMAT",
        "DnCNN": "idmcli.priors.published.dncnn:FORMAT",
        "IRCNN": "idmcli.priors.published.ircnn:FORMAT",
        "guided-diffusion": "idmcli.priors.published.guided_diffusion:FORMAT",
        "EDM": "idmcli.priors.published.edm:FORMAT",
    },
    "idmcli.priors.formats:PriorFormat",
)
"""The formats of files and folders that ``--prior`` takes. This is the order of trial."""

SOLVERS: Registry[Any] = Registry(
    "idmcli.solvers",
    {name.replace("_", "-"): place for name, place in parts_in("idmcli.solvers", "SOLVER").items()},
    "idmcli.solvers:Solver",
)
"""The methods that ``--method`` names: ways to reconstruct."""

DEFAULTS: Registry[Any] = Registry(
    "idmcli.defaults",
    {
        "cs": "idmcli.methods.defaults:CS",
        "ct": "idmcli.methods.defaults:TOMOGRAPHY",
        "deblur": "idmcli.methods.defaults:DEBLURRING",
        "fan": "idmcli.methods.defaults:TOMOGRAPHY",
        "hadamard": "idmcli.methods.defaults:SINGLE_PIXEL",
        "hdr": "idmcli.methods.defaults:DYNAMIC_RANGE",
        "inpainting": "idmcli.methods.defaults:INPAINTING",
        "learned": "idmcli.methods.defaults:LEARNED",
        "mri": "idmcli.methods.defaults:MAGNETIC",
        "nonlinear_deblur": "idmcli.methods.defaults:NONLINEAR_DEBLURRING",
        "sr": "idmcli.methods.defaults:SUPER_RESOLUTION",
    },
    "idmcli.methods.defaults:Defaults",
)
"""The method, options and weights for a kind of operator where the user names none."""

IMPORTERS: Registry[Any] = Registry(
    "idmcli.importers",
    {
        "kspace": "idmcli.importing.mri.importer:IMPORTER",
        "hadamard": "idmcli.importing.hadamard:IMPORTER",
        "matrix": "idmcli.importing.matrix:IMPORTER",
        "picture": "idmcli.importing.picture:IMPORTER",
        "sinogram": "idmcli.importing.ct:SINOGRAM",
        "sinogram_array": "idmcli.importing.ct:ARRAY",
        "sinogram_picture": "idmcli.importing.ct:PICTURE",
    },
    "idmcli.importing:Importer",
)
"""The ways from raw data in a file to a measurement. This is the order of trial."""

FORMATS: Registry[Any] = Registry(
    "idmcli.formats",
    {
        "dicom": "idmcli.io.formats:DICOM",  # whose files may begin like TIFF
        "png": "idmcli.io.formats:PNG",
        "jpeg": "idmcli.io.formats:JPEG",
        "tiff": "idmcli.io.formats:TIFF",
        "bmp": "idmcli.io.formats:BMP",
        "gif": "idmcli.io.formats:GIF",
        "nifti": "idmcli.io.formats:NIFTI",
        "measurement": "idmcli.measuring.format:MEASUREMENT",
        "cfl": "idmcli.io.formats:CFL",
        "fastmri": "idmcli.io.formats:FASTMRI",
        "ismrmrd": "idmcli.io.formats:ISMRMRD",
        "twix": "idmcli.io.formats:TWIX",
        "npy": "idmcli.io.formats:NPY",
        "npz": "idmcli.io.formats:NPZ",
        "dxchange": "idmcli.io.formats:DXCHANGE",
        "ct_data": "idmcli.io.formats:CT_DATA",
        "mat": "idmcli.io.formats:MAT",
        "text": "idmcli.io.formats:TEXT",
    },
    "idmcli.io.formats:Format",
)
"""The formats of files, recognised by their content."""
