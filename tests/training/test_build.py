"""From a configuration to pictures and stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from idmcli.config import Config, ModelConfig, TaskConfig, TrainingConfig
from idmcli.errors import InputError
from idmcli.io.images import write_image
from idmcli.tasks.inpainting import InpaintingOptions
from idmcli.training.build import build_stage, fingerprint, load_images
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.prior import PriorStage

PRIOR = Config(model=ModelConfig(channels=(8, 16), blocks=(1, 1), steps=2), training=TrainingConfig(patch=16))
END = replace(PRIOR, training=TrainingConfig(stage="end-to-end", patch=16))


def picture(path: Path, shape: tuple[int, ...], seed: int = 0) -> None:
    write_image(path, np.random.default_rng(seed).random(shape))


def test_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "grey.png", (20, 24))
    picture(tmp_path / "colour.png", (16, 16, 3))
    picture(tmp_path / "small.png", (15, 40))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    warnings: list[str] = []
    images = load_images([str(tmp_path)], PRIOR, warnings.append)
    assert {path.name: image.shape for path, image in images.items()} == {
        "colour.png": (1, 16, 16),  # one channel, as the network has
        "grey.png": (1, 20, 24),
    }
    assert all(image.dtype == np.float32 and image.flags.c_contiguous for image in images.values())
    assert len(warnings) == 2 and "broken.png" in warnings[0]
    assert warnings[1] == "left out 1 pictures smaller than a crop of 16 x 16 pixels"


def test_colour_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "colour.png", (16, 16, 3))
    picture(tmp_path / "grey.png", (20, 24))
    warnings: list[str] = []
    config = replace(PRIOR, task=TaskConfig(channels=3))
    assert [image.shape for image in load_images([str(tmp_path)], config, warnings.append).values()] == [(3, 16, 16)]
    assert "grey.png" in warnings[0]


def test_no_usable_picture(tmp_path: Path) -> None:
    picture(tmp_path / "small.png", (8, 8))
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(InputError, match="no picture to train on: 1 unreadable, 1 smaller than 16 x 16 pixels"):
        load_images([str(tmp_path)], PRIOR, lambda message: None)


def test_a_fingerprint_depends_on_names_sizes_and_order() -> None:
    one, two, other = (np.zeros((1, 16, side), dtype=np.float32) for side in (16, 17, 17))
    known = fingerprint({Path("a/x.png"): one, Path("a/y.png"): two})
    assert known == fingerprint({Path("elsewhere/x.png"): one, Path("elsewhere/y.png"): other}) and len(known) == 12
    for changed in (
        {Path("a/y.png"): two, Path("a/x.png"): one},
        {Path("a/x.png"): one, Path("a/y.png"): one},
        {Path("a/x.png"): one, Path("a/z.png"): two},
        {Path("a/x.png"): one},
    ):
        assert fingerprint(changed) != known


def images(count: int, height: int, width: int) -> list[np.ndarray]:
    return [np.random.default_rng(k).random((1, height, width), dtype=np.float32) for k in range(count)]


def test_stages() -> None:
    device = torch.device("cpu")
    prior, end = (build_stage(config, images(20, 40, 50), device) for config in (PRIOR, END))
    assert isinstance(prior, PriorStage) and isinstance(end, EndToEndStage)
    assert prior.crops.side == 16 and prior.validation.side == 32
    assert len(prior.crops.images) == 18 and len(prior.validation.images) == 2


def sides(config: Config, height: int, width: int) -> int:
    stage = build_stage(config, images(10, height, width), torch.device("cpu"))
    assert isinstance(stage, EndToEndStage)
    assert stage.validation.centre().shape[2:] == (stage.validation.side,) * 2
    return stage.validation.side


def test_validation_crops_are_multiples_of_the_patch_and_never_empty() -> None:
    assert sides(END, 200, 300) == 128
    assert sides(END, 100, 300) == 96
    large = replace(END, training=replace(END.training, patch=136))
    assert sides(large, 150, 140) == 136  # also where the patch exceeds the usual 128


def test_masks_made_for_one_size_are_validated_at_that_size() -> None:
    boxes = replace(END, task=TaskConfig(kind="inpainting"), operator=InpaintingOptions(mask="boxes"))
    assert sides(boxes, 200, 300) == 16
