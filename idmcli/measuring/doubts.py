"""Warnings about measurements that could be made, but may not be what was meant."""

from __future__ import annotations

from idmcli import tasks
from idmcli.config import Config
from idmcli.measuring.measurement import Measurement


def unexpected_amount(m: Measurement, config: Config) -> list[str]:
    """A warning if a simulation measured over a tenth more or less than [operator] asks for."""
    asked, amount = tasks.find(config.task.kind).ratio(config.operator), m.amount
    if asked is None or abs(amount.ratio - asked) <= asked / 10:
        return []
    why = ", for the picture is padded" if m.operator.padded_shape != m.operator.image_shape else ""
    return [f"{amount.text} are measured and not {100 * asked:g} %{why}"]


def inverted_mask(m: Measurement, config: Config) -> list[str]:
    """A warning if a mask from a file looks as if black and white had changed places."""
    file = getattr(config.operator, "mask_file", None)
    if file is None or 0.01 <= m.amount.ratio <= 0.95:
        return []
    return [f"the mask {file!r} keeps {m.amount.text}; white is what is kept"]
