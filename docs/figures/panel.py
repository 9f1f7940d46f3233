"""The panel of the README, as ``idm reconstruct cup.png --preset motion-deblur --compare`` writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from docs.figures.front import columns, save, tile

FILE = Path(__file__).parent / "panel.png"
COMMAND = "idmcli reconstruct cup.png --preset motion-deblur --compare"


def draw() -> Image.Image:
    """The panel."""
    cup = next(column.picture for column in columns() if column.task == "deblur")
    with TemporaryDirectory() as folder:
        tile(cup).save(Path(folder, "cup.png"))
        subprocess.run([sys.executable, "-m", *COMMAND.split()], cwd=folder, check=True)
        return Image.open(Path(folder, "reconstructions/cup_compare.png")).convert("RGB")


if __name__ == "__main__":
    save(draw(), FILE)
