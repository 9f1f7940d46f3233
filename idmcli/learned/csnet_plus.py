"""CSNet+ (Shi et al., IEEE TIP 2019), and made reversible and with injectors (Chen et al., TPAMI 2025, Table 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idmcli.learned.sampling import SamplingKind, SamplingSettings

if TYPE_CHECKING:
    from idmcli.models.csnet_plus import CSNetPlus
    from idmcli.models.sampling_network import SamplingConfig


@dataclass(frozen=True)
class CSNetPlusSettings(SamplingSettings):
    """[model] of kind csnet-plus."""

    kind: str = "csnet-plus"


class CSNetPlusKind(SamplingKind):
    """A learned matrix for blocks, and residual blocks."""

    name = "csnet-plus"
    noun = "a CSNet+"
    settings = CSNetPlusSettings
    starts_from = ("csnet-plus",)
    method = "csnet-plus"

    def network(self, config: SamplingConfig) -> CSNetPlus:
        from idmcli.models.csnet_plus import CSNetPlus

        return CSNetPlus(config)


KIND = CSNetPlusKind()
