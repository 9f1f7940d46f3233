"""The peaks of memory plans, from the table of results."""

from __future__ import annotations

import re
from pathlib import Path

from docs.figures.svg import Drawing

TABLE = Path(__file__).parent.parent / "results" / "memory.md"
BAR, ROW, LEFT, TOP = 20, 36, 110, 64
WIDTH = 520  # of the longest bar


def draw() -> Drawing:
    """A bar for each plan: activations, and the rest of the peak."""
    rows = peaks()
    d = Drawing(760, TOP + ROW * len(rows) + 14, "Peak memory of one training step for each memory plan")
    d.rectangle((LEFT, 20), (14, 14), "strong")
    d.text((LEFT + 22, 27), "activations", anchor="start")
    d.rectangle((LEFT + 130, 20), (14, 14), "plain")
    d.text((LEFT + 152, 27), "weights, average, gradients, optimiser, temporaries", anchor="start")
    scale = WIDTH / max(peak for _, _, peak in rows)
    for number, (plan, activations, peak) in enumerate(rows):
        y = TOP + ROW * number
        d.text((LEFT - 10, y + BAR / 2), plan, anchor="end")
        d.rectangle((LEFT, y), (scale * peak, BAR), "plain")
        d.rectangle((LEFT, y), (scale * activations, BAR), "strong")
        d.text((LEFT + scale * peak + 8, y + BAR / 2), f"{peak:.2f} GiB", anchor="start")
    return d


def peaks() -> list[tuple[str, float, float]]:
    """Name, activations and peak of each plan, in GiB."""
    rows = re.findall(
        r"^\| `(\w+)` \| [\d.]+ \| ([\d.]+) \| [\d.]+ \| ([\d.]+) \|", TABLE.read_text("utf-8"), re.MULTILINE
    )
    return [(plan, float(activations), float(peak)) for plan, activations, peak in rows]
