"""Pickled tensors: what is damaged is refused before it is used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.models.tensors import read_pickle, unpickled

STATE = {"weight": torch.arange(600.0).reshape(20, 30), "bias": torch.ones(20)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.save(STATE, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def same(found: dict[str, Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_flipped_bit_anywhere_changes_nothing_or_is_refused(path: Path) -> None:
    """PyTorch itself takes any values: it does not look at the checksums."""
    whole, refused = path.read_bytes(), 0
    assert same(read_pickle(path))
    for place in range(0, len(whole), 31):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        path.write_bytes(damaged)
        try:
            assert same(read_pickle(path)), place
        except InputError as error:
            assert repr(str(path)) in error.message
            refused += 1
    assert refused > len(whole) / 80


def test_every_value_is_checked(path: Path) -> None:
    whole = path.read_bytes()
    for name, tensor in STATE.items():
        start = whole.index(tensor.numpy().tobytes())
        damaged = bytearray(whole)
        damaged[start + 5] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="does not match its checksum"):
            unpickled(path)
        with pytest.raises(InputError, match="damaged"):
            read_pickle(path)
        assert torch.load(path, mmap=True)[name].flatten()[1] != tensor.flatten()[1]  # what this is about


def test_archives_that_torch_does_not_write(path: Path) -> None:
    """A small file that would take for ever to check is refused by its table of contents."""
    compressed = path.with_name("compressed.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    with pytest.raises(ValueError, match="compressed"):
        unpickled(compressed)
    overlapping = path.with_name("overlapping.pth")
    with zipfile.ZipFile(overlapping, "w") as new:
        new.writestr("archive/data/0", bytes(10_000))
        first = new.infolist()[0]
        new.filelist += [first] * 50
    with pytest.raises(ValueError, match="more than it holds"):
        unpickled(overlapping)
