"""The figures published for the methods one compares with (data in ``published.json``)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Colour = Literal["luminance", "rgb"]
_TABLES: dict[Colour, str] = {"luminance": "table1_luminance_psnr", "rgb": "table2_rgb_psnr_ssim"}


@dataclass(frozen=True)
class Figure:
    """Mean and standard deviation over a data set, as published.

    Attributes:
        venue: where the method was published.
        psnr: in dB.
        psnr_std: in dB.
        ssim: None where the paper gives none (luminance).
        ssim_std: None likewise.
    """

    venue: str
    psnr: float
    psnr_std: float
    ssim: float | None = None
    ssim_std: float | None = None


def source() -> str:
    """Where the figures come from."""
    return str(_content()["source"])


def published(dataset: str, ratio: float, colour: Colour = "luminance") -> dict[str, Figure]:
    """The published figure of each method, in the order of the paper's table.

    Args:
        dataset: "Set11", "CBSD68", "Urban100" or "DIV2K", in any case; others have no figures.
        ratio: 0.1, 0.3 or 0.5; others have no figures.
        colour: luminance (the paper's Table 1) or RGB (Table 2).

    Returns:
        Figures by method; empty where nothing was published.
    """
    figures = {}
    for method, entry in _content()[_TABLES[colour]].items():
        for name, by_ratio in entry.items():
            if name == "venue" or name.casefold() != dataset.casefold():
                continue
            for known, cell in by_ratio.items():
                if cell is not None and math.isclose(float(known), ratio):
                    std = cell["std"] if colour == "luminance" else cell["psnr_std"]
                    figures[method] = Figure(
                        entry["venue"], cell["psnr_db"], std, cell.get("ssim"), cell.get("ssim_std")
                    )
    return figures


def published_psnr(dataset: str, ratio: float, colour: Colour = "luminance") -> dict[str, float]:
    """The published mean PSNR in dB of each method; otherwise as :func:`published`."""
    return {method: figure.psnr for method, figure in published(dataset, ratio, colour).items()}


def published_variant(kind: str, reversible: bool, injectors: bool) -> dict[str, Any] | None:
    """The paper's Table 6 for a network that learns its own sampling: Set11 at 50 %, and the memory of training.

    Args:
        kind: "rk-ccsnet" or "csnet-plus".
        reversible, injectors: the variant.

    Returns:
        "psnr_db", "ssim", "memory_gb" and "parameters_m"; None for another kind.
    """
    first = {"rk-ccsnet": 0, "csnet-plus": 4}.get(kind)
    if first is None:
        return None
    return dict(_content()["table6_other_networks_set11_ratio_0.5"][first + reversible + 2 * injectors])


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files("idmcli.evaluation").joinpath("published.json").read_text("utf-8"))
    return content
