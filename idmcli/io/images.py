"""Pictures in and out: read faithfully or refused with a reason, written atomically."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError, NumericalError
from idmcli.io.files import require_file
from idmcli.io.formats import MAX_PIXELS, Picture, PictureFormat, format_of, head_of, picture_formats
from idmcli.io.geometry import Geometry
from idmcli.io.items import Item
from idmcli.io.records import from_text, to_line
from idmcli.io.scale import Scale

__all__ = [
    "MAX_PIXELS",
    "Image",
    "as_image",
    "find_images",
    "find_items",
    "image_suffixes",
    "luminance",
    "read_image",
    "read_provenance",
    "write_image",
    "writer_of",
]

Bits = Literal[8, 16, 32]  # per sample; 32 for values of any range
NO_ITEMS = "check the names; a pattern may stand in quotes"  # the hint where names stand for nothing
_DTYPES = {8: np.uint8, 16: np.uint16, 32: np.float32}
_MAX_COMMENT = 60_000  # characters; a JPEG holds 64 KiB
_MARK = "idm"  # the key that tells a comment of idm's from any other
_FEW_BITS = 14  # of 16: pictures of cameras and scanners with so many at most may have another white
_INVERTED = "inverted, since it stores white as zero"


@dataclass(frozen=True)
class _Comment:
    """The record that idm writes beside the pixels."""

    provenance: dict[str, Any]
    scale: Scale | None


@dataclass(frozen=True, eq=False)
class Image:
    """A picture as it was in its file.

    Attributes:
        pixels: float32, (H, W) for grey or (H, W, 3) for RGB, in [0, 1].
        bits: 8 or 16 per sample; 32 for signed and 32-bit integers and floating point.
        path: where it came from.
        notes: one sentence per conversion that took place; empty if the file was read as it stands.
        scale: what 0 and 1 stand for.
        number: the page or frame, from 1; None of a file with one picture.
        geometry: where the pixels lie; None if the file does not say.
    """

    pixels: NDArray[np.float32]
    bits: Bits
    path: Path
    notes: tuple[str, ...]
    scale: Scale = Scale()
    number: int | None = None
    geometry: Geometry | None = None

    @property
    def item(self) -> Item:
        """The file and the page in it."""
        return Item(self.path, self.number)


def read_image(path: str | Path | Item, *, scale: Scale | None = None, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a picture: an 8- or 16-bit grey or colour PNG, JPEG, TIFF, BMP or one-frame GIF, a TIFF of any numbers, a
    slice of DICOM or NIfTI, or any other format that a package adds.

    The content decides the format, not the name. ``FILE#N`` is page, frame or slice N. Converted with a note: palettes,
    fewer than 8 bits, alpha channels, EXIF orientation, white-is-zero TIFF, a preview beside the picture in a JPEG.
    Noted and not applied: a gamma and an ICC profile of other colours than usual. Noted as well: 16-bit samples that
    use a quarter of their range at most, of which white may be less than 65535.

    Args:
        path: the file, or one item of it.
        scale: what 0 and 1 stand for; if it is not given, what the file says (results of idm, DICOM and NIfTI do).
            8- and 16-bit samples from 0 to white are mapped to [0, 1]. Signed, 32-bit and floating-point values are
            mapped by low and high; without a scale they must lie in [0, 1]. Values beyond are kept, with a note.
        max_pixels: of a larger picture nothing but the header is read.

    Raises:
        InputError: the file is missing, a folder, unreadable, empty, not such a picture, truncated
            or damaged; has more than ``max_pixels`` pixels (told from the header), several pages and none is
            named, CMYK or other colours, other sample types; or is not finite or out of range.
    """
    item = path if isinstance(path, Item) else Item.parse(path)
    return as_image(_format_of(item.path).read(item, max_pixels=max_pixels), item, scale=scale)


