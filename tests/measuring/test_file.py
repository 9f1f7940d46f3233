"""The measurement file: exact round trips, and no wrong file accepted."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save, save_file

from idmcli.errors import InputError, ResourceError
from idmcli.io.geometry import Geometry
from idmcli.io.records import to_line
from idmcli.io.scale import Scale
from idmcli.io.tensor_file import digest
from idmcli.measuring import Measurement, Provenance
from idmcli.measuring.file import Stored, is_measurement_file, read_stored, write_stored
from idmcli.operators import MRI, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT, build_operator

PROVENANCE = Provenance("idm sense é.png", "é.png", "0" * 64)
MASK = torch.from_numpy(np.random.default_rng(0).random((17, 15)) < 0.4)


def operators() -> dict[str, LinearOperator]:
    maps = torch.randn(3, 17, 15, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return {
        "cs": CompressedSensing((1, 17, 15), ratio=0.3, block=8, seed=4),
        "cs-rgb": CompressedSensing((3, 17, 15), ratio=0.1, block=8, permutation="none"),
        "inpainting": Inpainting((1, 17, 15), MASK),
        "mri": MRI((1, 17, 15), MASK),
        "mri-coils": MRI((1, 17, 15), MASK, sensitivity=maps),
        "ct": ParallelBeamCT((1, 17, 17), 5),
    }


def measure(operator: LinearOperator, **options: Any) -> Stored:
    x = torch.rand(1, *operator.image_shape, generator=torch.Generator().manual_seed(1))
    colour: Any = "rgb" if operator.image_shape[0] == 3 else "grey"
    values: dict[str, Any] = {
        "y": operator.A(x)[0],
        "arrays": operator.arrays(),
        "spec": operator.to_spec(),
        "colour": colour,
        "provenance": PROVENANCE,
    }
    return Stored(**(values | options))


def small(**options: Any) -> Stored:
    values: dict[str, Any] = {
        "y": torch.arange(6.0).reshape(2, 3),
        "arrays": {"mask": torch.tensor([True, False]), "angles": torch.tensor([0.5], dtype=torch.float64)},
        "spec": {"kind": "none", "image_shape": [1, 2, 3], "nested": {"a": None, "b": [1, 2.5, "é"]}},
        "colour": "grey",
        "provenance": PROVENANCE,
    }
    return Stored(**(values | options))


def assert_same(a: Stored, b: Stored) -> None:
    for field in dataclasses.fields(a):
        if field.name not in ("y", "arrays"):
            assert getattr(a, field.name) == getattr(b, field.name)
    assert list(a.arrays) == sorted(b.arrays)
    for left, right in [(a.y, b.y), *((a.arrays[key], b.arrays[key]) for key in b.arrays)]:
        assert left.dtype == right.dtype
        assert torch.equal(left, right)


@pytest.mark.parametrize("name", sorted(operators()))
def test_a_real_operator_is_rebuilt_from_the_file_alone(tmp_path: Path, name: str) -> None:
    operator = operators()[name]
    m = measure(operator, noise=0.01, noise_seed=7, bits=16, value_range=(-1.0, 1.0))
    write_stored(tmp_path / "m.safetensors", m)
    loaded = read_stored(tmp_path / "m.safetensors")
    assert_same(loaded, m)
    assert is_measurement_file(tmp_path / "m.safetensors")
    again = loaded.measurement().operator
    assert torch.equal(again.AT(loaded.y[None]), operator.AT(m.y[None]))
    assert again.image_shape == operator.image_shape


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    m = measure(operators()["cs"])
    write_stored(path, m)
    code = (
        "import sys, idmcli.measuring as measuring\n"
        "m = measuring.load_measurement(sys.argv[1]); x = m.operator.pinv(m.y[None])\n"
        "print(x.numpy().tobytes().hex())"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == build_operator(m.spec).pinv(m.y[None]).numpy().tobytes().hex()


dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64])
shapes = st.lists(st.integers(0, 4), max_size=3)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    dtypes,
    shapes,
    st.dictionaries(st.text(max_size=5), json_values, max_size=4),
    st.dictionaries(st.text(min_size=1, max_size=5), shapes, max_size=2),
    st.floats(0, 1e6),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: torch.dtype,
    shape: list[int],
    spec: dict[str, Any],
    arrays: dict[str, list[int]],
    noise: float,
    seed: int | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.safetensors"
    m = small(
        y=torch.randn(shape).to(dtype),
        spec=spec,
        arrays={name: torch.randint(0, 9, size) for name, size in arrays.items()},
        noise=noise,
        noise_seed=seed,
    )
    write_stored(path, m)
    first = path.read_bytes()
    assert_same(read_stored(path), m)
    write_stored(path, read_stored(path))
    assert path.read_bytes() == first


def test_views_and_conjugates_are_stored_as_they_read(tmp_path: Path) -> None:
    z = torch.randn(3, 4, dtype=torch.complex64)
    for y in (z.T, z.conj(), z.T.conj(), z.conj().imag, z[0].expand(5, 4)):
        write_stored(tmp_path / "m.safetensors", small(y=y, arrays={"same": y}))
        loaded = read_stored(tmp_path / "m.safetensors")
        assert torch.equal(loaded.y, y)
        assert torch.equal(loaded.arrays["same"], y)


def test_the_file_may_change_after_loading(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    loaded = read_stored(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
    assert_same(loaded, small())


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    data = path.read_bytes()
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        path.write_bytes(broken)
        with pytest.raises(InputError) as caught:
            read_stored(path)
        assert "m.safetensors" in caught.value.message


def test_truncated_or_extended(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for end in [*range(0, len(data), max(1, len(data) // 16)), len(data) - 1]:
        path.write_bytes(data[:end])
        assert is_measurement_file(path) == (end >= header)  # torn, but what it was is still known
        with pytest.raises(InputError, match="is not a readable measurement file"):
            read_stored(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(InputError, match="is not a readable measurement file"):
        read_stored(path)


def test_other_files(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "weights.safetensors", {"config": "{}"})
    save_file({"y": torch.zeros(2)}, tmp_path / "bare.safetensors")
    for name in ("weights.safetensors", "bare.safetensors"):
        assert not is_measurement_file(tmp_path / name)
        with pytest.raises(InputError, match="holds no measurements"):
            read_stored(tmp_path / name)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match="is not a readable measurement file"):
        read_stored(tmp_path / "a.png")
    with pytest.raises(InputError, match="there is no measurement file"):
        read_stored(tmp_path / "missing.safetensors")
    with pytest.raises(InputError, match="is a folder"):
        read_stored(tmp_path)
    for path in (tmp_path, tmp_path / "a.png"):
        assert not is_measurement_file(path)
    with pytest.raises(InputError, match="missing' does not exist"):
        is_measurement_file(tmp_path / "missing")


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    write_stored(tmp_path / "m.safetensors", small())
    (tmp_path / "m.safetensors").rename(tmp_path / "m.png")
    assert is_measurement_file(tmp_path / "m.png")
    assert_same(read_stored(tmp_path / "m.png"), small())


def stored(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        content: dict[str, Any] = json.loads(file.metadata()["idm_measurements"])
    return content


def forge(path: Path, tensors: dict[str, torch.Tensor], **changes: Any) -> None:
    """A file with changed metadata and a checksum that fits them."""
    content = {key: value for key, value in (json.loads(stored(path)["record"]) | changes).items() if value != "absent"}
    text = to_line(content)
    path.write_bytes(save(tensors, {"idm_measurements": json.dumps({"sha256": digest(text, tensors), "record": text})}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 3}, r"newer idm \(schema 3; this version reads 2\)"),
        ({"schema": "absent"}, "cannot be read"),
        ({"noise": -1}, "noise: .*greater than or equal to 0"),
        ({"bits": 12}, "bits: "),
        ({"colour": "cmyk"}, "colour: "),
        ({"colour": "absent"}, "colour: Field required"),
        ({"spec": [1]}, "spec: "),
        ({"extra": 1}, "extra: "),
        ({"value_range": [0]}, "value_range"),
        ({"provenance": {}}, "provenance.command: "),
        ({"gain": 0}, "gain: .*greater than 0"),
    ],
)
def test_wrong_metadata_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    forge(path, {"y": torch.zeros(2)})
    assert read_stored(path).y.shape == (2,)
    forge(path, {"y": torch.zeros(2)}, **changes)
    with pytest.raises(InputError, match=words):
        read_stored(path)


def test_value_range_and_unit_are_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    assert "unit" not in json.loads(stored(path)["record"])  # as in files written before there were units
    assert read_stored(path).scale == Scale()
    write_stored(path, small(value_range=(-1024.0, 3072.0), unit="HU"))
    loaded = read_stored(path)
    assert loaded.scale == Scale(-1024, 3072, "HU")
    write_stored(tmp_path / "again.safetensors", loaded)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match="no interval"):
        write_stored(path, small(value_range=(1.0, 0.0)))


def test_the_geometry_is_kept(tmp_path: Path) -> None:
    path, place = tmp_path / "m.safetensors", Geometry((1, 2, 3), (0, 0.5, 0), (0.25, 0, 0), (0, 0, 4), "1.2")
    write_stored(path, small())
    assert "geometry" not in json.loads(stored(path)["record"])  # as in files written before there was any
    write_stored(path, small(geometry=place))
    assert read_stored(path).geometry == place


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value_range": [1, 0]}, "scale from 1 to 0 is no interval"),
        ({"unit": "\x1b[31m"}, "at most 32 printable characters"),
        ({"spec": {"a": [[]] * 3, "deep": json.loads("[" * 40 + "]" * 40)}}, "nested more than 32 deep"),
        ({"spec": {"image_shape": [1, 12000, 12000]}}, "12000 x 12000 pixels, more than the limit of 64000000"),
        ({"spec": {"image_shape": [1, 8000, 8000]}}, "claims an image of 64000000 values, but holds only 2 measure"),
        ({"spec": {"image_shape": [10**9, 1, 1]}}, "claims an image of 1000000000 values"),
    ],
)
def test_claims_that_cannot_be_true(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    forge(path, {"y": torch.zeros(2)}, **changes)
    with pytest.raises(InputError, match=words) as caught:
        read_stored(path)
    assert caught.value.message.isprintable()


def test_the_limit_of_pixels_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    assert read_stored(path, max_pixels=6).y.shape == (2, 3)
    with pytest.raises(InputError, match="2 x 3 pixels, more than the limit of 5"):
        read_stored(path, max_pixels=5)


def test_no_waiting_for_a_fifo(folder: Path) -> None:
    os.mkfifo("m.safetensors")
    with pytest.raises(InputError, match="is not a regular file"):
        read_stored("m.safetensors")


def test_a_file_without_y(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small())
    forge(path, {"z": torch.zeros(2)})
    with pytest.raises(InputError, match="holds no tensor y"):
        read_stored(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), complex(0, float("nan"))])
def test_values_that_are_not_finite(tmp_path: Path, value: complex) -> None:
    path = tmp_path / "m.safetensors"
    y = torch.zeros(2, 3, dtype=torch.complex64 if isinstance(value, complex) else torch.float32)
    y[1, 2] = value
    with pytest.raises(InputError, match=r"not finite, first at index \(1, 2\)"):
        write_stored(path, small(y=y))
    assert not path.exists()
    write_stored(path, small())
    forge(path, {"y": y})
    with pytest.raises(InputError, match=r"not finite, first at index \(1, 2\)"):
        read_stored(path)


def test_saving_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be saved"):
        write_stored(tmp_path / "m.npz", small())
    with pytest.raises(ValidationError, match="noise"):
        write_stored(tmp_path / "m.safetensors", small(noise=-1.0))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="file"):
        write_stored(tmp_path / "file" / "m.safetensors", small())


def test_an_operator_that_does_not_fit() -> None:
    operator = operators()["cs"]
    m = measure(operator)
    with pytest.raises(InputError, match=r"have shape \(2, 3\), but their operator \(cs\) gives"):
        dataclasses.replace(m, y=torch.zeros(2, 3)).measurement()
    with pytest.raises(InputError, match="kind"):
        small().measurement()
    with pytest.raises(InputError, match="rgb, but the image has 1"):
        dataclasses.replace(m, colour="rgb").measurement()


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int32, torch.bool])
def test_measurements_of_a_type_that_nothing_computes_with(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(InputError, match="the measurements are of type"):
        write_stored(path, small(y=torch.zeros(2).to(kind)))
    write_stored(path, small())
    forge(path, {"y": torch.zeros(2).to(kind)})
    with pytest.raises(InputError, match="the measurements are of type"):
        read_stored(path)


@pytest.mark.parametrize("channels", [2, 4, 1000])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_images_of_other_numbers_of_channels(tmp_path: Path, channels: int, colour: Any) -> None:
    """Operators take them, files do not: nothing would show such an image."""
    m = measure(Inpainting((channels, 17, 15), MASK))
    with pytest.raises(InputError, match=f"marked as {colour}, but the image has {channels} channels"):
        dataclasses.replace(m, colour=colour).measurement()
    with pytest.raises(InputError, match=f"{channels} channels, and a measurement file holds 1 or 3"):
        Measurement(Inpainting((channels, 17, 15), MASK), m.y).save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_mask_that_takes_long_is_drawn_for_as_many_measurements_only() -> None:
    spec = {"kind": "mri", "image_shape": [1, 4000, 4000], "mask": {"type": "radial", "fraction": 0.9}}
    spec |= {"complex_image": False, "coils": None, "mask_sha256": "0" * 64}
    with pytest.raises(InputError, match="at least 14400000 measurements, and there are 1000"):
        small(spec=spec, y=torch.zeros(1, 1000, dtype=torch.complex64)).measurement()


def test_provenance_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"abc")
    provenance = Provenance.of_file("idm sense a.png", tmp_path / "a.png")
    assert provenance.source == "a.png"
    assert provenance.source_sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert provenance.version


@pytest.mark.parametrize(("command", "gain"), [("idm sense photo.png", 1.0), ("made elsewhere", None)])
def test_files_from_before_there_was_a_gain(tmp_path: Path, command: str, gain: float | None) -> None:
    path = tmp_path / "m.safetensors"
    write_stored(path, small(provenance=Provenance(command, "photo.png", "0" * 64), gain=5.0))
    assert read_stored(path).gain == 5
    forge(path, {"y": torch.zeros(2)}, schema=1, gain="absent")
    assert read_stored(path).gain == gain
