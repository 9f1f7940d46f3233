"""The measurement file: y, what rebuilds A, and how it was made, in one safetensors file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from idmcli.errors import InputError
from idmcli.io.formats.base import MAX_PIXELS
from idmcli.io.geometry import Geometry
from idmcli.io.images import Bits
from idmcli.io.records import check_depth, to_line
from idmcli.io.scale import Scale
from idmcli.io.tensor_file import FileKind, is_of_kind, read, write
from idmcli.measuring.measurement import Measurement, Provenance
from idmcli.operators import Spec, build_operator
from idmcli.operators.registry import operator_class
from idmcli.ranges import Noise, Positive
from idmcli.text import escape

SUFFIX = ".safetensors"
CHANNELS: Mapping[Literal["grey", "rgb"], int] = {"grey": 1, "rgb": 3}  # of the image, by its colour
NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64)  # types of y
_MAX_PROBLEMS = 5  # named in one message
_MAX_UNDERSAMPLING = 16384  # image values per measurement; beyond it a specification is no earnest one
KIND = FileKind(
    "idm_measurements", "measurement file", "measurements", schema=2, hint="make one with `idm sense`, or copy it again"
)
_MAX_PARTS = 8  # of an operator made of others, each of the largest image allowed
_ARRAY = "operator."  # prefix of the operator's tensors


@dataclass(frozen=True, kw_only=True)
class _Record:
    """The part of :class:`Stored` that is JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    spec: Spec
    colour: Literal["grey", "rgb"]
    provenance: Provenance | None
    value_range: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    bits: Bits = 8
    white: int | None = None
    noise: Noise = 0.0
    noise_seed: int | None = None
    gain: Positive | None = None
    geometry: Geometry | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored(_Record):
    """The content of a measurement file. Other attributes are as in :class:`~idmcli.measuring.Measurement`.

    Attributes:
        y: (\\*measurement_shape), without a batch dimension, real or complex64.
        arrays: the tensors that, with ``spec``, rebuild the operator (``operator.arrays()``).
        spec: ``operator.to_spec()``; its ``image_shape`` (C, H, W) is the one before any padding.
        colour: "grey", or "rgb" for C = 3 channels measured separately.
        value_range: the values, in ``unit``, that 0 and 1 stand for in the image; see :attr:`scale`.
        unit: the unit of these values; empty if they have none.
        white: the sample of the picture that stands for 1; None for the largest of its type.
    """

    y: Tensor
    arrays: Mapping[str, Tensor]

    @property
    def scale(self) -> Scale:
        """The values that 0 and 1 stand for in the image; ValueError if ``value_range`` is no interval."""
        return Scale(*self.value_range, self.unit, self.white)

    @classmethod
    def of(cls, m: Measurement) -> Self:
        """The content for a measurement; InputError if its operator has no specification, or its image another number
        of channels than files hold."""
        colour = next((name for name, count in CHANNELS.items() if count == m.operator.image_shape[0]), None)
        if colour is None:
            raise InputError(
                f"the image has {m.operator.image_shape[0]} channels, and a measurement file holds 1 or 3",
                "measure each channel by itself",
            )
        return cls(
            y=m.y,
            arrays=m.operator.arrays(),
            spec=m.spec,
            colour=colour,
            provenance=m.provenance,
            value_range=(m.scale.low, m.scale.high),
            unit=m.scale.unit,
            bits=m.bits,
            white=m.scale.white,
            noise=m.noise,
            noise_seed=m.noise_seed,
            gain=m.gain,
            geometry=m.geometry,
        )

    def measurement(self) -> Measurement:
        """The measurement, whose truth is not known.

        Raises:
            InputError: the operator cannot be built here, or does not fit the measurements.
        """
        fewest = operator_class(self.spec).fewest_measurements(self.spec)
        if self.y.numel() < fewest:
            raise InputError(
                f"the operator gives at least {fewest} measurements, and there are {self.y.numel()}",
                "measure again, or correct the operator",
            )
        operator = build_operator(self.spec, self.arrays)
        if operator.image_shape[0] != CHANNELS[self.colour]:
            raise InputError(
                f"the measurements are marked as {self.colour}, but the image has {operator.image_shape[0]} channels",
                "measure again with `idm sense`",
            )
        return Measurement(
            operator,
            self.y,
            self.noise,
            self.gain,
            self.scale,
            self.bits,
            provenance=self.provenance,
            noise_seed=self.noise_seed,
            geometry=self.geometry,
        )


def save_measurement(path: str | Path, m: Measurement, *, replace: bool = True) -> None:
    """Write a measurement file atomically; equal measurements give equal bytes. Errors as :func:`write_stored`, and:

    Raises:
        InputError: the operator has no specification, or its image another number of channels than 1 or 3.
    """
    write_stored(path, Stored.of(m), replace=replace)


