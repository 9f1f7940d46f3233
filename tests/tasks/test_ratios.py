"""The ratio that training draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from idmcli import tasks
from idmcli.config import load_config
from idmcli.errors import ConfigError
from idmcli.tasks.ratios import VALIDATION_RATIOS

EACH = pytest.mark.parametrize("kind", ["cs", "hadamard", "inpainting", "mri"])


@EACH
def test_training_draws_the_ratio_where_none_is_set(kind: str) -> None:
    task: tasks.Task[Any] = tasks.find(kind)
    options, rng = replace(task.options(), ratio_min=0.2, ratio_max=0.4), np.random.default_rng(0)
    drawn = [task.vary(options, rng) for _ in range(200)]
    ratios = [option.ratio for option in drawn]
    assert 0.2 <= min(ratios) < 0.22 and 0.38 < max(ratios) <= 0.4
    assert {replace(option, ratio=None) for option in drawn} == {options}
    assert [option.ratio for option in task.validation(options)] == list(VALIDATION_RATIOS)
    assert task.largest(options).ratio == 0.4
    fixed = replace(options, ratio=0.3)
    assert task.vary(fixed, rng) == task.largest(fixed) == fixed and list(task.validation(fixed)) == [fixed]


@pytest.mark.parametrize(("kind", "mask"), [("mri", "equispaced"), ("inpainting", "boxes")])
def test_masks_without_a_ratio_stay_as_they_are(kind: str, mask: str) -> None:
    task: tasks.Task[Any] = tasks.find(kind)
    options = replace(task.options(), mask=mask)
    assert task.vary(options, np.random.default_rng(0)) == task.largest(options) == options
    assert list(task.validation(options)) == [options]


@EACH
def test_ratios_to_draw_must_be_in_order(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"operator.ratio_min = 0.6 \(--set\), operator.ratio_max = 0.5 \(default\)"):
        load_config(overrides=[f"task.kind={kind}", "operator.ratio_min=0.6"])
