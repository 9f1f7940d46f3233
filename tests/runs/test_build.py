"""From a configuration to stages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from idmcli.config import Config, TaskConfig, TrainingConfig
from idmcli.learned.idm import IDMSettings
from idmcli.learned.prior import PriorSettings
from idmcli.runs.build import build_stage
from idmcli.tasks.inpainting import InpaintingOptions
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.prior import PriorStage

PRIOR = Config(model=PriorSettings(channels=(8, 16), blocks=(1, 1)), training=TrainingConfig(patch=16))
END = replace(PRIOR, model=IDMSettings(channels=(8, 16), blocks=(1, 1), steps=2))


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
