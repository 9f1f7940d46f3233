"""LPIPS, for those who have installed it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from idmcli.errors import ConfigError

Perceptual = Callable[[Tensor, Tensor], float]


def load_lpips(device: torch.device) -> Perceptual | None:
    """Learned perceptual similarity (Zhang et al., CVPR 2018) by their package ``lpips``: AlexNet, version 0.1.

    Returns:
        A function of two images (1, 1 or 3, H, W) in [0, 1], of which grey ones count as three equal channels; 0 for
        equal images. None where the package is not installed.

    Raises:
        ConfigError: the package is there but cannot load its network, which it downloads once.
    """
    if find_spec("lpips") is None:
        return None
    from lpips import LPIPS  # type: ignore[import-not-found, unused-ignore]

    try:
        network = LPIPS(net="alex", verbose=False).to(device).eval()
    except Exception as failure:  # whatever its download raises
        reason = str(failure).strip().partition("\n")[0]
        raise ConfigError(f"lpips is installed but cannot load its network: {reason}") from failure

    @torch.no_grad()
    def lpips(x: Tensor, ref: Tensor) -> float:
        x, ref = (2 * image.to(device).expand(-1, 3, -1, -1) - 1 for image in (x, ref))
        return float(network(x, ref))

    return lpips
