"""Masks from files, for every task that takes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idmcli import tasks
from idmcli.errors import ConfigError, InputError
from idmcli.io.images import write_image
from idmcli.tasks.masks import mask_notes, read_mask

SIZE = (18, 21)


@pytest.mark.parametrize("colour", [False, True])
def test_white_is_what_is_kept(tmp_path: Path, colour: bool) -> None:
    mask = np.random.default_rng(1).random(SIZE) < 0.4
    pixels = mask.astype(float)
    write_image(tmp_path / "m.png", np.stack([pixels] * 3, axis=2) if colour else pixels)
    assert np.array_equal(read_mask(tmp_path / "m.png", (1, *SIZE)), mask)


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (np.ones((18, 20)), InputError, r"'.*m\.png' is 18 x 20 pixels \(height x width\), the image 18 x 21"),
        (np.full(SIZE, 0.5), ConfigError, r"m\.png' is not black and white"),
        (np.stack([np.ones(SIZE), np.zeros(SIZE), np.zeros(SIZE)], axis=2), ConfigError, "is not black and white"),
        (np.zeros(SIZE), ConfigError, r"m\.png' is all black: nothing is measured"),
    ],
)
@pytest.mark.parametrize("kind", ["inpainting", "mri"])
def test_wrong_masks(tmp_path: Path, kind: str, pixels: Any, error: type[Exception], message: str) -> None:
    """Another size is about one picture, so others may still be measured; all else is about what was asked for."""
    write_image(tmp_path / "m.png", pixels)
    task = tasks.find(kind)
    with pytest.raises(InputError, match=message) as caught:
        task.operator(task.options(mask="file", mask_file=str(tmp_path / "m.png")), (1, *SIZE), "a")
    assert type(caught.value) is error


@pytest.mark.parametrize("colour", [False, True])
def test_soft_edges_are_cut_in_the_middle(tmp_path: Path, colour: bool) -> None:
    pixels = np.ones(SIZE)
    pixels[5:9], pixels[4], pixels[9] = 0, 0.7, 0.3
    write_image(tmp_path / "m.png", np.stack([pixels] * 3, axis=2) if colour else pixels)
    assert np.array_equal(read_mask(tmp_path / "m.png", (1, *SIZE)), pixels >= 0.5)
    (note,) = mask_notes(tmp_path / "m.png")
    assert note.endswith("m.png' has grey levels in 11 % of its pixels: those at half of white or above are kept")
    write_image(tmp_path / "m.png", np.rint(pixels))
    assert mask_notes(tmp_path / "m.png") == []


def test_a_folder_has_a_mask_for_each_picture(tmp_path: Path) -> None:
    for k, name in enumerate(("a.png", "stack_2.tif", "b.png", "b.tif")):
        mask = np.zeros(SIZE)
        mask[k] = 1
        write_image(tmp_path / name, mask)
    task = tasks.find("inpainting")
    options = task.options(mask="file", mask_file=str(tmp_path))
    for row, item in enumerate(("a.jpg", "stack.tif#2")):
        assert np.flatnonzero(task.operator(options, (1, *SIZE), item).mask.any(1)) == [row]
    for item, problem in (("c.png", "no mask for 'c.png'"), ("b.png", "2 masks for 'b.png'")):
        with pytest.raises(InputError, match=problem) as caught:
            task.operator(options, (1, *SIZE), item)
        assert type(caught.value) is InputError  # about one picture


def test_a_mask_that_is_missing() -> None:
    with pytest.raises(ConfigError, match="^the mask 'none.png' does not exist"):
        read_mask(Path("none.png"), (1, *SIZE))