def as_image(picture: Picture, item: Item, *, scale: Scale | None = None) -> Image:
    """A picture as its samples stand for values in [0, 1], see :func:`read_image`.

    Args:
        picture: the samples in a file.
        item: the file, and which picture of it.
        scale: what 0 and 1 stand for, where the file does not say.

    Raises:
        InputError: a value is not finite or out of range.
    """
    recorded = scale or _parse_comment(picture.comment).scale or picture.scale
    pixels, notes = _to_pixels(picture, recorded, repr(str(item)))
    bits: Bits = 32 if not _counted(picture) else 8 if picture.samples.dtype == np.uint8 else 16
    return Image(pixels, bits, item.path, notes, recorded or Scale(), item.number, picture.geometry)


def write_image(
    path: str | Path,
    pixels: NDArray[Any],
    bits: int = 8,
    *,
    scale: Scale | None = None,
    provenance: Mapping[str, Any] | None = None,
    geometry: Geometry | None = None,
    replace: bool = True,
) -> None:
    """Write grey (H, W) or RGB (H, W, 3) pixels atomically; of complex ones, the magnitude.

    The suffix decides the format: PNG and TIFF with 8 or 16 bits, JPEG with 8; clipped to [0, 1] and rounded, from 0
    to the white of the scale. TIFF, DICOM and NIfTI with 32 bits hold the values in their scale, neither clipped nor
    rounded (but DICOM to 65536 levels).

    Args:
        path: the file.
        pixels: 0 is black, 1 is white.
        bits: per sample.
        scale: what 0 and 1 stand for; stored beside the pixels, and always with 32 bits.
        provenance: how the picture was made, JSON-able; stored beside the pixels for :func:`read_provenance`.
            With neither, nothing is. No date belongs in it: the same command gives the same bytes.
        geometry: where the pixels lie, for DICOM and NIfTI.
        replace: a file that exists; InputError if not.

    Raises:
        InputError: another suffix, bits that the format does not have, or a provenance of more than 60 kB.
        NumericalError: a pixel is not finite.
        ResourceError: the folder cannot be written to.
    """
    path = Path(path)
    format = writer_of(path)
    format.check_bits(path, bits)
    if pixels.ndim != 2 and pixels.shape[2:] != (3,):
        raise ValueError(f"expected (H, W) or (H, W, 3) pixels, got shape {pixels.shape}")
    if not np.isfinite(pixels).all():
        raise NumericalError(
            f"{str(path)!r} is not written: the picture holds values that are not finite", "try another --method"
        )
    if np.iscomplexobj(pixels):
        pixels = np.abs(pixels)
    if bits == 32:
        scale = (scale or Scale()).of_values()
        samples = scale.invert(pixels.astype(np.float64)).astype(np.float32)
    else:
        white = _white_of(scale or Scale(), bits, repr(str(path)))
        samples = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * white).astype(_DTYPES[bits])
    picture = Picture(samples, comment=_comment_line(scale, provenance), scale=scale, geometry=geometry)
    format.write(path, picture, replace=replace)


def writer_of(path: Path) -> PictureFormat:
    """The format of pictures that a file's name asks for.

    Raises:
        InputError: no format with such a suffix is written.
    """
    name, writers = path.name.lower(), [format for format in picture_formats() if format.bits]
    format = next((format for format in writers if name.endswith(format.suffixes)), None)
    if format is None:
        known = ", ".join(format.suffixes[0] for format in writers)
        raise InputError(f"cannot write {str(path)!r}: unknown image suffix", f"use one of {known}")
    return format


def image_suffixes() -> frozenset[str]:
    """The endings of the names of pictures."""
    return frozenset(suffix for format in picture_formats() for suffix in format.suffixes)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The record that :func:`write_image` stored beside the pixels; empty for any other picture.

    Raises:
        InputError: the file is missing, unreadable, no picture or damaged.
    """
    path = Path(path)
    return _parse_comment(_format_of(path).read_comment(path)).provenance


def luminance(rgb: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Full-range luminance ``0.299 R + 0.587 G + 0.114 B`` of (..., 3), unrounded: shape (...), same type."""
    grey: NDArray[np.floating[Any]] = 0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]
    return grey


