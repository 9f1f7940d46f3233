"""Coil maps by ESPIRiT, and simple ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli.importing.mri.coils import aligned, combined, low_resolution_maps, virtual_coils, whitening
from idmcli.importing.mri.espirit import KERNEL, autocorrelation, espirit, span, symbols
from idmcli.importing.mri.grid import Box
from tests.scanners import SHAPE, as_tensor, coil_images, kspace_of, noise

IMAGES = coil_images(5)
KSPACE = as_tensor(kspace_of(IMAGES))
CENTRE = Box(24, 24).cut(KSPACE)


def unexplained(maps: Tensor) -> float:
    """The share of coil images m that their projection onto the maps, ``S S^H m``, leaves."""
    images = as_tensor(IMAGES)
    return float((images - maps * (maps.conj() * images).sum(0)).norm() / images.norm())


def test_coil_images_lie_in_the_span_of_the_maps() -> None:
    found = espirit(CENTRE, SHAPE)
    lengths = found.abs().square().sum(0)
    assert bool(((lengths - 1).abs() < 1e-4).logical_or(lengths == 0).all())
    assert unexplained(found) < 0.01
    assert unexplained(found.roll(3, 2)) > 0.05


def test_g_is_the_mean_of_the_projections_of_patches() -> None:
    """The slow form: G e_c' at a pixel, from patches of the k-space of a point there."""
    v = span(CENTRE)
    rank, coils = v.shape[:2]
    flat = v.reshape(rank, -1)
    np.testing.assert_allclose(flat.conj() @ flat.T, torch.eye(rank), atol=1e-4)
    projection = (flat.T @ flat.conj()).reshape(coils, KERNEL, KERNEL, coils, KERNEL, KERNEL)
    row, column = 5, -9
    places = torch.arange(KERNEL)
    wave = torch.exp(-2j * torch.pi * (row * places[:, None] / SHAPE[0] + column * places / SHAPE[1]))
    slow = torch.einsum("cijdkl,ij,kl->cd", projection, wave.conj(), wave) / KERNEL**2
    g = symbols(autocorrelation(v), SHAPE)
    pixel = (SHAPE[0] // 2 + row) * SHAPE[1] + SHAPE[1] // 2 + column
    np.testing.assert_allclose(g[pixel], slow, atol=1e-5)
    np.testing.assert_allclose(g, g.mH.resolve_conj(), atol=1e-6)


@pytest.mark.parametrize("shape", [(31, 26), (24, 33)])
def test_any_size(shape: tuple[int, int]) -> None:
    images = coil_images(3, shape)
    maps = espirit(Box(16, 16).cut(as_tensor(kspace_of(images))), shape)
    explained = maps * (maps.conj() * as_tensor(images)).sum(0)
    assert float((explained - as_tensor(images)).norm() / as_tensor(images).norm()) < 0.03


def test_maps_of_low_resolution() -> None:
    found = low_resolution_maps(CENTRE, SHAPE)
    np.testing.assert_allclose(found.abs().square().sum(0), 1, atol=1e-4)
    assert unexplained(found) < 0.1


def test_aligned_maps_leave_the_phase_of_the_strongest_virtual_coil() -> None:
    maps = aligned(espirit(CENTRE, SHAPE), CENTRE)
    virtual = combined(virtual_coils(CENTRE, 1), maps)[0]
    inside = virtual.abs() > 0.05
    assert float(virtual.angle()[inside].abs().max()) < 1e-4


def test_whitened_noise_is_white_and_keeps_its_power() -> None:
    mixing = as_tensor(np.eye(4) + 0.5 * noise((4, 4), seed=1))
    measured = combined(mixing, as_tensor(noise((4, 20_000), 0.3)))
    matrix, level = whitening(measured)
    white = combined(matrix, measured)
    covariance = white @ white.mH / white.shape[1]
    np.testing.assert_allclose(covariance, 2 * level**2 * torch.eye(4), atol=1e-3 * level**2)
    assert level**2 == pytest.approx(float(measured.abs().square().mean()) / 2, rel=1e-3)


def test_virtual_coils_are_orthonormal_and_hold_the_energy() -> None:
    few = as_tensor(noise((6, 2))) @ CENTRE[:2].flatten(1)
    matrix = virtual_coils(few[:, None], None)
    assert len(matrix) == 2
    np.testing.assert_allclose(matrix @ matrix.mH, torch.eye(2), atol=1e-5)
    assert float(combined(matrix, few).norm()) == pytest.approx(float(few.norm()), rel=1e-5)
    assert len(virtual_coils(few[:, None], 5)) == 5
