"""Super-resolution and high dynamic range as tasks."""

from __future__ import annotations

import pytest

from idmcli.config import load_config
from idmcli.errors import ConfigError
from idmcli.tasks import find

SHAPE = (3, 18, 21)


def test_the_factor_says_how_much_is_measured() -> None:
    task = find("sr")
    operator = task.operator(task.options(factor=4), SHAPE, "a")
    assert task.amount(operator) == (5 * 6 / (18 * 21), "5 x 6 of 18 x 21 pixels")
    assert task.identity(operator) == {"factor": 4, "filter": "bicubic"} and task.ratio(task.options()) is None
    with pytest.raises(ConfigError, match=r"operator\.ratio is for task"):
        load_config("sr", flags={"--ratio": ("operator.ratio", 0.2)})


def test_the_gain_says_what_is_clipped() -> None:
    task = find("hdr")
    assert task.amount(task.operator(task.options(gain=1.5), SHAPE, "a")).text == "contrast times 1.5, clipped"
    with pytest.raises(ConfigError, match=r"operator\.gain = 0\.5"):
        load_config("hdr", overrides=["operator.gain=0.5"])
