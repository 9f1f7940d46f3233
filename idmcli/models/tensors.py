"""Named tensors from files: read without running code, checked, and put into a model."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from idmcli.errors import InputError, NumericalError
from idmcli.text import escape

PICKLES = frozenset({".pkl", ".pt", ".pth", ".bin"})

SEARCHED = 2**16  # bytes at the start of a pickle, where it names what is to build its objects

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Module = TypeVar("Module", bound=nn.Module)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors, or a pickle by its ending.

    Raises:
        InputError: as :func:`read_pickle`.
    """
    if path.suffix in PICKLES:
        return read_pickle(path)
    try:
        return _without_counters(load_file(path))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{str(path)!r} is not a readable weights file: {error}", "copy it again") from error


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The state dict that ``torch.save`` wrote, as views of the file where its format allows.

    If there are several state dicts in one, each name begins with the key of its own. The counts of batch normalisation
    in training are left out.

    Raises:
        InputError: the file is missing, damaged, or holds more than named floating-point tensors; code in it is not
            run (``torch.load`` with ``weights_only``).
    """
    if not path.is_file():
        raise InputError(f"there is no weights file {str(path)!r}", "check the path")
    try:
        content = unpickled(path)
    except ValueError as error:
        raise InputError(
            f"{str(path)!r} is not a readable weights file: it is damaged, or holds more than tensors",
            f"nothing else is loaded from a pickle, for it could run code; {_way_out(path)}",
        ) from error
    tensors = _without_counters(dict(_named(content))) if isinstance(content, dict) else {}
    if not tensors or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.is_floating_point()
        for name, tensor in tensors.items()
    ):
        raise InputError(f"{str(path)!r} is not a state dict: it holds more than named tensors", "save the model's own")
    return tensors


def unpickled(path: Path) -> Any:
    """The content that ``torch.save`` wrote, on the CPU, its tensors as views of the file where its format allows.

    Every byte is compared with the checksums of the zip archive that ``torch.save`` writes. Files of PyTorch before 1.6
    are no archives and have none.

    Raises:
        ValueError: the file is damaged, or holds a tensor that is not plain, or code, which is not run.
    """
    try:
        archived = zipfile.is_zipfile(path)
        if archived:
            _check_archive(path)  # PyTorch does not
        with warnings.catch_warnings(action="ignore"):  # about what only a damaged file holds
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=archived)
    except Exception as error:  # a damaged pickle can make its reader raise anything
        raise ValueError(escape(str(error).partition("\n")[0])) from error
    if not all(map(_is_plain, _tensors_in(content))):
        raise ValueError("it holds tensors that are complex, sparse, or larger than what it has of them")
    return content


def _check_archive(path: Path) -> None:
    """Compare the members of an archive with their CRC-32, in time that follows from the size of the file.

    Raises:
        ValueError: one differs, is compressed, or shares its bytes with another: ``torch.save`` writes none of these.
        zipfile.BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
            raise ValueError("it is compressed")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("it claims more than it holds")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} does not match its checksum")


def _tensors_in(content: Any) -> Iterator[Tensor]:
    """The tensors in dictionaries and lists, which may hold one another."""
    seen, waiting = set[int](), [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, Mapping) else value


def _way_out(path: Path) -> str:
    """The advice for a pickle that holds more than tensors."""
    with path.open("rb") as file:
        if b"torch_utils.persistence" in file.read(SEARCHED):
            return (
                'it seems to be a network of EDM: where you trust it, save pickle.load(file)["ema"].state_dict() '
                "as a .pt with its authors' code"
            )
    return "use a .safetensors file if there is one"


def _named(content: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The entries of a dictionary, and of the dictionaries in it."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _without_counters(tensors: dict[Any, Any]) -> dict[Any, Any]:
    return {name: tensor for name, tensor in tensors.items() if not str(name).endswith(".num_batches_tracked")}


def _is_plain(tensor: Tensor) -> bool:
    return (
        tensor.layout == torch.strided
        and not tensor.is_complex()
        and tensor.device.type == "cpu"
        and tensor.nbytes <= tensor.untyped_storage().nbytes()  # no larger than what is in the file
    )


def check(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Compare the tensors of a file with those (of any device) that the model it describes needs.

    Raises:
        InputError: one is missing, unknown, of another shape or of another type; the first ten are named.
        NumericalError: one is not finite.
    """
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    problems += [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    problems += [
        f"{name} holds {str(tensor.dtype).removeprefix('torch.')}, not floating-point numbers of 16 bits or more"
        for name, tensor in found.items()
        if tensor.dtype not in FLOATS
    ]
    if problems:
        listed = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise InputError(f"{str(path)!r} does not fit its own configuration: {escape(listed)}", "copy it again")
    check_finite(path, found)


def check_finite(path: Path, found: Mapping[str, Tensor]) -> None:
    """Raise NumericalError if a tensor of a file is not finite."""
    for name, tensor in found.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NumericalError(f"{str(path)!r} holds values that are not finite, in {name}", "train it again")


def fill(model: Module, tensors: Mapping[str, Tensor]) -> Module:
    """``model``, built on the meta device, with the values of ``tensors``; frozen and in evaluation mode.

    Its parameters are all the memory this takes; their type and memory format are those it was built with.
    """
    model.to_empty(device="cpu")
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)
