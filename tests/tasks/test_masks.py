"""Masks from files, for every task that takes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idmcli import tasks
from idmcli.errors import ConfigError, InputError
from idmcli.io.images import write_image
from idmcli.tasks.masks import read_mask

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


def test_a_mask_that_is_missing() -> None:
    with pytest.raises(ConfigError, match="^the mask 'none.png' does not exist"):
        read_mask(Path("none.png"), (1, *SIZE))
