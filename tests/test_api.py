"""The Python front: arrays in, arrays of the same kind out, and the same results as the commands."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse
import torch
from torch import Tensor

import idmcli as idm
from idmcli import tasks
from idmcli.cli import main
from idmcli.io.images import read_image, write_image
from idmcli.operators import LinearOperator
from tests.small import camera

IMAGE = camera(32)[0, 0].numpy()
COLOUR = np.stack([IMAGE, IMAGE[::-1], IMAGE.T], 2)


def test_importing_the_package_is_light_and_everything_public_is_there() -> None:
    code = "import sys, idmcli; print(sorted(set(sys.modules) & {'torch', 'numpy', 'typer', 'diffusers'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert sorted(idm.__all__) == sorted(set(idm.__all__)) and set(idm.__all__) <= set(dir(idm))
    for name in idm.__all__:
        assert getattr(idm, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = idm.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("image", [IMAGE, COLOUR, torch.from_numpy(IMAGE), torch.from_numpy(COLOUR)])
def test_the_result_is_the_kind_of_array_that_was_measured(image: Any) -> None:
    m = idm.sense(image, task="inpainting", ratio=0.6, seed=1)
    x = idm.reconstruct(m, method="tv")
    assert type(x) is type(image) and x.shape == image.shape and x.dtype == image.dtype
    assert idm.psnr(x, image) > 20 and 0.5 < idm.ssim(x, image) <= 1
    again = idm.reconstruct(m.y if isinstance(image, Tensor) else m.y.numpy(), m.operator, method="tv", gain=1.0)
    np.testing.assert_array_equal(again, x)


def test_a_batch_gives_a_batch() -> None:
    m = idm.sense(IMAGE, task="inpainting", ratio=0.6)
    y = np.stack([m.y.numpy(), m.y.numpy() / 2])
    x = idm.reconstruct(y, m.operator, method="tv", gain=1.0)
    assert x.shape == (2, *IMAGE.shape) and abs(x[0] / 2 - x[1]).max() < 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_have_their_largest_value_as_white(dtype: Any) -> None:
    largest = np.iinfo(dtype).max
    m = idm.sense((IMAGE * largest).astype(dtype), task="inpainting", ratio=1.0)
    assert m.truth is not None and float((m.truth[0] - torch.from_numpy(IMAGE)).abs().max()) <= 1 / largest
    assert m.bits == (8 if dtype is np.uint8 else 16)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE + 1, r"values from 1\.\d+ to 1\.\d+, outside 0..1"),
        (IMAGE * np.nan, "NaN or infinity"),
        (IMAGE[None], r"has the shape \(1, 32, 32\)"),
        (IMAGE[:0], "has no pixels"),
        ((IMAGE * 100).astype(int), r"values from \d+ to \d+, outside 0..1"),
    ],
)
def test_images_that_cannot_be_measured(image: Any, message: str) -> None:
    with pytest.raises(idm.InputError, match=message) as caught:
        idm.sense(image)
    assert caught.value.hint


@pytest.mark.filterwarnings("ignore::idmcli.IdmWarning")  # so few steps do not meet the measurements
def test_options_of_the_task_and_of_the_method_are_keywords() -> None:
    m = idm.sense(IMAGE, task="ct", views=9, noise=0.01, seed=3)
    assert m.operator.measurement_shape[1] == 9 and m.noise == 0.01
    steps: list[tuple[int, int]] = []
    idm.reconstruct(m, method="hqs", iterations=3, progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(idm.ConfigError, match="unknown key operator.view"):
        idm.sense(IMAGE, task="ct", view=20)
    with pytest.raises(idm.ConfigError, match="has no option solver.iteration"):
        idm.reconstruct(m, method="hqs", iteration=3)


@pytest.mark.filterwarnings("ignore::idmcli.IdmWarning")
def test_files_and_folders_give_the_bytes_of_the_commands(folder: Path) -> None:
    """``idm reconstruct`` and ``idmcli.reconstruct`` are one."""
    (folder / "data").mkdir()
    write_image("data/photo.png", IMAGE)
    assert main(["sense", "data/photo.png", "--ratio", "0.4", "--seed", "2", "--noise", "0.01"]) == 0
    m = idm.sense("data/photo.png", ratio=0.4, seed=2, noise=0.01)
    loaded = idm.load("measurements/photo.safetensors")
    assert torch.equal(m.y, loaded.y) and m.spec == loaded.spec
    m.save("own.safetensors")
    assert torch.equal(idm.load("own.safetensors").y, m.y)
    for command, source in (
        (["data/photo.png", "--ratio", "0.4", "--seed", "2", "--noise", "0.01"], m),
        (["measurements/photo.safetensors"], "measurements/photo.safetensors"),
    ):
        for chosen in ([], ["--method", "ddnm", "--set", "solver.steps=3"]):
            assert main(["reconstruct", *command, *chosen, "--format", "npz", "--overwrite"]) == 0
            options = {"method": "ddnm", "steps": 3} if chosen else {}
            x = idm.reconstruct(source, **options)  # type: ignore[arg-type]
            assert np.load("reconstructions/photo.npz")["x"].tobytes() == x.tobytes()
    table = idm.evaluate("data", methods=["tv", "tikhonov"], ratio=[0.2, 0.4], limit=1)
    assert len(table.rows) == 4 and {row["method"] for row in table.rows} == {"tv", "tikhonov"}
    assert "| tikhonov" in str(table) and "photo.png" in table.save("scores")[0].read_text()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_an_operator_of_two_functions(noise: float) -> None:
    """Written with NumPy, and never differentiated by PyTorch."""
    operator = idm.LinearMap(
        lambda x: scipy.ndimage.gaussian_filter(x.numpy(), (0, 1, 1), mode="constant")[:, ::2],
        lambda y: scipy.ndimage.gaussian_filter(
            np.kron(y.numpy(), np.array([1, 0], np.float32)[:, None]), (0, 1, 1), mode="constant"
        ),
        image_shape=(1, 32, 32),
        measurement_shape=(1, 16, 32),
    )
    m = idm.sense(IMAGE, operator, noise=noise, seed=1)
    x = idm.reconstruct(m)
    assert idm.psnr(x, IMAGE) > idm.psnr(scipy.ndimage.zoom(m.y[0].numpy(), (2, 1), order=1), IMAGE) + 2
    with pytest.raises(idm.InputError, match="cannot be written to a file"):
        m.save("m.safetensors")


@pytest.mark.parametrize("scale", [1.0, 37.0])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_matrix_of_any_scaling(scale: float, sparse: bool) -> None:
    rng = np.random.default_rng(0)
    phi: Any = scale * rng.standard_normal((600, 1024))
    if sparse:
        phi = scipy.sparse.csr_array(phi * (rng.random(phi.shape) < 0.1))
    operator = idm.MatrixOperator(phi, image_shape=(1, 32, 32))
    y = phi @ IMAGE.ravel()
    x = idm.reconstruct(y, operator, gain=1.0)
    assert idm.psnr(x, IMAGE) > 23 and idm.fit(x, idm.Measurement(operator, torch.tensor(y).float())).misfit < 1e-3


def smooth(noisy: Tensor, sigma: Tensor) -> Tensor:
    mean = torch.nn.functional.avg_pool2d(noisy, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(noisy, mean, sigma / (sigma + 0.1))


@pytest.mark.filterwarnings("ignore::idmcli.IdmWarning")
def test_a_denoiser_of_ones_own() -> None:
    m = idm.sense(IMAGE, ratio=0.5, block=8)
    x = idm.reconstruct(m, prior=smooth, method="hqs", iterations=10)
    assert idm.psnr(x, IMAGE) > idm.psnr(idm.reconstruct(m, method="pinv"), IMAGE) + 3
    with pytest.raises(idm.InputError, match="neither a prior nor a function"):
        idm.reconstruct(m, prior=3)  # type: ignore[arg-type]
    with pytest.raises(idm.ConfigError, match="--method tv takes no prior"):
        idm.reconstruct(m, prior=smooth, method="tv")


def test_an_operator_without_a_task_has_defaults_of_its_own() -> None:
    class Rows(LinearOperator):
        image_shape = (1, 32, 32)
        measurement_shape = (1, 16, 32)

        def A(self, x: Tensor) -> Tensor:
            return x[:, :, ::2]

        def AT(self, y: Tensor) -> Tensor:
            return torch.stack([y, torch.zeros_like(y)], 3).reshape(len(y), 1, 32, 32)

    x = idm.reconstruct(Rows().A(camera(32))[0], Rows(), gain=1.0)
    assert isinstance(x, Tensor) and idm.psnr(x, camera(32)[0, 0]) > 22


def test_what_does_not_go_together() -> None:
    m = idm.sense(IMAGE)
    for call, message in (
        (lambda: idm.reconstruct(m, m.operator), "a measurement has its operator"),
        (lambda: idm.reconstruct(m.y.numpy()), "measured values need their operator"),
        (lambda: idm.reconstruct(m.y.numpy(), lambda x: x), "idmcli.LinearMap"),  # type: ignore[arg-type]
        (lambda: idm.reconstruct(m.y.numpy()[..., 1:], m.operator), "the measurements have shape"),
        (lambda: idm.reconstruct(m.y.numpy() * np.nan, m.operator), "NaN or infinity"),
        (lambda: idm.reconstruct(m.y.numpy() * 1j, m.operator), "the measurements are complex"),
        (lambda: idm.sense(IMAGE, m.operator, ratio=0.3), "an operator of your own has no options"),
        (lambda: idm.psnr(IMAGE, IMAGE[1:]), "have the shapes"),
        (lambda: idm.evaluate("nowhere"), "is not a folder"),
    ):
        with pytest.raises(idm.InputError) as caught:
            call()
        assert message in caught.value.message + caught.value.hint


@pytest.mark.parametrize("kind", [kind for kind in tasks.kinds() if kind not in ("matrix", "learned")])
@pytest.mark.parametrize("method", ["tv", "hqs", "tikhonov", "pinv", "ddnm", "gradient"])
def test_the_unit_of_the_measurements_is_no_matter(kind: str, method: str) -> None:
    m = idm.sense(IMAGE, kind, noise=0.01)
    if not isinstance(m.operator, LinearOperator):
        with pytest.raises(idm.InputError, match="is not linear"):
            idm.Measurement(m.operator, m.y, gain=2.0)
        return
    few = {"iterations": 5} if method in ("tv", "hqs", "gradient") else {"steps": 3} if method == "ddnm" else {}
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", idm.IdmWarning)  # so few iterations do not meet the measurements
        for unit in (1.0, 2.0**-12, 3000.0):
            for gain in (unit, None):
                y, noise = m.y * unit, m.noise * unit
                own = dict(noise=noise, gain=gain, method=method, seed=1)
                results.append(idm.reconstruct(y, m.operator, **own, **few) / unit)  # type: ignore[arg-type]
    of_one, exact, rounded = results[:2], results[2:4], results[4:]
    for one, other in zip(of_one, exact, strict=True):  # a power of two rounds nothing
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-6)
    for one, other in zip(of_one, rounded, strict=True):  # what rounding changes, a denoiser may enlarge
        torch.testing.assert_close(other, one, rtol=0, atol=0.1)
        assert float((other - one).square().mean()) < 1e-4


def test_what_is_wrong_with_measurements_is_said() -> None:
    m = idm.sense(read_image(Path(__file__).parent.parent / "idmcli/examples/camera.png").pixels[::8, ::8], task="ct")
    wrong = {
        "order": m.y.flip(1),
        "axis": m.y.roll(6, 2),
        "unit": m.y * 1e-3,
        "offset": m.y + 10,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        idm.reconstruct(m, method="tv")
    for name, y in wrong.items():
        with pytest.warns(idm.IdmWarning, match="check the order, centre, axis and unit"):
            idm.reconstruct(y, m.operator, gain=1.0, method="tv")
        assert name
    with pytest.warns(idm.IdmWarning, match="the stated noise is"):
        idm.reconstruct(m, method="tv", noise=100.0)


@pytest.mark.filterwarnings("ignore::idmcli.IdmWarning")
def test_training_from_python(folder: Path) -> None:
    (folder / "data").mkdir()
    for number in range(3):
        write_image(f"data/{number}.png", camera(48)[0, 0].numpy())
    tiny = {
        **{"model.channels": [8, 16], "model.blocks": [1, 1], "training.iterations": 2, "training.batch": 2},
        **{"training.patch": 16, "training.warmup": 1},
    }
    run = idm.train("data", "run", preset="prior-grey", settings=tiny)
    assert run.weights.is_file() and set(run.validation) == {"psnr_sigma_0.025", "psnr_sigma_0.1", "psnr_sigma_0.4"}
    more = idm.train("data", "run", resume=True, settings={"training.iterations": 3})
    assert more.weights == run.weights
    x = idm.reconstruct(idm.sense(IMAGE, block=8), prior=str(run.weights), method="hqs", iterations=2)
    assert x.shape == IMAGE.shape
    with pytest.raises(idm.InputError, match="nothing says what to train"):
        idm.train("data", "other")


def test_operators_take_numpy_arrays() -> None:
    mask, kernel = np.zeros((6, 8), bool), np.ones((3, 3))
    mask[::2] = True
    given = [
        idm.operators.Inpainting((1, 6, 8), mask),
        idm.operators.MRI((1, 6, 8), mask, sensitivity=np.full((2, 6, 8), 1j)),
        idm.operators.Blur((1, 6, 8), kernel[::-1]),
        idm.operators.CompressedSensing((1, 4, 4), 0.25, block=4, phi=np.eye(16)[:4]),
    ]
    x = torch.rand(1, 1, 6, 8)
    assert torch.equal(given[0].A(x), x[:, :, ::2].flatten(2))
    assert given[1].measurement_shape == (2, 24) and given[2].kernel.dtype == torch.float64
    assert given[3].A(x[..., :4, :4]).shape == (1, 1, 1, 4)
