"""Accelerated MRI as a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.io.images import write_image
from idmcli.tasks.mri import TASK, MRIOptions, coil_maps
from tests.small import default_method

SIZE = (18, 21)
SHAPE = (1, *SIZE)


@pytest.mark.parametrize("ratio", [None, 0.35, 0.6])
@pytest.mark.parametrize("coils", [1, 8])
def test_the_ratio_counts_points_of_k_space_however_many_coils_see_them(ratio: float | None, coils: int) -> None:
    options = MRIOptions(ratio=ratio, coils=coils)
    operator, wanted = TASK.operator(options, SHAPE, "a"), TASK.ratio(options)
    found, text = TASK.amount(operator)
    assert found == float(operator.mask.double().mean())
    assert wanted is not None and wanted <= found < wanted + 0.15  # a radial line at a time
    assert text == f"{100 * found:.1f} % of k-space" + (" by 8 coils" if coils == 8 else "")
    assert operator.measurement_shape == (coils, int(operator.mask.sum()))


@pytest.mark.parametrize("mask", ["equispaced", "random-lines"])
def test_lines_by_acceleration(mask: Any) -> None:
    operator = TASK.operator(MRIOptions(mask=mask, acceleration=3.0, centre_fraction=0.1), SHAPE, "a")
    assert TASK.amount(operator).ratio == pytest.approx(1 / 3)
    assert TASK.ratio(MRIOptions(mask=mask)) is None
    default = TASK.operator(MRIOptions(mask=mask), SHAPE, "a")
    explicit = TASK.operator(MRIOptions(mask=mask, acceleration=4.0, centre_fraction=0.08), SHAPE, "a")
    assert torch.equal(default.mask, explicit.mask)
    assert not torch.equal(
        TASK.operator(MRIOptions(mask=mask, centre_fraction=0.0), SHAPE, "a").mask, default.mask
    )  # 0 is a fraction, not "not set"


def test_random_lines_come_from_seed_and_name() -> None:
    options = MRIOptions(mask="random-lines", acceleration=2.0)
    a, again, b = (TASK.operator(options, (1, 8, 64), item).mask for item in "aab")
    assert torch.equal(a, again) and not torch.equal(a, b)


@pytest.mark.parametrize("dc", ["corner", "centre", None])
def test_masks_from_files(tmp_path: Path, dc: Any) -> None:
    mask = np.random.default_rng(1).random(SIZE) < 0.4
    write_image(tmp_path / "mask.png", mask.astype(float))
    options = MRIOptions(mask="file", mask_file=str(tmp_path / "mask.png"), mask_dc=dc)
    operator = TASK.operator(options, SHAPE, "a")
    assert np.array_equal(operator.mask, np.fft.ifftshift(mask) if dc == "centre" else mask)


@pytest.mark.parametrize("kind", ["lines", "disc", "full"])
@pytest.mark.parametrize("stored", ["corner", "centre"])
@pytest.mark.parametrize("said", ["corner", "centre", None])
def test_a_mask_whose_centre_is_elsewhere_is_doubted(tmp_path: Path, kind: str, stored: str, said: Any) -> None:
    """Masks are often saved with DC in the middle; told to be at the corner, the reconstruction is noise."""
    size = (48, 40)
    centred = np.ones(size, bool)
    if kind == "lines":
        centred = np.broadcast_to(np.random.default_rng(0).random(size[1]) < 0.3, size).copy()
        centred[:, 17:23] = centred[:, :2] = True
    elif kind == "disc":
        centred = np.hypot(*(np.indices(size) - np.reshape(size, (2, 1, 1)) / 2)) < 12
    mask = centred if stored == "centre" else np.fft.ifftshift(centred)
    write_image(tmp_path / "mask.png", mask.astype(float))
    options = MRIOptions(mask="file", mask_file=str(tmp_path / "mask.png"), mask_dc=said)
    doubts = TASK.doubts(options, TASK.operator(options, (1, *size), "a"), "a")
    wrong = (said or "corner") != stored and kind != "full"
    assert [doubt for doubt in doubts if f"say --set operator.mask_dc={stored}" in doubt] == doubts[: int(wrong)]
    assert len(doubts) == wrong + (kind == "full")  # which looks as if black and white had changed places


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MRIOptions(mask="equispaced", acceleration=50.0), "acceleration is 50.0"),
        (MRIOptions(mask="equispaced", centre_fraction=0.9), "centre alone"),
    ],
)
def test_masks_that_do_not_fit(options: MRIOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TASK.operator(options, SHAPE, "a")


@pytest.mark.parametrize(
    ("options", "keys", "expected"),
    [
        (MRIOptions(mask="file"), ("mask",), "operator.mask_file"),
        (MRIOptions(mask="equispaced", ratio=0.5), ("ratio", "mask"), "pseudo-radial"),
        (MRIOptions(acceleration=3.0), ("acceleration", "mask"), '"equispaced" or "random-lines"'),
        (MRIOptions(centre_fraction=0.0), ("centre_fraction", "mask"), '"equispaced" or "random-lines"'),
        (MRIOptions(mask_dc="centre"), ("mask_dc", "mask"), "file"),
        (MRIOptions(mask_file="m.png"), ("mask_file", "mask"), "file"),
    ],
)
def test_options_of_another_mask_are_conflicts(options: MRIOptions, keys: tuple[str, ...], expected: str) -> None:
    ((found, text),) = TASK.conflicts(options)
    assert found == keys and expected in text


def test_mixed_masks_are_of_all_three_kinds() -> None:
    options = MRIOptions(mask="mixed", ratio_min=0.1, ratio_max=0.5)
    masks = [TASK.operator(options, (1, 32, 32), f"{number}").mask for number in range(40)]
    columns = [bool((mask == mask[:1]).all()) for mask in masks]
    assert 10 <= sum(columns) <= 30
    kept = [float(mask.double().mean()) for mask in masks]
    assert min(kept) >= 0.1 and max(kept) < 0.7
    assert [each.mask for each in TASK.validation(options)] == [*["pseudo-radial"] * 3, "random-lines"]


def test_coil_maps_are_smooth_and_each_coil_sees_its_own_side() -> None:
    maps = coil_maps(4, SIZE)
    assert maps.shape == (4, *SIZE) and maps.dtype == torch.complex64
    assert torch.allclose(maps.abs().square().sum(0), torch.ones(SIZE), atol=1e-6)
    peaks = {
        tuple(map(bool, np.array(np.unravel_index(int(m.abs().argmax()), SIZE)) > np.array(SIZE) / 2)) for m in maps
    }
    assert len(peaks) >= 3
    steps = [(maps[:, 1:] - maps[:, :-1]).abs().max(), (maps[..., 1:] - maps[..., :-1]).abs().max()]
    assert max(map(float, steps)) < 0.3
    operator = TASK.operator(MRIOptions(coils=4, ratio=1.0), SHAPE, "a")
    x = torch.rand(1, *SHAPE)
    assert torch.allclose(operator.normal(x), x, atol=1e-5)  # fully sampled: sum_c |s_c|^2 = 1
    assert coil_maps(2, (1, 1)).shape == (2, 1, 1)


@pytest.mark.parametrize("options", [MRIOptions(), MRIOptions(coils=4), MRIOptions(mask="equispaced")])
def test_one_method_however_k_space_is_sampled(options: MRIOptions) -> None:
    assert default_method(TASK.operator(options, (1, 32, 32), "a")) == "hqs"
