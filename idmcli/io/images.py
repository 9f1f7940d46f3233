"""Pictures in and out: read faithfully or refused with a reason, written atomically."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError, NumericalError
from idmcli.io import png
from idmcli.io.atomic import atomic_path, write_bytes
from idmcli.io.decoders import decode

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"})
MAX_PIXELS = 64_000_000
_WRITERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}


@dataclass(frozen=True, eq=False)
class Image:
    """A picture as it was in its file.

    Attributes:
        pixels: float32, (H, W) for grey or (H, W, 3) for RGB, in [0, 1].
        bits: 8 or 16 per sample; 16 also for a floating-point file.
        path: where it came from.
        notes: one sentence per conversion that took place; empty if the file was read as it stands.
    """

    pixels: NDArray[np.float32]
    bits: int
    path: Path
    notes: tuple[str, ...]


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read an 8- or 16-bit grey or colour PNG, JPEG, TIFF, BMP or one-frame GIF, or a float TIFF in [0, 1].

    The content decides the format, not the name. Converted with a note: palettes, fewer than 8
    bits, a fully opaque alpha channel, EXIF orientation, white-is-zero TIFF, a preview beside the
    picture in a JPEG.

    Raises:
        InputError: the file is missing, a folder, unreadable, empty, not such a picture, truncated
            or damaged; has more than ``max_pixels`` pixels (told from the header), several pages,
            a transparent pixel, CMYK or other colours, other sample types; or is not finite or
            out of range.
    """
    path = Path(path)
    try:
        samples, notes = decode(path, max_pixels)
    except OSError as error:
        if error.errno is None:
            raise
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    return Image(_to_unit(samples, path), 8 if samples.dtype == np.uint8 else 16, path, notes)


def write_image(path: str | Path, pixels: NDArray[Any], bits: int = 8) -> None:
    """Write grey (H, W) or RGB (H, W, 3) pixels, clipped to [0, 1] and rounded, atomically.

    The suffix decides the format: PNG and TIFF with 8 or 16 bits, JPEG with 8.

    Raises:
        InputError: another suffix, or 16 bits in a JPEG.
        NumericalError: a pixel is not finite.
        ResourceError: the folder cannot be written to.
    """
    path = Path(path)
    kind = _WRITERS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"cannot write {str(path)!r}: unknown image suffix", "use .png, .tif or .jpg")
    if bits not in (8, 16) or (bits == 16 and kind == "JPEG"):
        raise InputError(f"cannot write {str(path)!r} with {bits} bits", "use 8 bits, or 16 bits with .png or .tif")
    if pixels.ndim != 2 and pixels.shape[2:] != (3,):
        raise ValueError(f"expected (H, W) or (H, W, 3) pixels, got shape {pixels.shape}")
    if not np.isfinite(pixels).all():
        raise NumericalError(f"{str(path)!r} is not written: the picture holds values that are not finite")
    top = 2**bits - 1
    samples = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * top).astype(np.uint8 if bits == 8 else np.uint16)
    if kind == "TIFF":
        import tifffile

        photometric = "minisblack" if samples.ndim == 2 else "rgb"
        with atomic_path(path) as temporary:
            tifffile.imwrite(temporary, samples, photometric=photometric, metadata=None, compression="zlib")
    elif bits == 16:
        write_bytes(path, png.encode16(samples))
    else:
        from PIL import Image as Pillow

        options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        with atomic_path(path) as temporary:
            Pillow.fromarray(samples).save(temporary, format=kind, **options)


def luminance(rgb: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Full-range luminance ``0.299 R + 0.587 G + 0.114 B`` of (..., 3), unrounded: shape (...), same type."""
    grey: NDArray[np.floating[Any]] = 0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]
    return grey


def find_images(paths: Iterable[str | Path], *, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The files that ``paths`` name, in the order given, each once.

    A file is taken whatever its suffix; a folder gives its own files with one of ``suffixes``
    (not those of its subfolders, nor hidden ones), sorted by name; anything else is tried as a glob
    pattern, sorted too.

    Raises:
        InputError: naming all paths that are missing or give no file.
    """
    found: dict[Path, Path] = {}
    failed: list[str] = []
    for given in map(str, paths):
        try:
            files, problem = _files_of(given, suffixes)
        except OSError as error:
            files, problem = [], f"{given!r} cannot be read: {error.strerror}"
        if not files:
            failed.append(problem)
        for file in files:
            found.setdefault(file.resolve(), file)
    if failed:
        raise InputError("; ".join(failed))
    return list(found.values())


def _files_of(given: str, suffixes: Collection[str]) -> tuple[list[Path], str]:
    """The files one path names, and what to say if there are none."""
    path = Path(given)
    if path.is_dir():
        files = [f for f in path.iterdir() if f.suffix.lower() in suffixes and f.name[0] != "." and f.is_file()]
        return sorted(files), f"the folder {given!r} holds no such file ({', '.join(sorted(suffixes))})"
    if path.exists():
        return [path], ""
    if glob.has_magic(given):
        return sorted(f for f in map(Path, glob.glob(given)) if f.is_file()), f"{given!r} matches no file"
    return [], f"{given!r} does not exist"


def _to_unit(samples: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Integers divided by their largest value; floats checked to be finite and in [0, 1]."""
    if samples.dtype.kind == "u":
        return np.ascontiguousarray(samples, np.float32) / np.float32(np.iinfo(samples.dtype).max)
    finite = np.isfinite(samples)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(f"{str(path)!r} holds a value that is not finite, first at index {first}")
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or high > 1:
        raise InputError(
            f"{str(path)!r} holds floating-point values from {low:g} to {high:g}, outside 0 to 1",
            "rescale it to 0 to 1",
        )
    return np.ascontiguousarray(samples, np.float32)
