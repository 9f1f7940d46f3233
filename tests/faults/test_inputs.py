"""Pictures, masks and measurement files that are not what they should be."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import load_file

import idmcli.methods
from idmcli.cli import main
from idmcli.io.images import read_image, write_image
from idmcli.measuring import Measurement
from idmcli.measuring.file import read_stored, write_stored
from tests.faults.hostile import FAST, Capture, draw, failed, files, python, results, run
from tests.fuzz_readers import limits, record_of, signed

COMMANDS = [("sense",), ("reconstruct", *FAST)]
commands = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])


@commands
def test_what_is_missing_is_listed_before_any_work_and_does_not_stop_the_rest(
    capsys: Capture, command: tuple[str, ...]
) -> None:
    draw("a.png")
    Path("empty").mkdir()
    Path("dangling.png").symlink_to("nowhere")
    missing = ["none.png", "empty", "dangling.png", "a.png/b.png"]
    error = failed(capsys, *command, *missing, "-o", "out")
    assert all(repr(name) in error for name in missing) and not Path("out").exists()
    err = run(capsys, *command, "a.png", *missing, "-o", "out", code=2)[1]
    assert all(repr(name) in err for name in missing) and len(files("out")) == 1
    assert "error: 4 of 5 files failed\nhint: the others are done; the reasons are above\n" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@commands
def test_no_permission_to_read(capsys: Capture, command: tuple[str, ...]) -> None:
    draw("a.png").chmod(0)
    assert "'a.png' cannot be read: Permission denied" in failed(capsys, *command, "a.png")


@commands
def test_one_bad_file_of_many(capsys: Capture, command: tuple[str, ...]) -> None:
    """A folder with one broken file."""
    for n in range(9):
        draw(f"in/{n}.png", (8, 8), n)
    Path("in/4.png").write_bytes(b"")
    document = results(capsys, *command, "in", "-o", "out", code=2)
    assert document["error"]["message"] == "1 of 9 files failed" and len(files("out")) == 8
    assert document["results"][4]["error"]["message"] == "'in/4.png' is not a readable image (the file is empty)"


@pytest.mark.parametrize("content", ["", "text", "truncated", "header"])
@commands
def test_a_png_that_is_none(capsys: Capture, command: tuple[str, ...], content: str) -> None:
    whole = draw("whole.png").read_bytes()
    data = {"": b"", "text": b"hello", "truncated": whole[: len(whole) // 2], "header": whole[:8]}[content]
    Path("a.png").write_bytes(data)
    assert "'a.png' is " in failed(capsys, *command, "a.png", "-o", "out")
    assert files("out") == []


def png(width: int, height: int) -> bytes:
    """A valid PNG header over too few pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1)])
@commands
def test_a_bomb_is_refused_from_its_header(capsys: Capture, command: tuple[str, ...], size: tuple[int, int]) -> None:
    Path("a.png").write_bytes(png(*size))
    error = failed(capsys, *command, "a.png")
    assert f"'a.png' has {size[0]} x {size[1]} pixels, more than the limit of 64000000" in error


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_sixteen_bits_stay_sixteen(capsys: Capture, shape: tuple[int, ...]) -> None:
    draw("a.png", shape, bits=16)
    run(capsys, "reconstruct", "a.png", "--ratio", "1", *FAST)
    pictures = [read_image(name) for name in ("a.png", "reconstructions/a.png")]
    assert [picture.bits for picture in pictures] == [16, 16]
    assert np.abs(pictures[0].pixels - pictures[1].pixels).max() < 2e-4 < 1 / 255


