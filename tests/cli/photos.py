"""Pictures to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from idmcli.io.images import write_image


def draw_photos() -> None:
    """Three pictures of 40 x 36 pixels in a new folder ``photos`` of the current one."""
    Path("photos").mkdir()
    for k in range(3):
        rows, columns = np.mgrid[:40, :36] / (4 + k)
        write_image(f"photos/{k}.png", 0.5 + 0.4 * np.sin(rows) * np.cos(columns))
