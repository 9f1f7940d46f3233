"""Warnings about measurements that could be made, but may not be what was meant."""

from __future__ import annotations

from idmcli import tasks
from idmcli.config import Config
from idmcli.measuring.measurement import Measurement

TOLERANCE = 0.1  # of the ratio that was asked for


def doubts(m: Measurement, config: Config, item: str) -> list[str]:
    """Settings of a simulated measurement that may not be meant.

    Args:
        m: the measurement.
        config: that it was made with.
        item: name of the picture.
    """
    return [*_unexpected_amount(m, config), *tasks.find(config.task.kind).doubts(config.operator, m.operator, item)]


def _unexpected_amount(m: Measurement, config: Config) -> list[str]:
    """A warning if over a tenth more or less is measured than [operator] asks for."""
    task, amount = tasks.find(config.task.kind), m.amount
    asked = task.ratio(config.operator)
    if asked is None or abs(amount.ratio - asked) <= TOLERANCE * asked:
        return []
    why = ", because the picture is padded" if m.operator.padded_shape != m.operator.image_shape else ""
    nearer = task.nearer(config.operator, m.operator.image_shape)
    instead = f"; {nearer}" if nearer else ""
    return [f"{amount.text}, not {100 * asked:g} %{why}{instead}"]
