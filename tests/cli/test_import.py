"""``idm import``, and what `idm reconstruct` makes of data that nobody here simulated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import idmcli
from idmcli.cli import main
from idmcli.io.images import read_image, write_image
from tests.small import camera

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("folder")
PHOTO = camera(32, 8)[0, 0].numpy()


@pytest.fixture
def damaged() -> Path:
    """A photograph with lost pixels, and the mask of those that are known."""
    known = np.random.default_rng(0).random(PHOTO.shape) < 0.6
    write_image("damaged.png", np.where(known, PHOTO, 0.0))
    write_image("known.png", known.astype(float))
    return Path("damaged.png")


@pytest.fixture
def numbers() -> Path:
    """Numbers that a matrix without any scaling measured, and the matrix."""
    phi = 7 * np.random.default_rng(1).standard_normal((400, PHOTO.size))
    np.save("phi.npy", phi)
    np.save("y.npy", phi @ PHOTO.ravel())
    return Path("y.npy")


def failed(capsys: Capture, *arguments: str) -> str:
    """The error of a command that ends with 2 and leaves no file behind."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err and not list(Path("measurements").glob("*"))
    return err


def test_a_damaged_picture_is_the_measurement(damaged: Path, capsys: Capture) -> None:
    assert main(["import", "damaged.png", "--mask", "known.png"]) == 0
    out = capsys.readouterr().out
    assert "damaged.png -> measurements/damaged.safetensors: inpainting" in out and "assumed: " in out
    m = idmcli.load("measurements/damaged.safetensors")
    assert m.truth is None and m.gain == 1 and m.provenance.notes
    known = read_image("known.png").pixels > 0.5
    assert np.array_equal(m.operator.AT(m.y[None])[0, 0].numpy(), read_image(damaged).pixels * known)
    assert main(["reconstruct", "measurements/damaged.safetensors", "--method", "tv"]) == 0
    assert "PSNR" not in capsys.readouterr().out
    assert idmcli.psnr(read_image("reconstructions/damaged.png").pixels, PHOTO) > 20


def test_a_damaged_picture_of_12_bits_is_read_with_its_white(capsys: Capture) -> None:
    stored, known = np.rint(4095 * 0.7 * PHOTO), np.ones_like(PHOTO)
    known[4:6] = 0
    write_image("twelve.png", stored / 65535, 16)
    write_image("known.png", known)
    assert main(["import", "twelve.png", "--mask", "known.png"]) == 0
    assert "if its white is 4095, say --white 4095" in capsys.readouterr().out
    assert main(["import", "twelve.png", "--mask", "known.png", "--white", "4095", "--out", "twelve"]) == 0
    assert "if its white" not in capsys.readouterr().out
    m = idmcli.load("twelve/twelve.safetensors")
    np.testing.assert_allclose(m.operator.AT(m.y[None])[0, 0], known * stored / 4095, atol=1e-6)
    assert m.scale.white == 4095
    assert main(["import", "twelve.png", "--mask", "known.png", "--scale=-1024,3072,HU", "--out", "hu"]) == 0
    assert "65535 stands for 3072 HU; if another sample does, say --white SAMPLE" in capsys.readouterr().out
    assert main(["import", "twelve.png", "--mask", "known.png", "--white", "none", "--out", "no"]) == 2
    assert "--white 'none' is no sample of a picture" in capsys.readouterr().err


def test_each_picture_of_a_folder_has_its_mask(damaged: Path, capsys: Capture) -> None:
    for folder in ("pictures", "masks"):
        Path(folder).mkdir()
    soft = np.ones_like(PHOTO)
    soft[3:5] = 0
    soft[5] = 0.4
    for name, mask in (("a.png", read_image("known.png").pixels), ("b.png", soft)):
        write_image(f"pictures/{name}", PHOTO)
        write_image(f"masks/{name}", mask)
    assert main(["import", "pictures", "--mask", "masks"]) == 0
    assert "grey levels in 3.1 % of its pixels: those at half of white or above are kept" in capsys.readouterr().out
    for name, mask in (("a", read_image("known.png").pixels), ("b", soft)):
        m = idmcli.load(f"measurements/{name}.safetensors")
        assert np.array_equal(m.operator.AT(m.y[None])[0, 0].numpy() > 0, (PHOTO * (mask > 0.5)) > 0)
    Path("masks/b.png").unlink()
    assert main(["import", "pictures", "--mask", "masks", "--out", "again"]) == 2
    assert "each picture needs a mask of its name, here b.png" in capsys.readouterr().err


def test_a_mask_that_is_white_where_pixels_are_lost(capsys: Capture) -> None:
    lost = np.zeros(PHOTO.shape)
    lost[10:12] = 1
    write_image("damaged.png", np.where(lost, 1.0, PHOTO))
    write_image("scratches.png", lost)
    said = failed(capsys, "import", "damaged.png", "--mask", "scratches.png")
    assert "all known pixels have the same value: 6.2 % of the pixels, where scratches.png is white" in said
    assert "invert it if its white pixels are lost" in said


