"""RK-CCSNet (Zheng et al., ECCV 2020), and made reversible and with injectors (Chen et al., TPAMI 2025, Table 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

from idmcli.config import Config
from idmcli.learned.sampling import SamplingKind, SamplingSettings

if TYPE_CHECKING:
    from idmcli.models.rk_ccsnet import RKCCSNet
    from idmcli.models.sampling_network import SamplingConfig


@dataclass(frozen=True)
class RKCCSNetSettings(SamplingSettings):
    """[model] of kind rk-ccsnet."""

    kind: str = "rk-ccsnet"


class RKCCSNetKind(SamplingKind):
    """Convolutional sampling and Runge-Kutta blocks."""

    name = "rk-ccsnet"
    noun = "an RK-CCSNet"
    settings = RKCCSNetSettings
    starts_from = ("rk-ccsnet",)
    method = "rk-ccsnet"

    def network(self, config: SamplingConfig) -> RKCCSNet:
        from idmcli.models.rk_ccsnet import RKCCSNet

        return RKCCSNet(config)

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        found = list(super().conflicts(config))
        if -log2(config.model.ratio) not in range(1, 7):
            found.append((("model.ratio",), "this network samples 1/2, 1/4, 1/8, 1/16, 1/32 or 1/64 of the pixels"))
        return found


KIND = RKCCSNetKind()
