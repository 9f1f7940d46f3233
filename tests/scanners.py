"""Small files of scanners, and the k-space in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from idmcli.tasks.mri import coil_maps
from tests.small import camera

Complex = NDArray[np.complex64]
SHAPE = (48, 40)


def coil_images(coils: int = 4, shape: tuple[int, int] = SHAPE) -> Complex:
    """A photograph in a dark surrounding as coils see it, (coils, H, W), origin at (H // 2, W // 2)."""
    height, width = (n * 3 // 4 for n in shape)
    image = np.zeros(shape, np.complex64)
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    image[top : top + height, left : left + width] = 0.2 + 0.8 * camera(max(shape), 3)[0, 0, :height, :width].numpy()
    return np.asarray(coil_maps(coils, shape).numpy() * image)


def kspace_of(images: Complex) -> Complex:
    """Centred k-space of images."""
    shifted = np.fft.ifftshift(images, (-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), (-2, -1)).astype(np.complex64)


def noise(shape: Sequence[int], level: float = 1.0, seed: int = 0) -> Complex:
    """White complex noise whose real and imaginary parts have this standard deviation."""
    draws = np.random.default_rng(seed)
    return (level * (draws.standard_normal(shape) + 1j * draws.standard_normal(shape))).astype(np.complex64)


def write_cfl(path: Path, values: Complex) -> Path:
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, values.shape))} 1\n# Command\nbart\n")
    values.astype("<c8").ravel("F").tofile(path)
    return path


def header(
    matrix: Sequence[int],
    asked: Sequence[int] | None = None,
    *,
    limits: Sequence[int] | None = None,
    trajectory: str = "cartesian",
    before: str = "",
) -> str:
    """An ISMRMRD header of matrices (x, y, z) and limits (minimum, maximum, centre) of the lines."""

    def space(name: str, sizes: Sequence[int]) -> str:
        inner = "".join(f"<{axis}>{n}</{axis}>" for axis, n in zip("xyz", sizes, strict=True))
        return f"<{name}><matrixSize>{inner}</matrixSize></{name}>"

    low, high, middle = limits or (0, matrix[1] - 1, matrix[1] // 2)
    lines = f"<minimum>{low}</minimum><maximum>{high}</maximum><center>{middle}</center>"
    return (
        f'<?xml version="1.0"?>{before}<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"{space('encodedSpace', matrix)}{space('reconSpace', asked or matrix)}"
        f"<encodingLimits><kspace_encoding_step_1>{lines}</kspace_encoding_step_1></encodingLimits>"
        f"<trajectory>{trajectory}</trajectory></encoding></ismrmrdHeader>"
    )


IDX = np.dtype(
    [
        (name, "<u2")
        for name in (
            "kspace_encode_step_1",
            "kspace_encode_step_2",
            "average",
            "slice",
            "contrast",
            "phase",
            "repetition",
            "set",
        )
    ]
)
HEAD = np.dtype(
    [
        ("flags", "<u8"),
        ("number_of_samples", "<u2"),
        ("active_channels", "<u2"),
        ("center_sample", "<u2"),
        ("discard_pre", "<u2"),
        ("discard_post", "<u2"),
        ("sample_time_us", "<f4"),
        ("idx", IDX),
    ]
)


def write_ismrmrd(path: Path, xml: str, readouts: Sequence[tuple[Mapping[str, Any], Complex]]) -> Path:
    """A file of readouts: what differs from the usual head, and the samples, (coils, N)."""
    floats = h5py.vlen_dtype(np.dtype("<f4"))
    table = np.zeros(len(readouts), np.dtype([("head", HEAD), ("traj", floats), ("data", floats)]))
    for row, (given, samples) in zip(table, readouts, strict=True):
        head = row["head"]
        head["number_of_samples"], head["active_channels"] = samples.shape[1], samples.shape[0]
        head["center_sample"] = samples.shape[1] // 2
        for key, value in given.items():
            (head["idx"] if key in IDX.names else head)[key] = value
        row["traj"] = np.zeros(0, np.float32)
        row["data"] = np.ascontiguousarray(samples, "<c8").view(np.float32).ravel()
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset/xml", data=[xml], dtype=h5py.string_dtype())
        file.create_dataset("dataset/data", data=table)
    return path


def write_fastmri(path: Path, kspace: Complex, xml: str | None = None, mask: NDArray[Any] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        if xml is not None:
            file["ismrmrd_header"] = xml
        if mask is not None:
            file["mask"] = mask
        file.attrs["acquisition"] = "AXT1"
    return path


def lines_of(kspace: Complex) -> list[tuple[dict[str, Any], Complex]]:
    """The lines of k-space, (coils, H, W), as readouts along the columns."""
    return [({"kspace_encode_step_1": row}, kspace[:, row]) for row in range(kspace.shape[1])]


def as_tensor(values: Complex) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.complex64))
