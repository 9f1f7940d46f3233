"""Sparse-view CT as a task."""

from __future__ import annotations

import numpy as np
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
    with pytest.raises(
        ConfigError, match="--ratio: operator.ratio is for task cs, hadamard, inpainting or mri, and the task"
    ):
        load_config("ct", flags={"--ratio": ("operator.ratio", 0.2)})


def test_pictures_of_all_sizes_share_a_setting() -> None:
    assert [TASK.setting(CTOptions(views=views)) for views in (1, 60)] == ["1 view", "60 views"]


def test_photons_are_counted_and_other_noise_is_added() -> None:
    y = torch.full((1, 1, 100, 1000), 10.0)
    exact, none = TASK.disturb(y, CTOptions(), 1)
    assert torch.equal(exact, y) and none == 0
    counted, sigma = TASK.disturb(y, CTOptions(photons=1e4), 1)
    assert sigma == pytest.approx(float((counted - y).std()), rel=0.02)
    assert TASK.disturb(y, CTOptions(photons=1e4, attenuation=0.04), 1)[1] > 1.5 * sigma
    both, together = TASK.disturb(y, CTOptions(photons=1e4, noise=0.3), 1)
    assert together == pytest.approx((sigma**2 + 0.09) ** 0.5) == pytest.approx(float((both - y).std()), rel=0.02)


def test_an_attenuation_without_photons_is_refused() -> None:
    with pytest.raises(ConfigError, match="operator.attenuation = 0.1 .*: it is for operator.photons"):
        load_config("ct", overrides=["operator.attenuation=0.1"])
    for wrong in ("photons=0", "photons=inf", "attenuation=0", "views=0", "views=1e9", "detectors=0"):
        with pytest.raises(ConfigError, match=f"operator.{wrong.split('=')[0]}"):
            load_config("ct", overrides=["operator.photons=10", f"operator.{wrong}"])


def test_training_draws_the_number_of_views() -> None:
    options, rng = CTOptions(views_min=3, views_max=5), np.random.default_rng(0)
    assert {TASK.vary(options, rng).views for _ in range(50)} == {3, 4, 5}
    assert TASK.largest(options).views == 5 and [o.views for o in TASK.validation(options)] == [3, 5]
    given = CTOptions(views=9)
    assert TASK.vary(given, rng) == TASK.largest(given) == given and TASK.validation(given) == [given]
    for wrong in (["views_min=3"], ["views_max=3"], ["views_min=4", "views_max=3"]):
        with pytest.raises(ConfigError, match="views_m[^ ]* .*views_m[^ ]* ") as caught:
            load_config("ct", overrides=[f"operator.{text}" for text in [*wrong, "attenuation=0.1"]])
        assert "operator.attenuation" in caught.value.message