def test_a_blurred_picture_is_the_measurement(capsys: Capture) -> None:
    kernel = np.ones((3, 5))
    write_image("kernel.png", kernel)
    operator = idmcli.operators.Blur((1, *PHOTO.shape), kernel / kernel.sum())
    blurred = idmcli.sense(PHOTO, operator).y[0].numpy()
    write_image("blurred.png", blurred, 16)
    assert main(["import", "blurred.png", "--kernel", "kernel.png", "--noise", "0.001"]) == 0
    m = idmcli.load("measurements/blurred.safetensors")
    assert m.noise == 0.001
    assert idmcli.psnr(idmcli.reconstruct(m, method="tv"), PHOTO) > idmcli.psnr(blurred, PHOTO) + 3


def test_a_picture_without_a_word_of_what_was_measured(damaged: Path, capsys: Capture) -> None:
    err = failed(capsys, "import", "damaged.png")
    assert "does not say what was measured" in err and "--mask" in err and "--kernel" in err
    assert "give one of them" in failed(capsys, "import", "damaged.png", "--mask", "known.png", "--kernel", "known.png")
    assert "--matrix is not for" in failed(
        capsys, "import", "damaged.png", "--mask", "known.png", "--matrix", "phi.npy"
    )


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_numbers_and_their_matrix(numbers: Path, suffix: str) -> None:
    phi = np.load("phi.npy")
    if suffix == ".npz":
        scipy.sparse.save_npz("phi.npz", scipy.sparse.csr_matrix(phi))
    elif suffix == ".mat":
        scipy.io.savemat("phi.mat", {"phi": phi})
    assert main(["import", "y.npy", "--matrix", f"phi{suffix}", "--shape", "32,32"]) == 0
    m = idmcli.load("measurements/y.safetensors")
    assert m.gain is None and m.truth is None
    np.testing.assert_allclose(m.y.numpy(), np.load("y.npy"), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(m.operator.A(m.operator.AT(m.y[None])).shape, (1, 400))


def test_reconstruct_imports_and_gives_the_bytes_of_the_python_front(numbers: Path) -> None:
    command = ["reconstruct", "y.npy", "--matrix", "phi.npy", "--shape", "32,32", "--method", "tv"]
    assert main([*command, "--format", "npz"]) == 0
    with np.load("reconstructions/y.npz") as archive:
        by_command = archive["x"]
    operator = idmcli.MatrixOperator(np.load("phi.npy"), image_shape=(1, 32, 32))
    by_function = idmcli.reconstruct(np.load("y.npy"), operator, method="tv")
    np.testing.assert_array_equal(by_command, by_function)
    assert idmcli.psnr(by_function, PHOTO) > 21


def test_numbers_without_their_matrix_or_shape(numbers: Path, capsys: Capture) -> None:
    assert "--matrix" in failed(capsys, "import", "y.npy")
    assert "give it: --shape H,W" in failed(capsys, "import", "y.npy", "--matrix", "phi.npy")
    assert "has 1024 columns" in failed(capsys, "import", "y.npy", "--matrix", "phi.npy", "--shape", "16,16")
    assert "does not exist" in failed(capsys, "import", "y.npy", "--matrix", "no.npy", "--shape", "32,32")


def test_sense_measures_by_a_matrix(numbers: Path) -> None:
    write_image("photo.png", PHOTO, 16)
    assert main(["sense", "photo.png", "--matrix", "phi.npy"]) == 0
    m = idmcli.load("measurements/photo.safetensors")
    photo = read_image("photo.png").pixels
    np.testing.assert_allclose(m.y.numpy(), np.load("phi.npy") @ photo.ravel(), rtol=1e-4, atol=1e-3)


def test_every_array_of_a_file_is_an_item(numbers: Path, capsys: Capture) -> None:
    np.savez("both.npz", first=np.load("y.npy"), second=2 * np.load("y.npy"))
    command = ["import", "both.npz", "--matrix", "phi.npy", "--shape", "32,32"]
    assert main([*command, "--dry-run"]) == 0
    assert not Path("measurements").exists()
    assert main([*command, "--json"]) == 0
    results = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    assert [Path(result["output"]).name for result in results] == ["both_1.safetensors", "both_2.safetensors"]
    one, two = (idmcli.load(result["output"]).y for result in results)
    np.testing.assert_allclose(two, 2 * one)
    assert main([*command, "--skip-existing"]) == 0
    assert main(["import", "both.npz#2", *command[2:], "--out", "second"]) == 0
    assert [path.name for path in Path("second").iterdir()] == ["both_2.safetensors"]
