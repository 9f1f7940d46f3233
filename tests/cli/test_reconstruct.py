"""``idm reconstruct``: from pictures or measurement files to pictures, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import tifffile
import torch

from idmcli import solvers
from idmcli.cli import main
from idmcli.io import png
from idmcli.io.images import read_image, write_image
from idmcli.measuring import Measurement, Provenance, load_measurement, to_batch
from idmcli.metrics import psnr
from idmcli.models.checkpoints import save_weights
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.operators import MRI, Blur
from idmcli.tasks.mri import coil_maps

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("folder")
SHORT = {
    **{
        name: ["--set", "solver.steps=4"]
        for name in ("daps", "ddnm", "ddrm", "diffpir", "dps", "gdp", "pigdm", "reddiff", "sr3")
    },
    **{name: ["--set", "solver.iterations=4"] for name in ("gradient", "vamp", "tv", "hqs")},
}


@pytest.fixture
def camera() -> Path:
    """64 x 64 pixels of a photograph."""
    write_image("camera.png", skimage.data.camera()[128:256:2, 128:256:2] / 255)
    return Path("camera.png")


@pytest.fixture
def weights() -> str:
    """An untrained sampler for any operator."""
    torch.manual_seed(0)
    unet = UNetConfig(channels=(8, 16), blocks=(1, 1), steps=2)
    save_weights(Path("idm.safetensors"), InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet))), training={})
    return "idm.safetensors"


def reconstruct(capsys: Capture, *arguments: str | Path) -> dict[str, Any]:
    """The one result of a command that succeeds."""
    assert main(["reconstruct", *map(str, arguments), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["error"] is None
    (result,) = document["results"]
    assert isinstance(result, dict)
    return result


def failed(capsys: Capture, *arguments: str | Path) -> str:
    """The error lines of a command that ends with 2."""
    assert main(["reconstruct", *map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and "internal" not in err
    return err


def written(folder: str = "reconstructions") -> list[str]:
    """The files in a folder; none where there is no folder."""
    return sorted(path.name for path in Path(folder).glob("*"))


def test_a_picture_is_measured_reconstructed_and_scored(camera: Path, capsys: Capture) -> None:
    result = reconstruct(capsys, camera, "--ratio", "0.4")
    assert (result["method"], result["kind"]) == ("vamp", "cs")
    assert result["ratio"] == pytest.approx(0.4, abs=0.001)
    truth, found = (to_batch(read_image(path)) for path in (camera, result["output"]))
    assert result["psnr"] == pytest.approx(float(psnr(found, truth)), abs=0.05)  # but for the rounding to 8 bits
    assert result["psnr"] > 24 and 0.6 < result["ssim"] < 1
    assert written() == ["camera.png"]


NOT_FOR_CS = ("csnet-plus", "fbp", "psld", "resample", "rk-ccsnet", "sr3")


@pytest.mark.parametrize("method", [name for name in solvers.names() if name not in NOT_FOR_CS])
def test_every_method(method: str, camera: Path, weights: str, capsys: Capture) -> None:
    more = ["--weights", weights] if method == "idm" else SHORT.get(method, [])
    result = reconstruct(capsys, camera, "--method", method, *more)
    assert result["method"] == method and math.isfinite(result["psnr"])


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        ("inpainting", ("tv", "ddnm", "idm")),
        ("mri", ("tikhonov", "ddnm", "idm")),
        ("ct", ("fbp", "tikhonov", "pinv", "diffpir", "idm")),
        ("deblur", ("tv", "diffpir", "idm")),
        ("sr", ("pinv", "ddrm", "sr3", "idm")),
        ("hdr", ("gradient",)),
        ("nonlinear_deblur", ("gradient",)),
    ],
)
def test_the_other_tasks(kind: str, methods: tuple[str, ...], weights: str, capsys: Capture) -> None:
    write_image("small.png", skimage.data.camera()[128:160, 128:160] / 255)
    task = ["--set", f"task.kind={kind}", *(["--set", "operator.views=12"] if kind == "ct" else [])]
    for method in methods:
        more = ["--weights", weights] if method == "idm" else SHORT.get(method, [])
        result = reconstruct(capsys, "small.png", *task, "--method", method, *more, "--out", method)
        assert (result["kind"], result["method"]) == (kind, method)


def test_a_measurement_file_gives_the_same_bytes_in_another_process(camera: Path, capsys: Capture) -> None:
    measuring, methods = ["--ratio", "0.2", "--noise", "0.03", "--seed", "4"], ("vamp", "ddnm")
    commands = []
    for method in methods:
        how = ["--method", method, *SHORT[method], "--out", method]
        reconstruct(capsys, camera, *measuring, *how)
        commands.append(" ".join(["reconstruct", "other.safetensors", *how, "--quiet"]))
    assert main(["sense", str(camera), *measuring]) == 0
    Path("measurements/camera.safetensors").rename("other.safetensors")  # no seed follows from a file's name
    camera.unlink()
    script = "import sys; from idmcli.cli import main; sys.exit(max(main(line.split()) for line in sys.argv[1:]))"
    command = [sys.executable, "-c", script, *commands]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PSNR" not in done.stdout
    for method in methods:
        assert Path(method, "other.png").read_bytes() == Path(method, "camera.png").read_bytes()


def test_complex_images_by_coils_are_reconstructed_with_the_shipped_prior(camera: Path, capsys: Capture) -> None:
    magnitude = torch.from_numpy(read_image(camera).pixels)[None, None]
    x = torch.polar(magnitude, torch.linspace(0, 2, 64).expand(1, 1, 64, 64).contiguous())
    lines = {"type": "equispaced", "acceleration": 4, "centre_fraction": 0.08}
    operator = MRI((1, 64, 64), lines, complex_image=True, sensitivity=coil_maps(4, (64, 64)))
    made = Provenance("idm sense x.png", "x.png", "0" * 64)
    Measurement(operator, operator.A(x)[0], provenance=made).save("x.safetensors")
    error = {}
    for method in (None, "pinv"):
        chosen = [] if method is None else ["--method", method]
        result = reconstruct(capsys, "x.safetensors", *chosen, "--format", "npz", "--out", method or "default")
        (name,) = (archive := np.load(result["output"])).files[:1]
        error[result["method"]] = np.abs(archive[name].squeeze() - x.squeeze().numpy()).std()
    assert error["hqs"] < error["pinv"] / 2


def test_colours_sixteen_bits_and_odd_sizes(capsys: Capture) -> None:
    write_image("astronaut.png", skimage.data.astronaut()[60:101, 200:250] / 255, 16)
    result = reconstruct(capsys, "astronaut.png", "--ratio", "0.5")
    image = read_image(result["output"])
    assert image.pixels.shape == (41, 50, 3) and image.bits == 16
    assert np.ptp(image.pixels, axis=2).max() > 0.1
    grey = reconstruct(capsys, "astronaut.png", "--colour", "grey", "--out", "grey")
    assert read_image(grey["output"]).pixels.shape == (41, 50)


def test_the_panel(camera: Path, capsys: Capture) -> None:
    result = reconstruct(capsys, camera, "--method", "tikhonov", "--compare")
    assert written() == ["camera.png", "camera_compare.png"]
    assert result["panel"].endswith("camera_compare.png")
    wide = read_image(result["panel"]).pixels.shape[1]
    assert wide >= 4 * 64
    assert main(["sense", str(camera)]) == 0
    capsys.readouterr()
    result = reconstruct(capsys, "measurements/camera.safetensors", "--method", "tikhonov", "--compare", "--out", "b")
    assert 2 * 64 <= read_image(result["panel"]).pixels.shape[1] < wide


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("hdr", ["--method", "reddiff", "--set", "solver.steps=1"]),
        ("nonlinear-deblur", ["--method", "gradient", "--set", "solver.iterations=2", "--set", "operator.size=9"]),
    ],
)
def test_the_panel_of_what_is_not_linear(camera: Path, capsys: Capture, preset: str, options: list[str]) -> None:
    """It was computed, and then failed: "pinv needs a linear operator"."""
    result = reconstruct(capsys, camera, "--preset", preset, "--compare", *options)
    assert written() == ["camera.png", "camera_compare.png"]
    sheet = read_image(result["panel"]).pixels
    assert sheet.ndim == 3 and sheet.shape[1] >= 4 * 64


def test_the_panel_shows_the_blurred_picture(camera: Path, capsys: Capture) -> None:
    """A+ y of a blur is bright noise."""
    options = ["--preset", "deblur", "--method", "tikhonov", "--noise", "0", "--set", "operator.size=9"]
    sheet = read_image(reconstruct(capsys, camera, "--compare", *options)["panel"]).pixels[..., 0]
    blurred = Blur((1, 64, 64), {"type": "gaussian", "size": 9, "std": 3.0}).A(to_batch(read_image(camera)))
    expected = np.rint(255 * blurred[0, 0].numpy()) / 255
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (64, 64))
    assert np.isclose(windows, expected, atol=0.005).all(axis=(2, 3)).any()


def test_twelve_bits_in_a_picture_of_sixteen(capsys: Capture) -> None:
    """PSNR counts by the white that is stated, and results have the samples of the picture."""
    levels = skimage.data.camera()[128:192:2, 128:192:2].astype(np.uint16) * 16
    Path("twelve.png").write_bytes(png.encode16(levels))
    Path("sixteen.png").write_bytes(png.encode16(levels * 16))
    method = ["--method", "tikhonov", "--ratio", "0.5"]
    assert main(["reconstruct", "twelve.png", *method]) == 0
    out, err = capsys.readouterr()
    assert re.search(
        r"warning: 'twelve.png': it uses 6\.\d % of its range .* if its white is 4095, say --white 4095", err
    )
    assert "dB (peak 65535)" in out
    assert main(["reconstruct", "twelve.png", "--white", "4095", *method, "--overwrite"]) == 0
    out, err = capsys.readouterr()
    assert "dB (peak 4095)" in out and err == ""
    found = read_image("reconstructions/twelve.png")
    assert found.scale.white == 4095 and found.notes == ()
    assert main(["sense", "twelve.png", "--white", "4095", "--ratio", "0.5"]) == 0
    stated = load_measurement("measurements/twelve.safetensors")
    assert stated.scale.white == 4095 and "--white=4095" in str(stated.provenance)
    capsys.readouterr()
    again = reconstruct(capsys, "measurements/twelve.safetensors", "--method", "tikhonov", "--out", "b")
    assert np.array_equal(read_image(again["output"]).pixels, found.pixels)
    Path("s").mkdir()  # the permutation comes from the file's name
    Path("s/twelve.png").write_bytes(png.encode16(levels * 16))
    fine = reconstruct(capsys, "s/twelve.png", "--white", "65520", "--out", "c", *method)
    assert np.abs(read_image(fine["output"]).pixels - found.pixels).max() < 1 / 4095
    assert "a measurement file says how it was made" in failed(
        capsys, "measurements/twelve.safetensors", "--white", "9", "--out", "d"
    )


def test_signed_integers_are_read_in_their_unit(capsys: Capture) -> None:
    """The issue: refused with the hint to save 16 bits, of which it has 16."""
    values = (skimage.data.camera()[::16, ::16].astype(np.int16) - 128) * 8
    for name, samples in (("i.tif", values), ("f.tif", values.astype(np.float32))):
        tifffile.imwrite(name, samples)
    options = ["--preset", "ct", "--method", "fbp", "--scale=-1024,3072,HU", "--format", "tif"]
    assert main(["reconstruct", "i.tif", "f.tif", *options]) == 0
    assert "dB (peak 4096 HU)" in capsys.readouterr().out
    first, second = (tifffile.imread(f"reconstructions/{name}") for name in ("i.tif", "f.tif"))
    assert np.array_equal(first, second) and np.abs(first - values).mean() < 100


def test_kernels_saved_in_colour(camera: Path, capsys: Capture) -> None:
    kernel = np.zeros((5, 5), np.float32)
    kernel[2], kernel[1, 1] = (0.2, 0.4, 1, 0.4, 0.2), 0.6
    write_image("grey.png", kernel)
    write_image("rgb.png", np.stack([kernel] * 3, axis=2))
    write_image("red.png", np.stack([kernel, 0 * kernel, 0 * kernel], axis=2))
    options = ["--preset", "deblur", "--method", "tikhonov", "--set", "operator.kernel=file"]
    grey, rgb = (
        reconstruct(capsys, camera, *options, "--set", f"operator.kernel_file={name}.png", "--out", name)["output"]
        for name in ("grey", "rgb")
    )
    assert np.array_equal(read_image(grey).pixels, read_image(rgb).pixels)
    assert "has colours" in failed(capsys, camera, *options, "--set", "operator.kernel_file=red.png", "--out", "red")


def test_a_folder_of_masks(capsys: Capture) -> None:
    Path("masks").mkdir()
    for k, name in enumerate(("a", "b", "c")):
        write_image(f"{name}.png", np.full((16, 16), 0.5))
        mask = np.ones((16, 16))
        mask[k : k + 4], mask[k + 4] = 0, 0.4  # a soft edge
        if name != "c":
            write_image(f"masks/{name}.png", mask)
    options = ["--preset", "inpainting", "--method", "pinv"]
    options += ["--set", "operator.mask=file", "--set", "operator.mask_file=masks"]
    assert main(["reconstruct", "a.png", "b.png", "c.png", *options]) == 2
    err = capsys.readouterr().err
    assert "'c.png'" in err and "no mask for 'c.png'" in err
    assert err.count("has grey levels in 6.2 % of its pixels: those at half of white or above are kept") == 2
    for k, name in enumerate(("a", "b")):
        lost = (read_image(f"reconstructions/{name}.png").pixels == 0).all(axis=1)
        assert np.flatnonzero(lost).tolist() == list(range(k, k + 5))


@pytest.mark.parametrize("command", ["sense", "reconstruct"])
def test_more_than_the_ratio_is_said_with_a_block_that_comes_near(capsys: Capture, command: str) -> None:
    write_image("a.png", np.random.default_rng(0).random((30, 40)))
    method = ["--method", "pinv"] if command == "reconstruct" else []
    assert main([command, "a.png", "--ratio", "0.3", *method]) == 0
    assert capsys.readouterr().err == (
        "warning: 'a.png': 51.3 % measurements per pixel, not 30 %, because the picture is padded; "
        "with --set operator.block=10 they would be 30.0 %\n"
    )
    assert main([command, "a.png", "--ratio", "0.3", "--set", "operator.block=10", "--overwrite", *method]) == 0
    assert capsys.readouterr().err == ""


def test_one_bad_file_in_a_folder(capsys: Capture) -> None:
    Path("many").mkdir()
    for name in ("a", "c"):
        write_image(f"many/{name}.png", np.random.default_rng(0).random((32, 32)))
    Path("many/b.png").write_bytes(b"no picture")
    assert main(["reconstruct", "many", "--method", "tikhonov", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert ["error" in result for result in document["results"]] == [False, True, False]
    assert document["error"]["message"] == "1 of 3 files failed"
    assert written() == ["a.png", "c.png"]


def test_a_wrong_method_or_weights_is_said_once(camera: Path, weights: str, capsys: Capture) -> None:
    write_image("other.png", np.zeros((32, 32)))
    for arguments, message in (
        (["--method", "magic"], "--method 'magic' is unknown"),
        (["--method", "tv", "--weights", weights], "--method tv takes no weights"),
        (
            ["--method", "vamp", "--weights", weights],
            "--method vamp needs a prior, and 'idm.safetensors' is a network trained end to end",
        ),
    ):
        err = failed(capsys, camera, "other.png", *arguments)
        assert err.count("error:") == 1 and message in err


def test_weights_that_cannot_be_read(camera: Path, capsys: Capture) -> None:
    assert "there is no weights file 'none.safetensors'" in failed(capsys, camera, "--weights", "none.safetensors")
    Path("torn.safetensors").write_bytes(b"\x08")
    assert "not a readable weights file" in failed(capsys, camera, "--weights", "torn.safetensors")


def test_a_method_that_cannot_handle_the_operator(camera: Path, capsys: Capture) -> None:
    err = failed(capsys, camera, "--preset", "ct", "--method", "vamp")
    assert "method vamp needs" in err and "which this ct operator is not" in err
    can = "daps, ddnm, diffpir, dps, fbp, gdp, gradient, hqs, pigdm, pinv, psld, reddiff, resample, tikhonov, tv"
    assert f"hint: these can: {can}" in err
    assert written() == []


def test_the_noise_of_measurements_that_say_nothing_of_it(camera: Path, capsys: Capture) -> None:
    """Of another instrument, for example; the best method and what it does may depend on it."""
    for name, noise in (("clean", "0"), ("noisy", "0.1")):
        assert main(["sense", str(camera), "--preset", "deblur", "--noise", noise, "--out", name]) == 0
    capsys.readouterr()
    clean, told = (
        reconstruct(capsys, "clean/camera.safetensors", "--method", "tikhonov", "--out", n, "--noise", n)
        for n in ("0", "0.1")
    )
    assert "noise" not in clean and told["noise"] == 0.1
    assert Path("0/camera.png").read_bytes() != Path("0.1/camera.png").read_bytes()
    err = failed(capsys, "noisy/camera.safetensors", "--noise", "0.2")
    assert "states a noise of 0.1 itself\nhint: leave out --noise" in err


def test_what_a_measurement_file_says_cannot_be_changed(camera: Path, capsys: Capture) -> None:
    assert main(["sense", str(camera), "--ratio", "0.1"]) == 0
    file = "measurements/camera.safetensors"
    for option, value in (("--ratio", "0.5"), ("--colour", "grey")):
        err = failed(capsys, file, option, value)
        assert f"{option} is for pictures: a measurement file says how it was made" in err
    assert "--set operator.block is for pictures" in failed(capsys, file, "--set", "operator.block=8")
    assert "holds measurements of 'cs', not of sr\nhint: leave out preset sr" in failed(capsys, file, "--preset", "sr")
    reconstruct(capsys, file, "--preset", "cs-tiny", "--method", "pinv")


def test_a_ratio_where_none_is_possible(camera: Path, capsys: Capture) -> None:
    err = failed(capsys, camera, "--preset", "ct", "--ratio", "0.5")
    assert "--ratio: operator.ratio is for task cs, hadamard, inpainting or mri, and the task is ct" in err
    assert "operator.ratio" in failed(capsys, camera, "--ratio", "1.5")


def test_nothing_is_overwritten_unless_asked_for(camera: Path, capsys: Capture) -> None:
    reconstruct(capsys, camera, "--method", "pinv")
    before = Path("reconstructions/camera.png").read_bytes()
    assert "exists already" in failed(capsys, camera, "--method", "tikhonov")
    assert Path("reconstructions/camera.png").read_bytes() == before
    reconstruct(capsys, camera, "--method", "tikhonov", "--overwrite")
    assert Path("reconstructions/camera.png").read_bytes() != before


def test_collisions_are_found_before_any_work(camera: Path, capsys: Capture) -> None:
    Path("again").mkdir()
    write_image("again/camera.png", np.zeros((16, 16)))
    assert "would both be written to" in failed(capsys, camera, "again/camera.png")
    assert "is an input" in failed(capsys, camera, "--out", ".", "--overwrite")
    assert not Path("reconstructions").exists()


def test_samples_have_a_mean_and_a_deviation(camera: Path, capsys: Capture) -> None:
    ddnm = ["--preset", "inpainting", "--method", "ddnm", "--set", "solver.steps=4"]
    result = reconstruct(capsys, camera, *ddnm, "--samples", "3")
    assert written() == ["camera.png", "camera_mean.png", "camera_std.png"]
    assert result["samples"] == 3 and result["mean_psnr"] > result["psnr"]
    truth, mean = (to_batch(read_image(path)) for path in (camera, result["mean"]))
    assert result["mean_psnr"] == pytest.approx(float(psnr(mean, truth)), abs=0.1)
    spread = read_image(result["std"]).pixels
    assert read_image(result["std"]).bits == 16
    known = spread < 1e-3  # where a pixel was measured all samples agree
    assert 0.25 < known.mean() < 0.35 and spread[~known].mean() > 0.05

    first = Path("reconstructions/camera.png").read_bytes()
    reconstruct(capsys, camera, *ddnm, "--overwrite")
    assert Path("reconstructions/camera.png").read_bytes() == first  # the first sample is what one alone is


def test_what_a_blind_method_finds_is_said(camera: Path, capsys: Capture) -> None:
    blind = ("--preset", "hdr", "--method", "gdp", "--set", "solver.steps=2")
    assert "unknown" not in reconstruct(capsys, camera, *blind)
    guess = ("--set", "solver.blind=true", "--set", "solver.guess=3", "--overwrite")
    assert 1 < reconstruct(capsys, camera, *blind, *guess)["unknown"]["gain"] < 4
    assert main(["reconstruct", str(camera), *blind, *guess]) == 0
    assert re.search(r"method gdp, misfit .*, gain found \d\.\d+, PSNR", capsys.readouterr().out)


def test_samples_are_of_methods_that_sample(camera: Path, capsys: Capture) -> None:
    write_image("other.png", np.zeros((32, 32)))
    err = failed(capsys, camera, "other.png", "--method", "tikhonov", "--samples", "2")
    able = "daps, ddnm, ddrm, diffpir, dps, gdp, pigdm"
    hint = f"leave out --samples, or choose a --method that does: {able}"
    assert err == f"error: --samples 2: method tikhonov does not sample\nhint: {hint}\n"
    assert written() == []


def test_the_seed_of_the_solver_changes_samples_and_not_the_measurement(camera: Path, capsys: Capture) -> None:
    for seed in (1, 2):
        sampling = ["--method", "ddnm", "--set", "solver.steps=3", "--set", f"solver.seed={seed}"]
        reconstruct(capsys, camera, *sampling, "--out", f"ddnm{seed}")
        reconstruct(capsys, camera, "--method", "pinv", "--set", f"solver.seed={seed}", "--out", f"pinv{seed}")
    assert Path("ddnm1/camera.png").read_bytes() != Path("ddnm2/camera.png").read_bytes()
    assert Path("pinv1/camera.png").read_bytes() == Path("pinv2/camera.png").read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["solver.steps=0"], "solver.steps = 0: expected greater than or equal to 1"),
        (["solver.stpes=3"], "method ddnm has no option solver.stpes; it has steps, eta"),
    ],
)
def test_options_of_a_method_are_checked_before_any_work(
    settings: list[str], message: str, camera: Path, capsys: Capture
) -> None:
    err = failed(capsys, camera, "--method", "ddnm", *(f"--set={setting}" for setting in settings))
    assert message in err and not Path("reconstructions").exists()


def test_a_file_of_a_configuration_names_method_and_options(camera: Path, capsys: Capture) -> None:
    Path("mine.toml").write_text('[solver]\nmethod = "ddnm"\nsteps = 3\n')
    assert reconstruct(capsys, camera, "--config", "mine.toml")["method"] == "ddnm"
    err = failed(capsys, camera, "--config", "mine.toml", "--method", "tikhonov", "--overwrite")
    assert "method tikhonov has no option solver.steps" in err


def test_shipped_networks_are_for_what_they_were_trained_on(camera: Path, capsys: Capture) -> None:
    err = failed(capsys, camera, "--method", "idm", "--set", "operator.permutation=none")
    assert "is made for other measurements:" in err and "permutation  weights: global, here: none" in err
    assert "no weights for --method idm on task ct come with idm" in failed(
        capsys, camera, "--method", "idm", "--preset", "ct"
    )


def test_nothing_to_reconstruct(capsys: Capture) -> None:
    assert "nothing to reconstruct" in failed(capsys)
    assert "none.png" in failed(capsys, "none.png")


def test_a_damaged_measurement_file(camera: Path, capsys: Capture) -> None:
    assert main(["sense", str(camera)]) == 0
    path = Path("measurements/camera.safetensors")
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    assert "does not match its checksum" in failed(capsys, path)
    path.write_bytes(damaged[:50])
    assert "not a readable measurement file" in failed(capsys, path)


def test_a_weights_file_is_no_measurement(weights: str, capsys: Capture) -> None:
    assert "is a safetensors file but holds no measurements" in failed(capsys, weights)


def test_the_example_needs_no_files(capsys: Capture) -> None:
    result = reconstruct(capsys, "--example", "--method", "tikhonov")
    assert result["psnr"] > 20


def test_the_configuration_is_printed_without_any_work(capsys: Capture) -> None:
    assert main(["reconstruct", "--preset", "mri", "--print-config"]) == 0
    assert 'kind = "mri"' in capsys.readouterr().out
    assert not Path("reconstructions").exists()