def test_conversions_are_said_or_refused(capsys: Capture) -> None:
    base = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    transparent = base.convert("RGBA")
    transparent.putpixel((0, 0), (0, 0, 0, 0))
    transparent.save("alpha.png"), base.convert("CMYK").save("cmyk.jpg"), base.convert("P").save("palette.png")
    base.convert("1").save("bit.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    base.crop((0, 0, 16, 8)).save("turned.jpg", exif=exif)
    failed(capsys, "sense", "cmyk.jpg")
    for name in ("alpha.png", "palette.png", "bit.png", "turned.jpg"):
        out, err = run(capsys, "sense", name, "--set", "operator.block=8")
        assert err.startswith(f"warning: '{name}': ") and err.count("warning") == 1
    assert "image 1x16x8" in out


@pytest.mark.parametrize("name", ["pages.tif", "pages.gif"])
@commands
def test_several_pages(capsys: Capture, command: tuple[str, ...], name: str) -> None:
    frames = [Image.fromarray(np.full((16, 16), value, np.uint8)) for value in (10, 90, 200)]
    frames[0].save(name, save_all=True, append_images=frames[1:])
    error = failed(capsys, *command, name)
    assert f"'{name}' holds 3 pages or frames" in error and "FILE#N, with N from 1 to 3" in error
    run(capsys, *command, f"{name}#2", "-o", "one")
    assert Path(files("one")[0]).stem == "pages_2"
    failed(capsys, *command, f"{name}#4", "-o", "none")


def test_a_picture_smaller_than_a_block(capsys: Capture) -> None:
    """Padded small pictures filed under 30 % when measured at 79 %."""
    draw("data/a.png", (40, 33))
    assert "padded to 1x64x64" in run(capsys, "sense", "data/a.png")[0]
    assert "padded to 64x64" in run(capsys, "reconstruct", "data/a.png", "--method", "pinv")[0]
    err = run(capsys, "eval", "data", "--method", "pinv", "--ratio", "0.3")[1]
    assert "warning: 'data/a.png': 93.3 % measurements per pixel, not 30 %, because the picture is pad" in err
    draw("data/a.png", (64, 32))
    assert "warning" not in run(capsys, "eval", "data", "--method", "pinv", "--ratio", "0.3")[1]


def test_values_that_are_not_finite(capsys: Capture) -> None:
    pixels = np.full((16, 16), 0.5, np.float32)
    pixels[3, 4] = np.nan
    tifffile.imwrite("a.tif", pixels)
    assert "'a.tif' holds a value that is not finite, first at index (3, 4)" in failed(capsys, "sense", "a.tif")
    draw("b.png")
    run(capsys, "sense", "b.png")
    path = Path("measurements/b.safetensors")
    m = read_stored(path)
    m.y[0, 0, 1] = torch.inf
    with pytest.raises(Exception, match="not finite"):
        write_stored("c.safetensors", m)


@pytest.mark.parametrize("ratio", ["0", "-0.1", "1.5", "nan", "inf", "1e-9", "1e-300", "many", ""])
@pytest.mark.parametrize("preset", ["cs", "inpainting", "mri"])
def test_ratios_that_are_none(capsys: Capture, preset: str, ratio: str) -> None:
    """--ratio 1e-9."""
    draw("data/a.png")
    options = ["--preset", preset, f"--ratio={ratio}"]
    for command in (["sense", "data"], ["reconstruct", "data", "--method=pinv"], ["eval", "data", "--method=pinv"]):
        error = failed(capsys, *command, *options)
        assert "ratio" in error
        assert "e-" not in ratio or "the smallest ratio is 0.00" in error


def test_masks(capsys: Capture) -> None:
    draw("a.png")
    mask = ["--preset=inpainting", "--set=operator.mask=file", "--set=operator.mask_file=mask.png"]
    black, grey, small = np.zeros((16, 16)), np.full((16, 16), 0.5), np.ones((8, 16))
    for pixels, reason in ((black, "all black"), (grey, "not black and white"), (small, "8 x 16 pixels")):
        write_image("mask.png", pixels)
        assert reason in failed(capsys, "sense", "a.png", *mask)
    inverted = np.ones((16, 16))
    inverted[:2, :5] = 0
    write_image("mask.png", inverted)
    for command in (["sense"], ["reconstruct", "--method=pinv"]):
        err = run(capsys, *command, "a.png", *mask)[1]
        assert err == "warning: 'a.png': the mask 'mask.png' keeps 96.1 % of the pixels; white pixels are kept\n"


def measured(capsys: Capture, *options: str) -> Path:
    """A measurement file."""
    draw("a.png")
    run(capsys, "sense", "a.png", "--overwrite", *options)
    return Path("measurements/a.safetensors")


def test_a_damaged_measurement_file(capsys: Capture) -> None:
    path = measured(capsys)
    whole = path.read_bytes()
    for n in range(0, len(whole), len(whole) // 16):
        path.write_bytes(whole[:n])
        failed(capsys, "reconstruct", path)
    for bit in (8 * 400, 8 * len(whole) - 9):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        failed(capsys, "reconstruct", path)


def test_files_that_claim_too_much_or_run_code(capsys: Capture) -> None:

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path("pwned").touch, ()

    header = json.dumps({"y": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    Path("claim.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"1234")
    Path("length.safetensors").write_bytes(struct.pack("<Q", 2**60))
    np.savez("a.npz", allow_pickle=True, x=np.array([Evil()], dtype=object))
    np.save("b.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    Path("c.pkl").write_bytes(pickle.dumps(Evil()))
    for name in ("claim.safetensors", "length.safetensors", "a.npz", "b.npy", "c.pkl"):
        failed(capsys, "reconstruct", name)
    assert not Path("pwned").exists()


def test_hdf5_is_no_input(capsys: Capture) -> None:
    """Measurements come as safetensors only, so that no link or virtual data set is ever followed."""
    Path("a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    assert "'a.h5' is not a readable image" in failed(capsys, "reconstruct", "a.h5")


MANY = 10**400
SPECS: list[tuple[str, dict[str, Any]]] = [
    ("ct", {"angles": [0, MANY]}),
    ("ct", {"angles": MANY}),
    ("ct", {"angles": 10**9}),
    ("ct", {"detectors": 10**9}),
    ("ct", {"detectors": MANY}),
    ("ct", {"image_shape": [1, 12000, 12000]}),
    ("ct", {"image_shape": [MANY, 1, 1]}),
    ("cs", {"block": MANY}),
    ("cs", {"ratio": MANY}),
    ("cs", {"ratio": 1e-9}),
    ("cs", {"seed": MANY}),
    ("cs", {"image_shape": [1, 12000, 12000]}),
    ("cs", {"image_shape": [1, 7000, 7000]}),
    ("mri", {"image_shape": [1, MANY, 1]}),
    ("mri", {"mask": {"type": "radial", "lines": 10**9}}),
    ("mri", {"mask": {"type": "radial", "lines": MANY}}),
    ("mri", {"mask": {"type": "equispaced", "acceleration": MANY}}),
    ("inpainting", {"mask": {"type": "boxes", "boxes": [[0, 0, MANY, 1]]}}),
    ("inpainting", {"mask": {"type": "boxes", "boxes": [[0, 0, 1, 1]] * 100_000}}),
    ("inpainting", {"mask": {"type": "random", "ratio": MANY, "seed": 0}}),
    ("deblur", {"image_shape": [1, MANY, 1]}),
    ("deblur", {"kernel": {"type": "gaussian", "size": 10**9 + 1, "std": 1.0}}),
    ("deblur", {"kernel": {"type": "gaussian", "size": 5, "std": MANY}}),
    ("motion-deblur", {"image_shape": [1, 12000, 12000]}),
    ("sr", {"factor": MANY}),
    ("sr", {"image_shape": [1, MANY, 1]}),
    ("sr", {"image_shape": [1, 12000, 12000]}),
    ("hdr", {"gain": MANY}),
    ("nonlinear-deblur", {"image_shape": [1, MANY, 1]}),
]


@pytest.mark.parametrize(("preset", "change"), SPECS, ids=lambda value: str(value)[:40])
def test_measurement_files_that_ask_for_too_much(capsys: Capture, preset: str, change: dict[str, Any]) -> None:
    """Angles of 10^400, 10^6-10^9 lines, and 6 kB claiming 12000 x 12000."""
    path = measured(capsys, "--preset", preset, "--set=operator.seed=1")
    m = read_stored(path)
    spec = {key: value for key, value in m.spec.items() if not key.endswith("sha256")}
    write_stored(path, replace(m, spec=spec | change))
    failed(capsys, "reconstruct", path)


CLAIMS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("mri", {"image_shape": [1, 1, 60_000_000], "mask": {"type": "radial", "fraction": 0.1}}, (1, 4000)),
    ("mri", {"image_shape": [1, 1, 60_000_000], "mask": {"type": "radial", "lines": 100}}, (1, 4000)),
    ("mri", {"image_shape": [1, 8000, 8000], "mask": {"type": "radial", "lines": 100_000}}, (1, 4000)),
    ("mri", {"image_shape": [1, 8000, 8000], "mask": {"type": "radial", "fraction": 0.9}}, (1, 4000)),
    ("sr", {"image_shape": [1, 1, 300_000], "factor": 64}, (1, 1, 4688)),
]


@pytest.mark.parametrize(("preset", "change", "shape"), CLAIMS, ids=lambda value: str(value)[:40])
def test_work_and_memory_are_bounded_before_they_are_spent(
    capsys: Capture, preset: str, change: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """With as many measurements as the image may have: no sign of life for 25 s, or 5 GB."""
    path = measured(capsys, "--preset", preset, "--set=operator.seed=1")
    m = read_stored(path)
    spec = {key: value for key, value in m.spec.items() if not key.endswith("sha256")}
    write_stored(path, replace(m, y=torch.zeros(shape, dtype=m.y.dtype), spec=spec | change))
    with limits():
        failed(capsys, "reconstruct", path)


@pytest.mark.parametrize("odd", ["float8", "channels"])
def test_hostile_measurement_files_do_not_stop_the_others(odd: str, capsys: Capture) -> None:
    """Their checksums are right. They ended the command with 70, and the rest was not done."""
    path = measured(capsys)
    key, record = record_of(path.read_bytes())
    tensors = load_file(path)
    if odd == "float8":
        tensors["y"] = tensors["y"].to(torch.float8_e4m3fn)
    else:
        record["spec"] = {"kind": "inpainting", "image_shape": [1000, 16, 16], "mask": {"type": "random", "ratio": 1.0}}
        tensors = {"y": torch.zeros(1000, 256)}
    Path("in").mkdir()
    Path("in/a.safetensors").write_bytes(signed(key, record, tensors))
    Path("in/b.safetensors").write_bytes(path.read_bytes())
    err = run(capsys, "reconstruct", "in", "--method", "pinv", "-o", "out", code=2)[1]
    assert "error: 'in/a.safetensors'" in err and "1 of 2 files failed" in err and files("out") == ["b.png"]
    if odd == "float8":
        failed(capsys, "info", "in/a.safetensors")


@pytest.mark.parametrize(
    "failure", [ValueError("odd"), RuntimeError("worse"), NotImplementedError(), ZeroDivisionError()]
)
def test_what_nobody_foresaw_in_one_input_does_not_stop_the_others(
    failure: Exception, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = idmcli.methods.solve

    def solve(m: Measurement, *inputs: Any, **options: Any) -> Any:
        assert m.provenance is not None
        if m.provenance.source == "1.png":
            raise failure
        return plain(m, *inputs, **options)

    monkeypatch.setattr(idmcli.methods, "solve", solve)
    for n in range(3):
        draw(f"in/{n}.png", (8, 8), n)
    assert main(["reconstruct", "in", *FAST, "-o", "out"]) == 70
    err = capsys.readouterr().err
    assert f"error: 'in/1.png': internal error: {type(failure).__name__}: " in err and "Traceback" not in err
    assert "error: 1 of 3 files failed" in err and files("out") == ["0.png", "2.png"]
    assert main(["reconstruct", "in", *FAST, "-o", "out", "--overwrite", "--debug"]) == 70
    assert f"raise failure\n{type(failure).__name__}" in capsys.readouterr().err


def test_names_with_line_ends_forge_no_results(capsys: Capture) -> None:
    names = ["a\nb.png -> c.png: cs, 30 %", "\x1b[31mred", "=1+1"]
    for name in names:
        draw(f"in/{name}.png", (8, 8))
    for command in (["sense"], ["reconstruct", *FAST], ["reconstruct", *FAST, "--dry-run", "-o", "plan"]):
        out = run(capsys, *command, "in")[0]
        assert len(out.splitlines()) == 3 and "\x1b" not in out and "a\\nb.png" in out


def test_the_folder_idm_works_in_has_been_removed() -> None:
    """A library of PyTorch ended the process."""
    gone = Path("gone").absolute()
    script = f"import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir({str(gone)!r})\n"
    script += "from idmcli.cli import main; sys.exit(main(sys.argv[1:]))"
    for command in (["reconstruct", "--example"], ["env"], ["train", "--data", "photos"]):
        done = python(script, *command, env=os.environ | {"PYTHONPATH": os.environ["PYTHONPATH"]})
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == ("error: the folder that idm works in has been removed\nhint: change to another one\n")


@pytest.mark.parametrize("change", [{"noise": 1e300}, {"bits": 12}, {"schema": 0}, {"schema": -1}])
def test_measurement_files_with_odd_records(capsys: Capture, change: dict[str, Any]) -> None:
    """The issue: a noise beyond measure, in a file this time; a version that never was."""
    path = measured(capsys)
    key, record = record_of(path.read_bytes())
    path.write_bytes(signed(key, record | change, load_file(path)))
    failed(capsys, "reconstruct", path)


def test_deep_json_in_a_measurement_file(capsys: Capture) -> None:
    """The issue: deep JSON."""
    path = measured(capsys)
    m, deep = read_stored(path), []
    for _ in range(20_000):
        deep = [deep]
    try:
        write_stored(path, replace(m, spec=m.spec | {"deep": deep}))
    except (ValueError, RecursionError):
        text = '{"idm_measurements":"' + "[" * 100_000 + '"}'
        header = ('{"__metadata__":' + text + "}").encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
    failed(capsys, "reconstruct", path)


@pytest.mark.parametrize("name", ["pipe", "pipe.png", "pipe.safetensors", "pipe.tif"])
def test_a_fifo_never_blocks(capsys: Capture, name: str) -> None:
    """The issue: hangs on a FIFO."""
    os.mkfifo(name)
    draw("a.png")
    for command in (["sense", name], ["reconstruct", name], ["reconstruct", "a.png", "--weights", name]):
        assert f"'{name}' " in failed(capsys, *command)
    assert name in failed(capsys, "sense", "a.png", "--config", name)
    mask = ["--preset=inpainting", "--set=operator.mask=file", f"--set=operator.mask_file={name}"]
    assert f"'{name}' " in failed(capsys, "sense", "a.png", *mask)
    Path("only").mkdir()
    os.rename(name, f"only/{name}")
    assert "holds no such file" in failed(capsys, "eval", "only")


NAMING = ["reconstruct NAME", "reconstruct a.png --weights NAME", "reconstruct a.png --prior NAME", "sense NAME"]
NAMING += ["reconstruct a.png --out NAME", "sense a.png --config NAME", "info NAME", "convert NAME", "eval NAME"]
NAMING += ["train --preset prior-grey --data NAME", "train --preset prior-grey --data a.png --init NAME"]
NAMING += ["train --resume --data a.png --out NAME", "presets show NAME"]


@pytest.mark.parametrize("command", NAMING)
@pytest.mark.parametrize("name", ["y" * 300, "loop"])
def test_names_that_lead_nowhere(capsys: Capture, command: str, name: str) -> None:
    """The issue: long names; and a link to itself."""
    draw("a.png", (64, 64))
    Path("loop").symlink_to("loop")
    failed(capsys, *command.replace("NAME", name).split())


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/tty", "/proc/self/mem"])
def test_devices_are_no_inputs(capsys: Capture, name: str) -> None:
    """The issue: a command on such an input ends at once."""
    failed(capsys, "reconstruct", name)


@pytest.mark.parametrize("preset", ["cs", "inpainting", "mri", "ct", "deblur", "motion-deblur", "sr"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (15, 1), (9, 11)])
def test_tiny_and_odd_sizes(capsys: Capture, preset: str, shape: tuple[int, int]) -> None:
    """1x1 image; MRI with odd sizes."""
    draw("a.png", shape)
    ratio = ["--ratio=1"] if preset in ("mri", "inpainting") else []  # 20 or 30 % of one point are none
    run(capsys, "reconstruct", "a.png", "--preset", preset, *ratio, "--method=pinv")
    assert read_image("reconstructions/a.png").pixels.shape == shape


@pytest.mark.parametrize(
    "options",
    [
        ["--preset=ct", "--set=operator.views=1"],
        ["--preset=ct", "--set=operator.detectors=3"],
        ["--preset=ct", "--set=operator.detectors=1", "--set=operator.views=1"],
        ["--set=task.kind=mri", "--set=operator.mask=equispaced", "--set=operator.acceleration=15"]
        + ["--set=operator.centre_fraction=0"],
    ],
)
def test_very_little_measured(capsys: Capture, options: list[str]) -> None:
    """CT with 1 view, a detector narrower than the object; MRI with one line."""
    draw("a.png", (13, 15))
    run(capsys, "reconstruct", "a.png", *options, "--method=pinv")
    assert "views = 0" in failed(capsys, "sense", "a.png", "--preset=ct", "--set=operator.views=0")


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_image(capsys: Capture, level: float) -> None:
    """An infinite PSNR is null with a reason, and JSON stays valid."""
    write_image("data/a.png" if Path("data").mkdir() is None else "", np.full((16, 16), level))
    options = ["--preset=inpainting", "--ratio=1", "--method=pinv"]
    [result] = results(capsys, "reconstruct", "data", *options)["results"]
    assert result["psnr"] is None and result["psnr_reason"].startswith("infinite")
    [result] = results(capsys, "eval", "data", *options)["results"]
    assert result["psnr"] is None and result["psnr_reason"].startswith("infinite")
