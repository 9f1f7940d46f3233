"""The interface of a file format, and the reasons to refuse a picture that all formats share."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

import numpy as np
from imageio.core.request import InitializationError
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes
from idmcli.io.files import PERMISSIONS, require_file
from idmcli.io.geometry import Geometry
from idmcli.io.items import Item
from idmcli.io.scale import Scale
from idmcli.text import escape

MAX_PIXELS = 64_000_000
OPAQUE = "fully opaque alpha channel dropped"
_HEAD = 16  # bytes that tell the formats apart

T = TypeVar("T")


class Format(ABC, Generic[T]):
    """A kind of file that holds one or more items of type T.

    Attributes:
        name: for messages.
        suffixes: in lower case; the endings of such files' names. The content decides what they are.
        gives: the type of an item: a picture, a measurement, numbers, ...
    """

    name: str
    suffixes: tuple[str, ...]
    gives: type[Any]

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether the content is of this format; False too for what cannot be read."""

    @abstractmethod
    def items(self, path: Path) -> list[Item]:
        """The items of a file, in order: the file itself if it is one thing. Errors as :meth:`read`."""

    @abstractmethod
    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> T:
        """One item; InputError with the reason if it cannot be read faithfully."""

    def write(self, path: Path, content: T, *, replace: bool = True) -> None:
        """Write a file of one item, atomically; ``replace`` as for :func:`idmcli.io.atomic.atomic_path`.

        Raises:
            InputError: files of this format are only read.
            ResourceError: the folder cannot be written to.
        """
        raise InputError(f"cannot write {str(path)!r}: {self.name} files are only read", "use another format")


@dataclass(frozen=True, eq=False)
class Picture:
    """The samples of a picture, upright, as they are stored.

    Attributes:
        samples: (H, W) or (H, W, 3). uint8 and uint16 count from black, 0, to white; signed and 32-bit integers and
            floating point are values of any range.
        notes: one sentence per conversion that took place.
        comment: one line of ASCII that is stored with it.
        scale: for values of any range, what black and white stand for; None if the file does not say.
        geometry: where the pixels lie; None if the file does not say.
        white_is_zero: whether the samples count from white to black, as they are stored.
    """

    samples: NDArray[Any]
    notes: tuple[str, ...] = ()
    comment: str = ""
    scale: Scale | None = None
    geometry: Geometry | None = None
    white_is_zero: bool = False


class Raw(NamedTuple):
    """Samples as :class:`Picture` has them, before the EXIF orientation is undone."""

    samples: NDArray[Any]
    orientation: int
    notes: list[str]
    scale: Scale | None = None
    geometry: Geometry | None = None
    white_is_zero: bool = False


class PictureFormat(Format[Picture]):
    """A format of pictures: what its files begin with, and how to take them apart and put them together.

    Another package adds one by an entry point of the group ``idmcli.formats``.

    Attributes:
        signatures: the first bytes, one of these; :meth:`recognises` says what other files look like.
        bits: bits per sample that can be written; none if nothing can.
    """

    gives = Picture
    signatures: tuple[bytes, ...] = ()
    bits: tuple[int, ...] = ()

    @abstractmethod
    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """The samples of page ``number``, from 1, or of the only one. May raise anything on damaged bytes."""

    def comment(self, file: BinaryIO) -> str:
        """The text stored with the first picture, without decoding it; empty if there is none."""
        return ""

    def count(self, file: BinaryIO) -> int:
        """The number of pages or frames."""
        return 1

    def encode(self, picture: Picture) -> bytes:
        """A file of samples whose bits are among :attr:`bits`."""
        raise NotImplementedError

    def recognises(self, path: Path) -> bool:
        """Whether the file begins with one of the signatures."""
        try:
            return head_of(path).startswith(self.signatures)
        except InputError:
            return False

    def items(self, path: Path) -> list[Item]:
        """The pages or frames."""
        with _reading(self, path) as file:
            count = self.count(file)
        return [Item(path)] if count == 1 else [Item(path, number) for number in range(1, count + 1)]

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """A picture as it is stored, turned upright.

        Raises:
            InputError: the file cannot be read; is truncated or damaged; has more than ``max_pixels`` pixels (told
                from the header), several pages and the item names none, or not the one it names; CMYK or other
                colours, or other sample types.
        """
        with _reading(self, item.path, str(item)) as file:
            raw = self.decode(file, item.number, max_pixels)
        comment = self.read_comment(item.path)  # decoders may have closed the file
        notes = [*raw.notes, *([turned(raw.orientation)] if raw.orientation != 1 else [])]
        upright = _upright(raw.samples, raw.orientation)
        return Picture(upright, tuple(notes), comment, raw.scale, raw.geometry, raw.white_is_zero)

    def read_comment(self, path: Path) -> str:
        """The text stored with a picture; empty if there is none. Errors as :meth:`read`."""
        with _reading(self, path) as file:
            return self.comment(file)

    def write(self, path: Path, picture: Picture, *, replace: bool = True) -> None:
        """Write a picture atomically; equal pictures give equal bytes.

        Raises:
            InputError: this format is not written, or not with so many bits; or the file exists and may not be
                replaced.
            ResourceError: the folder cannot be written to.
        """
        self.check_bits(path, picture.samples.dtype.itemsize * 8)
        write_bytes(path, self.encode(picture), replace=replace)

    def check_bits(self, path: Path, bits: int) -> None:
        """InputError if a picture with so many bits per sample cannot be written to ``path``."""
        if not self.bits:
            raise InputError(f"cannot write {str(path)!r}: {self.name} files are only read", "use .png or .tif")
        if bits not in self.bits:
            hint = "use .tif" if bits == 32 else "use 8 bits, or 16 bits with .png or .tif"
            raise InputError(f"cannot write {str(path)!r} with {bits} bits", hint)


