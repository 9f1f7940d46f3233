"""K-space as a measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions
from idmcli.importing.mri.importer import IMPORTER
from idmcli.io.formats import KSpace
from idmcli.io.items import Item
from idmcli.measuring import Measurement
from tests.scanners import SHAPE, coil_images, kspace_of, noise, write_cfl

IMAGES = coil_images(4)
FULL = np.ones(SHAPE, bool)


def scan(images: Any = IMAGES, sampled: Any = FULL, **given: Any) -> KSpace:
    return KSpace(kspace_of(images) * sampled, sampled, **given)


def undersampled() -> Any:
    mask = np.zeros(SHAPE, bool)
    mask[:, ::2] = mask[:, 12:28] = True
    return mask


def measured(content: KSpace, **given: Any) -> tuple[Measurement, str]:
    assumptions = Assumptions()
    m = IMPORTER.measure(content, IMPORTER.check(given), Item(Path("scan")), assumptions)
    return m, "\n".join(assumptions.texts)


def deviation(m: Measurement, images: Any = IMAGES) -> float:
    """Of the magnitude of A+ y from the root of the sum of squares."""
    assert hasattr(m.operator, "pinv")
    x = m.operator.pinv(m.y[None])[0, 0].abs().numpy()
    r = np.sqrt((np.abs(images) ** 2).sum(0))
    return float(np.linalg.norm(x - r) / np.linalg.norm(r))


@pytest.mark.parametrize("sampled", [FULL, undersampled()])
@pytest.mark.parametrize("maps", ["espirit", "lowres"])
def test_the_image_stands_where_it_was(sampled: Any, maps: str) -> None:
    m, texts = measured(scan(sampled=sampled), maps=maps)
    assert deviation(m) < (0.03 if maps == "espirit" else 0.1)
    assert m.gain is None and m.truth is None and m.operator.complex_image
    assert ("ESPIRiT" if maps == "espirit" else "low resolution") in texts
    assert "frequency zero at row 25, column 21" in texts


@pytest.mark.parametrize("shape", [(33, 40), (32, 27)])
def test_odd_sizes_and_one_coil(shape: tuple[int, int]) -> None:
    images = coil_images(1, shape)
    m, _ = measured(KSpace(kspace_of(images), np.ones(shape, bool)))
    assert m.operator.measurement_shape[0] == 1 and deviation(m, images) < 1e-5


def test_maps_of_a_file_go_through_all_combinations_of_coils(tmp_path: Path) -> None:
    maps = IMAGES / np.sqrt((np.abs(IMAGES) ** 2).sum(0)).clip(1e-9)
    write_cfl(tmp_path / "maps.cfl", maps.transpose(1, 2, 0)[None])
    np.save(tmp_path / "maps.npy", maps)
    mixed = scan(sampled=undersampled(), noise=noise((4, 500)) * np.array([[1], [2], [3], [4]], np.complex64))
    for name in ("maps.cfl", "maps.npy"):
        m, texts = measured(mixed, maps=str(tmp_path / name), coils=3)
        assert deviation(m) < 0.03 and "4 coils combined to 3 virtual ones" in texts
    np.save(tmp_path / "other.npy", maps[:2])
    with pytest.raises(InputError, match="give coil maps of 4 x 48 x 40"):
        try:
            measured(mixed, maps=str(tmp_path / "other.npy"))
        except InputError as error:
            raise InputError(f"{error.message} {error.hint}") from error


def test_the_noise_scan_decorrelates_and_states_the_level() -> None:
    rng = np.random.default_rng(0)
    mixing = np.eye(4) + 0.4 * rng.standard_normal((4, 4))
    level = 0.02
    content = scan(noise=(mixing @ noise((4, 4000), level)).astype(np.complex64), repeats=4)
    disturbed = content.samples + np.tensordot(mixing, noise(content.samples.shape, level / 2, 1), 1)
    m, texts = measured(replace(content, samples=disturbed.astype(np.complex64)))
    expected = level / 2 * np.sqrt((mixing**2).sum() / 4)
    assert m.noise == pytest.approx(expected, rel=0.1) and "decorrelated by a noise scan of 4000" in texts
    stated, texts = measured(content, noise=0.5)
    assert stated.noise == 0.5 and "noise 0.5" not in texts


def test_an_oversampled_readout_is_cropped() -> None:
    wide = np.zeros((4, 48, 80), np.complex64)
    wide[..., 20:60] = IMAGES
    content = KSpace(kspace_of(wide), np.ones((48, 80), bool), readout=1, fov=(48, 40))
    m, texts = measured(content)
    assert m.operator.image_shape == (1, *SHAPE) and deviation(m) < 0.03
    assert "the middle 40 of 80 columns are kept" in texts
    along_phase, texts = measured(replace(content, readout=0))
    assert along_phase.operator.image_shape == (1, 48, 80) and "all 80 columns are kept" in texts


def test_padding_is_known_to_be_zero() -> None:
    sampled = FULL.copy()
    sampled[:6] = sampled[43:] = False
    padding = ~sampled
    m, texts = measured(scan(sampled=sampled, padding=padding))
    assert m.amount.ratio == 1 and "k-space is zero beyond" in texts
    assert measured(scan(sampled=sampled))[0].amount.ratio < 0.8
    facts = IMPORTER.facts(scan(sampled=sampled, padding=padding))
    assert facts.known["acceleration"] == 1.0 and facts.known["matrix"] == "48 x 40" and not facts.missing


def test_separate_calibration_lines() -> None:
    sampled = np.zeros(SHAPE, bool)
    sampled[:, ::2] = True
    centre = np.zeros(SHAPE, bool)
    centre[:, 10:30] = True
    content = scan(sampled=sampled, calibration=3 * kspace_of(IMAGES) * centre)
    assert deviation(measured(content)[0]) < 0.05
    alone = replace(content, calibration=None)
    assert "--maps FILE" in IMPORTER.facts(alone).missing[0]
    with pytest.raises(InputError, match="fully sampled points in the centre"):
        measured(alone)


def test_what_does_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "noise.npy", noise((3, 100)))
    np.save(tmp_path / "short.npy", noise((4, 2)))
    for given, reason in (
        ({"noise_scan": str(tmp_path / "noise.npy")}, "a noise scan of 3 coils"),
        ({"noise_scan": str(tmp_path / "short.npy")}, "fewer independent samples"),
        ({"noise_scan": "none.npy"}, "not a readable file|does not exist"),
        ({"maps": "none.cfl"}, "not a readable file|does not exist"),
        ({"coils": 9}, "has 4"),
    ):
        with pytest.raises(InputError, match=reason):
            measured(scan(), **given)
    with pytest.raises(InputError, match="is not for"):
        IMPORTER.check({"matrix": "a.npy"})
    for value, reason in ((np.nan, "NaN"), (0, "only zeros")):
        with pytest.raises(InputError, match=reason):
            measured(KSpace(np.full((2, 8, 8), value, np.complex64), np.ones((8, 8), bool)))