def find_images(paths: Iterable[str | Path], *, suffixes: Collection[str] | None = None) -> list[Path]:
    """The files that ``paths`` name, in the order given, each once.

    A file is taken whatever its suffix; a folder gives its own files with one of ``suffixes``, by default of pictures
    (without subfolders and hidden files), sorted by name; anything else is tried as a glob
    pattern, sorted too.

    Raises:
        InputError: naming all paths that are missing or give no file.
    """
    return list(dict.fromkeys(item.path for item in find_items(paths, suffixes=suffixes)))


def find_items(
    paths: Iterable[str | Path], *, suffixes: Collection[str] | None = None, recursive: bool = False
) -> list[Item]:
    """Like :func:`find_images`, where ``FILE#N`` also names one page or frame of a file.

    With ``recursive`` a folder gives the files of its subfolders too, but for hidden ones and links.
    """
    items, problems = look_for(paths, suffixes=suffixes, recursive=recursive)
    if problems:
        raise InputError("; ".join(problems.values()), NO_ITEMS)
    return items


def look_for(
    paths: Iterable[str | Path], *, suffixes: Collection[str] | None = None, recursive: bool = False
) -> tuple[list[Item], dict[str, str]]:
    """The items that :func:`find_items` finds, each once, and the names that stand for nothing, with the reason."""
    found: dict[Item, Item] = {}
    suffixes = image_suffixes() if suffixes is None else suffixes
    problems: dict[str, str] = {}
    for given in map(str, paths):
        try:
            items, problem = _items_of(given, suffixes, recursive)
        except OSError as error:
            items, problem = [], f"{given!r} cannot be read: {error.strerror}"
        if not items:
            problems[given] = problem
        for item in items:
            found.setdefault(replace(item, path=item.path.resolve()), item)
    return list(found.values()), problems


def _items_of(given: str, suffixes: Collection[str], recursive: bool) -> tuple[list[Item], str]:
    """The items that one path names, and what to say if there are none."""
    if not given:
        return [], "'' is no name of a file or a folder"
    path = Path(given)
    if path.is_dir():
        files = [f for folder in _folders(path, recursive) for f in sorted(folder.iterdir())]
        files = [f for f in files if f.name.lower().endswith(tuple(suffixes)) and f.name[0] != "." and f.is_file()]
        problem = f"the folder {given!r} holds no such file ({', '.join(sorted(suffixes))})"
        return [Item(file, below=file.parent.relative_to(path)) for file in files], problem
    if path.exists():
        try:
            require_file(path)
        except InputError as error:
            return [], error.message
        return [Item(path)], ""
    if (item := Item.parse(given)).number and item.path.is_file():
        return [item], ""
    if glob.has_magic(given):
        files = sorted(f for f in map(Path, glob.glob(given)) if f.is_file())
        return [Item(file) for file in files], f"{given!r} matches no file"
    return [], f"{given!r} does not exist"


def _folders(path: Path, recursive: bool) -> Iterator[Path]:
    """A folder and, if asked for, those below it, in the order of their names."""
    yield path
    if recursive:
        for child in sorted(path.iterdir()):
            if child.name[0] != "." and child.is_dir() and not child.is_symlink():
                yield from _folders(child, recursive)


def _format_of(path: Path) -> PictureFormat:
    head = head_of(path)
    format = format_of(path)
    if isinstance(format, PictureFormat):
        return format
    hint = "`idm import` makes measurements of numbers, a sinogram for example"
    if format is not None:
        reason = f"its format is: {format.name}"
    elif head:
        names = ", ".join(format.name for format in picture_formats())
        reason, hint = f"it is none of {names}", "save it as PNG or TIFF"
    else:
        reason, hint = "the file is empty", "save it as PNG or TIFF"
    raise InputError(f"{str(path)!r} is not a readable image ({reason})", hint)


