"""Coil maps: found in the centre of k-space, or read from a file."""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.importing.mri.coils import aligned, combined, low_resolution_maps
from idmcli.importing.mri.data import KSpaceData
from idmcli.importing.mri.espirit import espirit
from idmcli.importing.mri.files import complex_array
from idmcli.importing.mri.grid import by, calibration_box

LEAST = 6  # points a side of the calibration region, that coil maps take
WAYS = {"espirit": ("ESPIRiT", espirit), "lowres": ("images of low resolution", low_resolution_maps)}


def coil_maps(data: KSpaceData, wanted: str) -> Tensor | None:
    """Coil maps, complex, (coils, H, W); None for a single coil without a file of maps.

    Args:
        data: k-space, with its coils as they are to be.
        wanted: a key of :data:`WAYS`, or the name of a file.

    Raises:
        InputError: the centre of k-space is not fully sampled, or the maps of the file do not fit.
    """
    if wanted not in WAYS:
        data.assumptions.add(f"coil maps of {wanted}")
        return _given(data, wanted)
    if data.coils == 1:
        return None
    box = calibration_box(data.calibrated)
    if min(box) < LEAST:
        raise InputError(
            f"{str(data.item)!r} has {by(box)} fully sampled points in the centre of k-space, and coil maps need "
            f"{LEAST} x {LEAST}",
            "give coil maps: --maps FILE",
        )
    way, find = WAYS[wanted]
    calibration = box.cut(data.calibration)
    data.assumptions.add(f"coil maps by {way} from the {by(box)} points in the centre of k-space")
    return aligned(normalised(find(calibration, data.shape), data.mixing), calibration)


def normalised(maps: Tensor, mixing: Tensor) -> Tensor:
    """Maps with ``sum_c |S_c|^2 = 1`` over the coils of the file, so that images are as bright whatever was combined.

    Args:
        maps: of the combined coils, (count, H, W), at any scale.
        mixing: the combinations, (count, coils).

    Returns:
        the maps of the combined coils; zero where they were.
    """
    lengths = combined(torch.linalg.pinv(mixing), maps).norm(dim=0)
    return torch.where(lengths > 0, maps / lengths.clamp_min(1e-30), 0)


def _given(data: KSpaceData, name: str) -> Tensor:
    maps = torch.from_numpy(complex_array(name, "--maps"))
    expected = (data.mixing.shape[1], *data.shape)
    if tuple(maps.shape) != expected:
        raise InputError(f"{name!r} holds {by(maps.shape)} values", f"give coil maps of {by(expected)}")
    return combined(data.mixing, maps)
