"""Methods by name: which one, with which weights, and what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from idmcli.reconstruction import CLASSICAL, METHODS, Library, Reconstructor, default_method, load_reconstructor
from torch import Tensor

from idmcli.errors import ConfigError, InputError, NumericalError
from idmcli.models.checkpoints import load_weights, save_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.operators import MRI, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT

CPU = torch.device("cpu")
MASK = (torch.arange(256).reshape(16, 16) * 7 % 5 < 3).float()
OPERATORS: dict[str, LinearOperator] = {
    "cs": CompressedSensing((1, 16, 16), 0.5, block=8),
    "inpainting": Inpainting((1, 16, 16), MASK),
    "mri": MRI((1, 16, 16), {"type": "radial", "fraction": 0.4}),
    "ct": ParallelBeamCT((1, 16, 16), 4),
}


def picture() -> Tensor:
    return torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What total variation converges to is tested elsewhere."""
    monkeypatch.setattr("idmcli.solvers.classical.TV_ITERATIONS", 20)


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    save_weights(tmp_path / "prior.safetensors", Denoiser(config(0)), training={})
    return tmp_path / "prior.safetensors"


@pytest.fixture
def idm(tmp_path: Path) -> Path:
    save_weights(tmp_path / "idm.safetensors", InvertibleDiffusion(SamplerConfig(config(2))), training={})
    return tmp_path / "idm.safetensors"


def config(steps: int) -> DenoiserConfig:
    torch.manual_seed(0)
    return DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=steps))


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_every_operator(method: str, kind: str, prior: Path, idm: Path) -> None:
    operator, weights = OPERATORS[kind], {"none": None, "prior": prior, "idm": idm}[METHODS[method].needs]
    reconstructor = load_reconstructor(method, operator, weights, Library(CPU))
    assert reconstructor.method == method
    y = operator.A(picture())
    if method == "vamp" and kind != "cs":
        with pytest.raises(InputError, match="method vamp is for compressed sensing"):
            reconstructor(operator, y)
        return
    x = reconstructor(operator, y, noise=0.01, seed=3)
    assert x.shape == (1, 1, 16, 16) and not x.requires_grad
    assert x.min() >= 0 and x.max() <= 1 and x.std() > 0.01


def test_the_table_is_complete() -> None:
    assert set(CLASSICAL) == {name for name, method in METHODS.items() if method.needs == "none"}
    assert all(bool(method.shipped) == (method.needs != "none") for method in METHODS.values())


@pytest.mark.parametrize("kind", OPERATORS)
def test_the_default_runs_out_of_the_box(kind: str) -> None:
    operator = OPERATORS[kind]
    reconstructor = load_reconstructor(None, operator, None, Library(CPU))
    assert reconstructor.method == default_method(operator)
    assert reconstructor(operator, operator.A(picture())).shape == (1, 1, 16, 16)


def test_weights_choose_their_method(prior: Path, idm: Path) -> None:
    assert load_reconstructor(None, OPERATORS["cs"], idm, Library(CPU)).method == "idm"
    assert load_reconstructor(None, OPERATORS["ct"], idm, Library(CPU)).method == "idm"
    assert load_reconstructor(None, OPERATORS["cs"], prior, Library(CPU)).method == "vamp"


def test_weights_given_are_the_ones_used(prior: Path) -> None:
    operator, y = OPERATORS["cs"], OPERATORS["cs"].A(picture())
    given, shipped = (load_reconstructor("vamp", operator, weights, Library(CPU)) for weights in (prior, None))
    assert not torch.allclose(given(operator, y), shipped(operator, y))


def test_refusals(prior: Path, idm: Path, tmp_path: Path) -> None:
    operator = OPERATORS["cs"]
    cases: list[tuple[str | None, Path | None, str]] = [
        ("magic", None, "--method magic is unknown"),
        ("tv", prior, "--method tv takes no weights"),
        ("idm", prior, "needs weights of kind idm"),
        ("vamp", idm, "needs weights of kind prior"),
    ]
    for method, weights, message in cases:
        with pytest.raises(ConfigError, match=message):
            load_reconstructor(method, operator, weights, Library(CPU))
    with pytest.raises(InputError, match="there is no weights file"):
        load_reconstructor(None, operator, tmp_path / "none.safetensors", Library(CPU))


def test_seeds_reach_the_sampling_methods(prior: Path) -> None:
    operator, y = OPERATORS["inpainting"], OPERATORS["inpainting"].A(picture())
    ddnm = load_reconstructor("ddnm", operator, prior, Library(CPU))
    first, again, other = (ddnm(operator, y, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_results_that_are_not_finite() -> None:
    operator = OPERATORS["cs"]
    y = operator.A(picture())
    y[0, 0, 0, 0] = float("nan")
    with pytest.raises(NumericalError, match="method back-projection gave values that are not finite"):
        Reconstructor("back-projection", None, CPU)(operator, y)


def test_complex_images_become_magnitudes() -> None:
    operator = MRI((1, 16, 16), MASK, complex_image=True)
    x = torch.polar(picture(), 3 * picture())
    for method in ("back-projection", "tikhonov"):
        found = load_reconstructor(method, operator, None, Library(CPU))(operator, operator.A(x))
        assert not found.is_complex() and found.min() >= 0
    for method in ("ddnm",):
        with pytest.raises(InputError, match="not complex ones"):
            load_reconstructor(method, operator, None, Library(CPU))(operator, operator.A(x))


def test_a_library_reads_each_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def load(path: Path) -> object:
        read.append(path)
        return load_weights(path)

    monkeypatch.setattr("idmcli.reconstruction.load_weights", load)
    library, operator = Library(CPU), OPERATORS["cs"]
    models = [load_reconstructor(name, operator, None, library).model for name in ("vamp", "ddnm", "vamp", "idm")]
    assert models[0] is models[1] is models[2] is not models[3]
    assert [path.stem for path in read] == ["prior-tiny", "cs-tiny"]


def test_tiles_are_for_networks_with_attention() -> None:
    with pytest.raises(ConfigError, match="--tile is for attention"):
        load_reconstructor("vamp", OPERATORS["cs"], None, Library(CPU, tile=64))


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_computes_the_same() -> None:
    operator = OPERATORS["cs"]
    y = operator.A(torch.rand(1, *operator.image_shape, generator=torch.Generator().manual_seed(0)))
    plain, compiled = (load_reconstructor("idm", operator, None, Library(CPU, compile=c)) for c in (False, True))
    torch.testing.assert_close(compiled(operator, y), plain(operator, y), rtol=0, atol=1e-4)


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="--compile needs a C\\+\\+ compiler"):
        Library(CPU, compile=True)


def test_half_precision_is_for_the_network_alone() -> None:
    operator = OPERATORS["cs"]
    y = operator.A(torch.rand(1, *operator.image_shape, generator=torch.Generator().manual_seed(0)))
    full, half = (
        load_reconstructor("idm", operator, None, Library(CPU, precision=precision))(operator, y)
        for precision in ("float32", "bf16")
    )
    assert half.dtype == torch.float32 and 0 < (half - full).abs().max() < 0.1
    assert (operator.A(half.clamp(0, 1)) - y).norm() < 0.05 * y.norm()
