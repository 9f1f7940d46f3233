"""Pictures that are measurements: pixels are missing, or they are blurred."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions, Facts, Importer, ImportOptions
from idmcli.io.formats import Picture

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement


@dataclass(frozen=True)
class PictureImportOptions(ImportOptions):
    """The options for a picture that is the measurement."""

    mask: str | None = None  # picture of the pixels that are known, white = known
    kernel: str | None = None  # grey picture of a blurred point
    boundary: Literal["reflect", "circular"] = "reflect"  # the scene beyond the edges
    white: str | None = None  # the sample that is white; the largest of its type if not set
    scale: str | None = None  # LOW,HIGH[,UNIT]: the values of black and white


class PictureImporter(Importer[Picture, PictureImportOptions]):
    """A damaged or blurred picture: nothing is measured again, and nothing of it is the truth."""

    noun = "a picture with lost pixels, or a blurred one"
    content = Picture
    options = PictureImportOptions
    claimed_by = ("mask", "kernel")

    def facts(self, content: Picture) -> Facts:
        return Facts({"pixels": list(content.samples.shape)})

    def measure(
        self, content: Picture, options: PictureImportOptions, item: Item, assumptions: Assumptions
    ) -> Measurement:
        from idmcli.io.images import as_image
        from idmcli.io.scale import scale_of
        from idmcli.measuring import Measurement, to_batch
        from idmcli.operators import Blur, Inpainting, Operator
        from idmcli.tasks.kernels import read_kernel
        from idmcli.tasks.masks import mask_notes, mask_path, read_mask

        if options.mask is not None and options.kernel is not None:
            raise InputError(
                "--mask and --kernel say that pixels are lost and that they are blurred", "give one of them"
            )
        image = as_image(content, item, scale=scale_of(options.scale, _sample(options.white)))
        x = to_batch(image)
        shape = (x.shape[1], x.shape[2], x.shape[3])
        operator: Operator
        if options.mask is not None:
            mask = mask_path(Path(options.mask), str(item))
            operator = Inpainting(shape, read_mask(mask, shape))
            y = operator.A(x)
            share = f"{100 * operator.ratio:.1f} % of the pixels"
            if 0 < operator.ratio < 0.5 and y.min() == y.max():
                raise InputError(
                    f"all known pixels have the same value: {share}, where {mask} is white",
                    "white pixels of a mask are known; invert it if its white pixels are lost",
                )
            assumptions.add(f"{share} are known, where {mask} is white")
            for note in mask_notes(mask):
                assumptions.add(note)
        else:
            operator = Blur(shape, read_kernel(Path(options.kernel or "")), boundary=options.boundary)
            y = x
            edges = "are mirrored" if options.boundary == "reflect" else "repeat"
            assumptions.add(f"the picture is blurred by {options.kernel}, and its edges {edges}")
        for note in image.notes:
            assumptions.add(note)
        return Measurement(
            operator,
            y[0],
            options.noise or 0.0,
            options.gain or 1.0,
            image.scale,
            image.bits,
            geometry=image.geometry,
        )


def _sample(text: str | None) -> int | None:
    """The sample that --white gives."""
    if text is None:
        return None
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise InputError(f"--white {text!r} is no sample of a picture", "give an integer from 1 to 65535")
    return int(text)


IMPORTER = PictureImporter()
