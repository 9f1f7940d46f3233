"""The picture of the README: measurements, and the reconstructions of idm's default methods.

The photographs come with scikit-image: camera (Lav Varshney, CC0), chelsea (Stefan van der Walt, CC0), coffee (Rachel
Michetti, CC0), and the phantom of Shepp and Logan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import skimage.transform
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import idmcli as idm
from idmcli import tasks

FILE = Path(__file__).parent / "front.png"
SIDE, GAP, CAPTION = 160, 6, 34
INK, PAPER = (36, 36, 36), (255, 255, 255)  # a card of its own: readable on light and dark pages


@dataclass(frozen=True)
class Column:
    """A picture, and how it is measured.

    Attributes:
        title: two lines below the column.
        picture: (SIDE, SIDE) or (SIDE, SIDE, 3), in 0..1.
        task: of :func:`idmcli.sense`.
        options: of the task.
    """

    title: str
    picture: NDArray[np.float64]
    task: str
    options: dict[str, Any] = field(default_factory=dict)

    def pair(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """The measurements as a picture, the result of the default method, and its PSNR."""
        m = idm.sense(self.picture, task=self.task, **self.options)
        x = idm.reconstruct(m)
        seen = torch.nn.functional.interpolate(tasks.seen(m.operator, m.y[None]).picture, (SIDE, SIDE))
        return seen[0].permute(1, 2, 0).squeeze(2).numpy(), x, idm.psnr(x, self.picture)


def columns() -> list[Column]:
    """The columns of the picture."""
    camera = skimage.data.camera()[60:380, 130:450].reshape(SIDE, 2, SIDE, 2).mean((1, 3)) / 255
    cat = skimage.data.chelsea()[10:290, 100:380] / 255
    cup = skimage.data.coffee()[60:380, 120:440].reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3)) / 255
    phantom = skimage.transform.resize(skimage.data.shepp_logan_phantom(), (SIDE, SIDE), anti_aliasing=True)
    cat = skimage.transform.resize(cat, (SIDE, SIDE), anti_aliasing=True)
    blur = {"kernel": "motion", "size": 31, "boundary": "circular", "noise": 0.01}
    return [
        Column("compressed sensing\n20 % of the numbers", camera, "cs", {"ratio": 0.2}),
        Column("inpainting\n20 % of the pixels", cat.clip(0, 1), "inpainting", {"ratio": 0.2}),
        Column("motion deblurring\nwith noise", cup, "deblur", blur),
        Column("tomography\n30 views", phantom.clip(0, 1), "ct", {"views": 30}),
    ]


def draw() -> Image.Image:
    """The whole picture."""
    found = columns()
    width, height = len(found) * (SIDE + GAP) + GAP, 2 * (SIDE + GAP) + GAP + CAPTION
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, column in enumerate(found):
        measured, result, psnr = column.pair()
        left = GAP + number * (SIDE + GAP)
        for row, picture in enumerate((measured, result)):
            sheet.paste(tile(picture), (left, GAP + row * (SIDE + GAP)))
        caption = f"{column.title}: {psnr:.1f} dB"
        pen.multiline_text((left + SIDE / 2, height - CAPTION), caption, INK, font, "ma", align="center")
        print(caption.replace("\n", ", "))
    return sheet


def tile(picture: NDArray[np.float64]) -> Image.Image:
    """A picture in 8 bits."""
    return Image.fromarray(np.uint8(255 * np.clip(picture, 0, 1) + 0.5)).convert("RGB")


def save(picture: Image.Image, file: Path) -> None:
    """Write a picture with 256 colours, and say how large the file is."""
    picture.quantize(256, Image.Quantize.MEDIANCUT).save(file, optimize=True)
    print(f"{file.stat().st_size} bytes")


if __name__ == "__main__":
    save(draw(), FILE)