class RefusedError(Exception):
    """Why a sound file is refused; the reader adds its name."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


def head_of(path: Path, count: int = _HEAD) -> bytes:
    """The first bytes of a file; InputError if it cannot be read."""
    require_file(path)
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}", PERMISSIONS) from error


@contextmanager
def _reading(format: PictureFormat, path: Path, name: str = "") -> Iterator[BinaryIO]:
    """Open a file of ``format``; whatever goes wrong inside becomes an InputError with its name."""
    name = repr(name or str(path))
    require_file(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' warnings are errors or notes here
            yield file
    except RefusedError as refusal:
        raise InputError(f"{name} {refusal}", refusal.hint) from None
    except (InputError, MemoryError):  # InputError: a library is missing
        raise
    except Exception as error:  # decoders fed with damaged bytes raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{name} cannot be read: {error.strerror}", PERMISSIONS) from error
        reason = f": {error.__cause__ or error}".splitlines()[0]  # imageio wraps what the decoders raise
        reason = "" if isinstance(error.__cause__, InitializationError) else escape(reason)
        raise InputError(
            f"{name} is not a readable image (truncated or damaged {format.name}{reason})", "copy or save it again"
        ) from error


def choose_page(number: int | None, count: int) -> int:
    """The index of a page, from 0, or why there is none."""
    if number is None and count != 1:
        raise RefusedError(
            f"holds {count} pages or frames where one picture is expected",
            f"name one page as FILE#N, with N from 1 to {count}",
        )
    if number is not None and number > count:
        raise RefusedError(f"is not there: the file ends with page {count}", "N runs from 1")
    return (number or 1) - 1


def orientation_of(value: Any) -> int:
    """The value of an orientation tag; anything but 1 to 8 means upright."""
    return int(value) if value in range(1, 9) else 1


def turned(orientation: int) -> str:
    """The note on an orientation."""
    return f"turned upright as its orientation tag {orientation} asks"


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture that is empty or too large."""
    if width < 1 or height < 1:
        raise ValueError("no pixels")
    if width * height > max_pixels:
        raise too_large(f"{width} x {height}", max_pixels)


def too_large(size: str, max_pixels: int) -> RefusedError:
    """The refusal of a picture of ``size`` pixels."""
    return RefusedError(f"has {size} pixels, more than the limit of {max_pixels}", "crop it or scale it down first")


def without_alpha(samples: NDArray[Any], notes: list[str], *, premultiplied: bool = False) -> NDArray[Any]:
    """Lay a picture over white, as its last channel, the opacity, asks; a note says so.

    Args:
        samples: (H, W, 2) or (H, W, 4), unsigned integers or floating point in [0, 1].
        notes: gains one.
        premultiplied: whether the colours are stored multiplied by the opacity.

    Returns:
        the samples without the last channel, of the same type.
    """
    white = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
    colours, alpha = samples[..., :-1], samples[..., -1:]
    if note_opacity(alpha[..., 0] == white, notes):
        return colours
    opacity = alpha / np.float64(white)
    over: NDArray[Any] = colours * (1.0 if premultiplied else opacity) + white * (1 - opacity)
    over = over if samples.dtype.kind == "f" else np.rint(over.clip(0, white))
    return over.astype(samples.dtype, copy=False)


def note_opacity(opaque: NDArray[np.bool_], notes: list[str]) -> bool:
    """Whether all pixels are opaque; a note on their opacity is added."""
    share = 100 * (1 - float(opaque.mean()))
    if share:
        notes.append(f"transparent in {share:.3g} % of the pixels: laid over white")
    else:
        notes.append(OPAQUE)
    return not share


def profile_notes(profile: bytes) -> list[str]:
    """The note on an ICC profile with other colours than sRGB."""
    if not profile:
        return []
    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        name = "unreadable"
    if "srgb" in name.lower():
        return []
    return [f"its ICC profile ({escape(name)[:60]}) is not applied: the samples are taken as they are"]


def squeezed(samples: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 1) as (H, W)."""
    return samples[..., 0] if samples.shape[2:] == (1,) else samples


def wrong_colours(found: str) -> RefusedError:
    """The refusal of what is neither grey nor RGB."""
    return RefusedError(f"is stored as {found}, not as grey or RGB", "convert it to grey or RGB")


def _upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (1 to 8)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples
