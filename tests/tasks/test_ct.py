"""Sparse-view CT as a task."""

from __future__ import annotations

import pytest
import torch

from idmcli.config import load_config
from idmcli.errors import ConfigError
from idmcli.tasks.ct import TASK, CTOptions


def test_views_and_detectors_decide_how_much_is_measured() -> None:
    operator = TASK.operator(CTOptions(views=7, detectors=33), (1, 18, 21), "a")
    assert operator.A(torch.rand(1, 1, 18, 21)).shape == (1, 1, 7, 33)
    found, text = TASK.amount(operator)
    assert found == 7 * 33 / (18 * 21) and text == f"7 views, {100 * found:.1f} % measurements per pixel"
    assert TASK.ratio(CTOptions()) is None


def test_without_detectors_every_pixel_is_seen() -> None:
    operator = TASK.operator(CTOptions(views=9), (1, 18, 21), "a")
    sums = operator.A(torch.ones(1, 1, 18, 21)).sum(-1)
    torch.testing.assert_close(sums, torch.full_like(sums, 18 * 21), rtol=0.02, atol=0)


def test_views_take_the_place_of_a_ratio() -> None:
    with pytest.raises(ConfigError, match="--ratio: operator.ratio is for task cs, inpainting or mri, and the task"):
        load_config("ct", flags={"--ratio": ("operator.ratio", 0.2)})