def _to_pixels(picture: Picture, scale: Scale | None, name: str) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Samples divided by white; other numbers checked, and mapped by the scale if there is one."""
    samples, notes = picture.samples, picture.notes
    if _counted(picture):
        pixels, remarks = _over_white(picture, scale or Scale(), name)
        return pixels, (*notes, *remarks)
    if scale is not None and scale.white is not None:
        raise InputError(
            f"{name} holds {_numbers(samples)}, and a white of {scale.white} is for 8- and 16-bit samples",
            f"say --scale 0,{scale.white} instead of --white {scale.white}",
        )
    finite = np.isfinite(samples)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(f"{name} holds a value that is not finite, first at index {first}", "replace such values")
    low, high = float(samples.min()), float(samples.max())
    if scale is None and (low < 0 or high > 1):
        raise InputError(
            f"{name} holds {_numbers(samples)} from {low:g} to {high:g}, outside 0 to 1",
            "rescale it to 0 to 1, or say what 0 and 1 stand for by --scale LOW,HIGH; `idm import` takes a sinogram",
        )
    if scale is None:
        notes = (*notes, f"{_numbers(samples)} taken as they are")
        if picture.white_is_zero:
            samples, notes = 1 - samples, (*notes, _INVERTED)
    else:
        if picture.white_is_zero:
            notes = (*notes, f"not inverted, though it stores white as zero: values in {scale} mean the same")
        samples = scale.apply(samples.astype(np.float64))
        if low < scale.low or high > scale.high:
            notes = (*notes, f"values from {low:g} to {high:g} reach beyond the scale {scale}")
    return np.ascontiguousarray(samples, np.float32), notes


def _counted(picture: Picture) -> bool:
    """Whether the samples count from 0 for black, and are not values of any range."""
    return picture.samples.dtype in (np.uint8, np.uint16)


def _numbers(samples: NDArray[Any]) -> str:
    """The type of samples, for people."""
    kind = {"f": "floating-point values", "i": "signed integers", "u": "integers"}[samples.dtype.kind]
    return kind if samples.dtype.kind == "f" else f"{8 * samples.dtype.itemsize}-bit {kind}"


def _white_of(scale: Scale, bits: int, name: str) -> int:
    """The sample of a file that is white; InputError if its bits do not reach so far."""
    try:
        return scale.white_of(bits)
    except ValueError as error:
        raise InputError(f"{name}: {error}", "leave out the white, or correct it") from None


def _over_white(picture: Picture, scale: Scale, name: str) -> tuple[NDArray[np.float32], list[str]]:
    """Samples over the one that is white, and what is odd about their range."""
    samples = picture.samples
    bits, brightest = 8 * samples.dtype.itemsize, int(samples.max())
    white, remarks = _white_of(scale, bits, name), []
    if brightest > white:
        remarks.append(f"samples up to {brightest} are brighter than white, {white}")
    elif scale.white is None and bits == 16 and 0 < brightest < 2**_FEW_BITS:
        usual = 2 ** max(8, brightest.bit_length()) - 1
        share = 100 * brightest / white
        advice = f"if its white is {usual}, say --white {usual}"
        if scale != Scale():  # then the brightest sample need not be near white
            top = f"{scale.high:g} {scale.unit}".rstrip()
            advice = f"{white} stands for {top}; if another sample does, say --white SAMPLE"
        remarks.append(f"it uses {share:.2g} % of its range from 0 to {white}: {advice}")
    if picture.white_is_zero:
        samples = white - samples.astype(np.int64)
        remarks.append(_INVERTED)
    return np.ascontiguousarray(samples, np.float32) / np.float32(white), remarks


def _comment_line(scale: Scale | None, provenance: Mapping[str, Any] | None) -> str:
    if scale is None and provenance is None:
        return ""
    content = {_MARK: 1, "provenance": dict(provenance or {})}
    line = to_line(content if scale is None else content | {"scale": scale.to_json()})
    if len(line) > _MAX_COMMENT:
        raise InputError(f"a provenance of {len(line)} characters does not fit into a picture", "shorten the command")
    return line


def _parse_comment(text: str) -> _Comment:
    """The record that :func:`_comment_line` wrote; nothing for any other text."""
    try:
        content = from_text(text, max_length=_MAX_COMMENT) if text.startswith("{") else {}
        if not isinstance(content, dict) or content.get(_MARK) != 1:
            return _Comment({}, None)
        scale = Scale.from_json(content["scale"]) if "scale" in content else None
        return _Comment(dict(content["provenance"]), scale)
    except (KeyError, TypeError, ValueError):
        return _Comment({}, None)
