"""The result of a validation: scores to follow, and pictures to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from idmcli.io.panels import panel

MAX_SHOWN = 4  # crops


@dataclass(frozen=True)
class Validation:
    """The held-out crops, reconstructed.

    Attributes:
        scores: in dB.
        pictures: label to (N, C, H, W) in [0, 1], the truth first.
    """

    scores: Mapping[str, float]
    pictures: Mapping[str, Tensor] = field(default_factory=dict)

    def sheet(self) -> NDArray[np.float32]:
        """The first few crops, one below the other, with a labelled column for each of the pictures."""
        return panel([(label, _column(x[:MAX_SHOWN])) for label, x in self.pictures.items()])


def _column(x: Tensor) -> NDArray[Any]:
    stacked = x.float().cpu().permute(0, 2, 3, 1).flatten(0, 1).numpy()
    return stacked[..., 0] if stacked.shape[2] == 1 else stacked
