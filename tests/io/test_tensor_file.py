"""Self-describing safetensors: one checksum over everything, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from idmcli.errors import InputError, ResourceError
from idmcli.io.records import to_line
from idmcli.io.tensor_file import FileKind, digest, is_of_kind, read, write

KIND = FileKind("idm_test", "test file", "tests", schema=2, hint="make one")
OTHER = FileKind("idm_other", "other file", "others", schema=1, hint="make another")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "a.bin", KIND, {"b": 1, "a": [None, "é"]}, {"x": torch.arange(6.0).view(2, 3)})
    return tmp_path / "a.bin"


def refused(path: Path, kind: FileKind = KIND) -> str:
    with pytest.raises(InputError) as caught:
        read(path, kind)
    assert repr(str(path)) in caught.value.message and "\n" not in caught.value.message and caught.value.hint
    return caught.value.message


def test_a_round_trip(file: Path) -> None:
    record, tensors = read(file, KIND)
    assert record == {"schema": 2, "a": [None, "é"], "b": 1}
    assert list(tensors) == ["x"] and torch.equal(tensors["x"], torch.arange(6.0).view(2, 3))
    before = file.read_bytes()
    write(file, KIND, {"a": [None, "é"], "b": 1}, {"x": torch.arange(6.0).view(3, 2).reshape(2, 3)})
    assert file.read_bytes() == before


def test_every_flipped_bit_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        file.write_bytes(damaged)
        refused(file)


def test_what_is_wrong_is_said(file: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "none").startswith("there is no test file")
    assert refused(tmp_path).endswith("is a folder, not a test file")
    assert refused(file, OTHER).endswith("is a safetensors file but holds no others")
    whole = file.read_bytes()
    for content in (b"", whole[:4], whole[:40], whole[:-1], whole + b"x", b"\x89PNG" + whole):
        file.write_bytes(content)
        assert "is not a readable test file: it is not safetensors, truncated, or damaged" in refused(file)
    write(file, FileKind("idm_test", "", "", 3, ""), {}, {})
    assert "was written by a newer idm (schema 3; this version reads 2)" in refused(file)


@pytest.mark.parametrize("shape", [[2**40], [2**62, 4], [-1]])
def test_a_size_beyond_the_file_is_never_allocated(file: Path, shape: list[int]) -> None:
    header = {"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0]]}}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    assert "is not a readable test file" in refused(file)


@pytest.mark.parametrize(
    "entry",
    ["", "7", "null", "[]", "{}", '"text"', '{"record": 3}', '{"record": "[]"}', '{"record": "{}"}', "[" * 10000],
)
def test_entries_that_are_none(file: Path, entry: str) -> None:
    save_file({}, file, {"idm_test": entry})
    assert "is damaged: its metadata cannot be read" in refused(file)


def test_a_schema_that_is_no_number(file: Path) -> None:
    text = to_line({"schema": "2"})
    save_file({}, file, {"idm_test": json.dumps({"sha256": digest(text, {}), "record": text})})
    assert "its metadata cannot be read" in refused(file)


def test_the_header_says_of_which_kind_a_file_is(file: Path, tmp_path: Path) -> None:
    assert is_of_kind(file, KIND) and not is_of_kind(file, OTHER)
    assert not is_of_kind(tmp_path, KIND)
    header = b'{"__metadata__": {"idm_test": ""}}'
    for content, expected in (
        (b"", False),
        (b"\xff" * 40, False),
        (len(header).to_bytes(8, "little") + header, True),
        (len(header).to_bytes(8, "little") + header[:-1], False),
        ((2).to_bytes(8, "little") + b"[]", False),
        ((20).to_bytes(8, "little") + b'{"__metadata__":  4}', False),
        ((20000).to_bytes(8, "little") + b"[" * 20000, False),
    ):
        file.write_bytes(content)
        assert is_of_kind(file, KIND) == expected
    with pytest.raises(InputError, match="does not exist"):
        is_of_kind(tmp_path / "none", KIND)


def test_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path / "a", KIND, {"a": float("nan")}, {})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError):
        write(tmp_path / "file" / "a", KIND, {}, {})
