"""The measurement file: y, what rebuilds A, and how it was made, in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

from idmcli import __version__
from idmcli.errors import InputError
from idmcli.io.tensor_file import FileKind, canonical, is_of_kind, read, write
from idmcli.operators.base import LinearOperator, Spec
from idmcli.output import escape

SUFFIX = ".safetensors"
KIND = FileKind(
    "idm_measurements", "measurement file", "measurements", schema=1, hint="make one with `idm sense`, or copy it again"
)
_ARRAY = "operator."  # prefix of the operator's tensors


@dataclass(frozen=True)
class Provenance:
    """How measurements were made. No date: the same command gives the same bytes.

    Attributes:
        command: the command line.
        source: name of the file they come from, without its folder.
        source_sha256: of that file's bytes.
        version: of idm.
    """

    command: str
    source: str
    source_sha256: str
    version: str = __version__

    @classmethod
    def of_file(cls, command: str, source: Path) -> Self:
        """The provenance of measurements that ``command`` takes of the file ``source``."""
        with source.open("rb") as file:
            return cls(command, escape(source.name), hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True, kw_only=True)
class _Record:
    """The part of :class:`Measurements` that is stored as JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    spec: Spec
    colour: Literal["grey", "rgb"]
    provenance: Provenance
    value_range: tuple[float, float] = (0.0, 1.0)
    bits: Literal[8, 16] = 8
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    noise_seed: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements(_Record):
    """The measurements of one image: all that a reconstruction needs.

    Attributes:
        y: (\\*measurement_shape), without a batch dimension, real or complex64.
        arrays: the tensors that, with ``spec``, rebuild the operator (``operator.arrays()``).
        spec: ``operator.to_spec()``; its ``image_shape`` (C, H, W) is the one before any padding.
        colour: "grey", or "rgb" for C = 3 channels measured separately.
        provenance: how they were made.
        value_range: the image values that black and white have.
        bits: 8 or 16, the depth of the picture they were taken of, to write the result with.
        noise: standard deviation of the noise added to y.
        noise_seed: what it was drawn from; None without noise.
    """

    y: Tensor
    arrays: Mapping[str, Tensor]


def save_measurements(path: str | Path, m: Measurements) -> None:
    """Write a measurement file atomically; equal measurements give equal bytes.

    Raises:
        InputError: y is not finite, or the suffix is not ``.safetensors``.
        ResourceError: the folder cannot be written to.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"measurements cannot be saved as {str(path)!r}", f"give it the suffix {SUFFIX}")
    _check_finite(path, m.y)
    record = {f.name: getattr(m, f.name) for f in fields(_Record)} | {"provenance": asdict(m.provenance)}
    TypeAdapter(_Record).validate_json(canonical(record))  # what cannot be loaded is not saved
    write(path, KIND, record, {"y": m.y, **{_ARRAY + name: array for name, array in m.arrays.items()}})


def load_measurements(path: str | Path) -> Measurements:
    """Read a measurement file, every bit of it checked against the checksum inside.

    Raises:
        InputError: the file is missing, unreadable, truncated or damaged; is no measurement file;
            was written by a newer version; or its y is not finite.
    """
    path = Path(path)
    content, tensors = read(path, KIND)
    del content["schema"]
    try:
        record = TypeAdapter(_Record).validate_json(json.dumps(content))
        y = tensors.pop("y").clone()  # copies: the file may change afterwards
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InputError(f"{str(path)!r} has wrong metadata: {problems}", "make it with `idm sense`") from error
    except KeyError as error:
        raise InputError(f"{str(path)!r} holds no tensor y", "make it with `idm sense`") from error
    _check_finite(path, y)
    arrays = {key.removeprefix(_ARRAY): tensor.clone() for key, tensor in tensors.items()}
    return Measurements(y=y, arrays=arrays, **{f.name: getattr(record, f.name) for f in fields(_Record)})


def is_measurement_file(path: str | Path) -> bool:
    """Whether the header, not the name, is that of a measurement file.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    return is_of_kind(Path(path), KIND)


def operator_of(m: Measurements) -> LinearOperator:
    """The operator that measured, rebuilt from the file alone.

    Raises:
        InputError: the specification cannot be built here, or does not fit y.
    """
    from idmcli.operators import build

    operator = build(m.spec, m.arrays)
    if tuple(m.y.shape) != tuple(operator.measurement_shape):
        raise InputError(
            f"the measurements have shape {tuple(m.y.shape)}, but their operator ({operator.kind}) gives "
            f"{tuple(operator.measurement_shape)}",
            "measure again, or correct the specification",
        )
    if m.colour == "rgb" and operator.image_shape[0] != 3:
        raise InputError(f"the measurements are marked as RGB, but the image has {operator.image_shape[0]} channels")
    return operator


def _check_finite(path: Path, y: Tensor) -> None:
    finite = torch.isfinite(y)
    if not bool(finite.all()):
        first = tuple(torch.nonzero(~finite)[0].tolist())
        raise InputError(f"{str(path)!r}: the measurements hold a value that is not finite, first at index {first}")
