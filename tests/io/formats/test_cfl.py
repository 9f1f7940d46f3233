"""Arrays of BART."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.formats import CFL, format_of
from idmcli.io.items import Item
from tests.scanners import coil_images, kspace_of, noise, write_cfl

KSPACE = kspace_of(coil_images(3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.cfl"


def test_a_slice(path: Path) -> None:
    write_cfl(path, KSPACE.transpose(1, 2, 0)[None])
    assert format_of(path) is CFL and CFL.items(path) == [Item(path)]
    found = CFL.read(Item(path))
    np.testing.assert_array_equal(found.samples, KSPACE)
    assert found.sampled.all() and found.readout is None and found.facts["coils"] == 3


def test_points_that_were_not_sampled(path: Path) -> None:
    mask = np.random.default_rng(0).random(KSPACE.shape[1:]) < 0.3
    write_cfl(path, (KSPACE * mask).transpose(1, 2, 0)[:, :, None])
    found = CFL.read(Item(path))
    np.testing.assert_array_equal(found.sampled, mask)
    assert found.readout == 0


def test_slices_of_a_volume_come_by_a_fourier_transform(path: Path) -> None:
    images = noise((2, 6, 8, 5))
    volume = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(kspace_of(images), 1), axis=1, norm="ortho"), 1)
    mask = np.random.default_rng(0).random((8, 5)) < 0.5
    write_cfl(path, (volume * mask).transpose(1, 2, 3, 0))
    items = CFL.items(path)
    assert len(items) == 6 and "Fourier transform" in CFL.read(items[2]).notes[0]
    for n, item in enumerate(items):
        np.testing.assert_allclose(CFL.read(item).samples, kspace_of(images[:, n]) * mask, atol=1e-5)


def test_echoes_and_averages(path: Path) -> None:
    values = np.zeros((1, *KSPACE.shape[1:], 3, 1, 2, *[1] * 8, 2), np.complex64)
    values[0, :, :, :, 0, 0, ..., 0] = KSPACE.transpose(1, 2, 0).reshape(values[0, :, :, :, 0, 0, ..., 0].shape)
    values[..., 1] = 3 * values[..., 0]
    write_cfl(path, values)
    first, second = CFL.items(path)
    found = CFL.read(first)
    np.testing.assert_allclose(found.samples, 2 * KSPACE, rtol=1e-6)
    assert found.facts["echo"] == "1 of 2" and "mean of 2 averages" in found.notes
    assert not CFL.read(second).samples.any()
    with pytest.raises(InputError, match="holds 2 slices"):
        CFL.read(Item(path))
    with pytest.raises(InputError, match="is not there"):
        CFL.read(Item(path, 3))


def test_a_noise_scan_is_no_image(path: Path) -> None:
    values = noise((64, 1, 1, 5))
    write_cfl(path, values)
    np.testing.assert_array_equal(CFL.noise(path), values[:, 0, 0].T)
    with pytest.raises(InputError, match="no k-space of an image"):
        CFL.read(Item(path))


@pytest.mark.parametrize(
    "text",
    [
        "# Dimensions\n0 4\n",
        "# Dimensions\nx\n",
        "# Dimensions\n",
        "# Dimensions\n" + "2 " * 40,
        "# Dimensions\n-4 2\n",
    ],
)
def test_damaged_headers(path: Path, text: str) -> None:
    write_cfl(path, KSPACE)
    path.with_suffix(".hdr").write_text(text)
    with pytest.raises(InputError, match="not a readable header"):
        CFL.read(Item(path))


def test_sizes_that_the_file_does_not_have(path: Path) -> None:
    write_cfl(path, KSPACE)
    path.with_suffix(".hdr").write_text("# Dimensions\n99999999 99999999 99999999 8\n")
    with pytest.raises(InputError, match="and its header says"):
        CFL.read(Item(path))
    path.with_suffix(".hdr").unlink()
    with pytest.raises(InputError):
        CFL.read(Item(path))
    assert not CFL.recognises(path)


def test_the_header_alone_leads_to_the_array(path: Path) -> None:
    write_cfl(path, KSPACE)
    with pytest.raises(InputError, match="is the header of an array"):
        CFL.read(Item(path.with_suffix(".hdr")))


def test_three_undersampled_axes_are_refused(path: Path) -> None:
    write_cfl(path, noise((6, 7, 8, 2)) * (np.random.default_rng(0).random((6, 7, 8, 1)) < 0.5))
    with pytest.raises(InputError, match="undersampled along all three axes"):
        CFL.items(path)