def load_measurement(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Measurement:
    """Read a measurement file. Errors as :func:`read_stored`, and:

    Raises:
        InputError: the operator cannot be built here, or does not fit the measurements.
    """
    return read_stored(path, max_pixels=max_pixels).measurement()


def write_stored(path: str | Path, content: Stored, *, replace: bool = True) -> None:
    """Write the content of a measurement file atomically; equal contents give equal bytes.

    Raises:
        InputError: y is not finite or of another type than :data:`NUMBERS`, the suffix is not ``.safetensors``, or the
            file exists and may not be replaced.
        ValueError: the record is not one that :func:`read_stored` takes.
        ResourceError: the folder cannot be written to.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"measurements cannot be saved as {str(path)!r}", f"give it the suffix {SUFFIX}")
    _check_numbers(path, content.y)
    record = {f.name: getattr(content, f.name) for f in fields(_Record)}
    record["provenance"] = content.provenance and asdict(content.provenance)
    record["unit"] = content.scale.unit  # ValueError if the values are no interval
    record["geometry"] = content.geometry and content.geometry.to_json()
    for late in ("unit", "geometry", "white"):
        if not record[late]:
            del record[late]  # as in files written before there were any
    TypeAdapter(_Record).validate_json(to_line(record))  # what cannot be loaded is not saved
    check_depth(record)
    arrays = {_ARRAY + name: array for name, array in content.arrays.items()}
    write(path, KIND, record, {"y": content.y, **arrays}, replace=replace)


def read_stored(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Stored:
    """Read the content of a measurement file, every bit of it checked against the checksum inside.

    Files of schema 1 have no gain. It is 1 in those that `idm sense` made, and not known in others.

    Args:
        path: of the file.
        max_pixels: an image with more pixels is refused.

    Raises:
        InputError: the file is missing, unreadable, truncated or damaged; is no measurement file; was written by a
            newer version; its y is not finite, or of another type than :data:`NUMBERS`; or the image it claims to be
            of has more than ``max_pixels`` pixels, or far too many for the size of y.
    """
    path = Path(path)
    name = repr(str(path))
    content, tensors = read(path, KIND)
    schema = content.pop("schema")
    try:
        record = TypeAdapter(_Record).validate_json(to_line(content))
        Scale(*record.value_range, record.unit, record.white)
        y = tensors.pop("y").clone()  # copies: the file may change afterwards
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:_MAX_PROBLEMS])
        raise InputError(f"{name} has wrong metadata: {escape(problems)}", "make it with `idm sense`") from error
    except KeyError as error:
        raise InputError(f"{name} holds no tensor y", "make it with `idm sense`") from error
    except ValueError as error:
        raise InputError(f"{name} has wrong metadata: {escape(str(error))}", "make it with `idm sense`") from error
    _check_claim(name, record.spec, y.numel(), max_pixels)
    _check_numbers(path, y)
    arrays = {key.removeprefix(_ARRAY): tensor.clone() for key, tensor in tensors.items()}
    values = {f.name: getattr(record, f.name) for f in fields(_Record)}
    if schema == 1 and record.provenance is not None and record.provenance.simulated:
        values["gain"] = 1.0
    return Stored(y=y, arrays=arrays, **values)


def is_measurement_file(path: str | Path) -> bool:
    """Whether the header, not the name, says that this is a measurement file.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    return is_of_kind(Path(path), KIND)


def _check_claim(name: str, spec: Spec, measured: int, max_pixels: int) -> None:
    """Refuse images that no file of this size can be of, before anything is allocated for them."""
    shapes = list(_shapes(spec))
    for shape in shapes:
        if prod(shape[-2:]) > max_pixels:
            size = " x ".join(map(str, shape[-2:]))
            raise InputError(
                f"{name} measures an image of {size} pixels, more than the limit of {max_pixels}",
                "raise --max-pixels if you trust the file",
            )
        if prod(shape) > _MAX_UNDERSAMPLING * max(measured, 1):
            raise InputError(
                f"{name} claims an image of {prod(shape)} values, but holds only {measured} measurements",
                "measure it again with `idm sense`",
            )
    if sum(prod(shape[-2:]) for shape in shapes) > _MAX_PARTS * max_pixels:
        raise InputError(
            f"{name} holds an operator of {len(shapes)} parts, whose images have more than {_MAX_PARTS * max_pixels} "
            "pixels together",
            "raise --max-pixels if you trust the file",
        )


def _shapes(spec: Spec) -> Iterator[list[int]]:
    """The image shapes of an operator and of those that it is made of. Others than lists of integers are left out: the
    operator says what is wrong with them.
    """
    shape, parts = spec.get("image_shape"), spec.get("parts")
    if isinstance(shape, list) and all(isinstance(size, int) for size in shape):
        yield shape
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict):
            yield from _shapes(part)


def _check_numbers(path: Path, y: Tensor) -> None:
    if y.dtype not in NUMBERS:
        raise InputError(
            f"{str(path)!r}: the measurements are of type {str(y.dtype).removeprefix('torch.')}",
            "store them as floating-point or complex numbers, float32 for example",
        )
    finite = torch.isfinite(y)
    if not bool(finite.all()):
        first = tuple(torch.nonzero(~finite)[0].tolist())
        raise InputError(
            f"{str(path)!r}: the measurements hold a value that is not finite, first at index {first}", "measure again"
        )
