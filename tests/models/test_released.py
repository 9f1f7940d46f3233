"""The full-size network computes what the released code computes, and reads its checkpoints.

``data/released_T3_64px.npz`` holds what the released network gives in float32 on a CPU for weights that a rule
derives from their names (see ``golden_value``), ``data/released_T3_keys.json.gz`` every key of its state dict for
T = 3, its shape, and the key whose tensor it shares.
"""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from idmcli.cli import main
from idmcli.errors import IdmError, InputError, NumericalError
from idmcli.io.images import write_image
from idmcli.models.checkpoints import load_weights
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.released import released_aliases, released_names
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.operators import CompressedSensing
from idmcli.reversible.plan import PlanName, named_plan

DATA = Path(__file__).parent.parent / "data"
Rows = list[tuple[str, list[int], str | None]]
SMALL = StableDiffusionConfig(steps=2, channels=(32, 64))


def network(config: StableDiffusionConfig) -> InvertibleDiffusion:
    return InvertibleDiffusion(SamplerConfig(DenoiserConfig(config, mean=0.0)))


def golden_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    r = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    last = name.rpartition(".")[2]
    if last in ("v", "alpha"):
        return 0.5 + {"v": 0.02, "alpha": 0.05}[last] * r
    if last == "input_help_scale_factor":
        return 1 + 0.05 * r
    if last.startswith("merge_scale_factor"):
        return 0.1 * r
    if len(shape) == 1:
        return 1 + 0.05 * r if last == "weight" else 0.02 * r
    return np.float32(0.7 / np.sqrt(np.prod(shape[1:]))) * r


def released_state(model: InvertibleDiffusion, prefix: str = "") -> dict[str, Tensor]:
    """What the released code would save of ``model``, second names and all."""
    names = released_names(model)
    state = {names[ours]: p.detach().reshape(p.shape or (1,)).contiguous() for ours, p in model.named_parameters()}
    state |= {alias: state[name] for alias, name in released_aliases(model).items()}
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.fixture(scope="module")
def golden() -> Any:
    return np.load(DATA / "released_T3_64px.npz")


@pytest.fixture(scope="module")
def rows() -> Rows:
    rows: Rows = json.loads(gzip.decompress((DATA / "released_T3_keys.json.gz").read_bytes()))
    return rows


@pytest.fixture(scope="module")
def full() -> InvertibleDiffusion:
    """The full-size network with the golden weights."""
    with torch.device("meta"):
        model = network(StableDiffusionConfig(steps=3))
    names = released_names(model)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for ours, parameter in model.named_parameters():
            values = golden_value(names[ours], tuple(parameter.shape or (1,)))
            parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))
    return model


@pytest.mark.parametrize(("steps", "count"), [(1, 115_253_755), (2, 115_259_777), (3, 115_265_799)])
def test_parameter_counts(steps: int, count: int) -> None:
    with torch.device("meta"):
        model = network(StableDiffusionConfig(steps=steps))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_every_released_key_has_its_place(rows: Rows) -> None:
    with torch.device("meta"):
        model = network(StableDiffusionConfig(steps=3))
    names = released_names(model)
    assert set(names) == {name for name, _ in model.named_parameters()}
    shapes = {names[ours]: list(p.shape or (1,)) for ours, p in model.named_parameters()}
    assert shapes == {key: shape for key, shape, other in rows if other is None}
    assert released_aliases(model) == {key: other for key, _, other in rows if other is not None}


@pytest.mark.parametrize("plan", ["both"])  # small networks take the others too
def test_output_loss_and_gradients_are_those_of_the_released_code(
    plan: PlanName, full: InvertibleDiffusion, golden: Any
) -> None:
    phi, order = torch.from_numpy(golden["phi"].T.copy()), torch.from_numpy(golden["perm"])
    operator = CompressedSensing((1, 64, 64), 103 / 1024, permutation=order, phi=phi)
    x, y = torch.from_numpy(golden["x"]), torch.from_numpy(golden["y"][:, None])
    torch.testing.assert_close(operator.A(x), y, rtol=0, atol=1e-5)

    full.zero_grad()
    output = full(y, operator, named_plan(plan, 3))
    loss = (output - x).abs().mean()
    loss.backward()
    torch.testing.assert_close(output.detach(), torch.from_numpy(golden["output"]), rtol=0, atol=1e-4)
    assert float(loss.detach()) == pytest.approx(float(golden["loss"]), abs=1e-5)
    names, norms = released_names(full), dict(zip(golden["grad_names"], golden["grad_norms"], strict=True))
    found = {names[ours]: float(p.grad.norm()) for ours, p in full.named_parameters() if p.grad is not None}
    assert found == pytest.approx(norms, rel=1e-3, abs=0)
    torch.testing.assert_close(full.rule.alpha.grad, torch.from_numpy(golden["alpha_grad"]), rtol=1e-3, atol=0)
    full.zero_grad()


def test_a_full_size_checkpoint_reconstructs_from_the_command_line(
    full: InvertibleDiffusion, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("camera.png", skimage.data.camera()[128:256:2, 128:256:2] / 255)
    path = Path("net_params_50.pkl")
    torch.save(released_state(full), path)
    try:
        model = load_weights(path)
        assert main(["reconstruct", "camera.png", "--weights", str(path), "--ratio", "0.1", "--json"]) == 0
    finally:
        path.unlink()  # 461 MB
    assert isinstance(model, InvertibleDiffusion) and (model.config.rule, model.denoiser.mean) == ("paper", 0)
    for name, parameter in full.named_parameters():
        loaded = model.get_parameter(name)
        assert torch.equal(loaded, parameter) and loaded.stride() == parameter.stride(), name
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["method"] == "idm" and Path(result["output"]).is_file() and np.isfinite(result["psnr"])


@pytest.fixture(scope="module")
def small() -> InvertibleDiffusion:
    torch.manual_seed(0)
    model = network(SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return model


@pytest.fixture
def saved(small: InvertibleDiffusion, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Save the small network's state dict with some entries changed, or left out (None)."""

    def save(changes: dict[str, Any] | None = None, prefix: str = "", **how: Any) -> Path:
        state = released_state(small, prefix) | {prefix + name: value for name, value in (changes or {}).items()}
        path = tmp_path / "net_params_50.pkl"
        torch.save({name: value for name, value in state.items() if value is not None}, path, **how)
        return path

    yield save


def refused(path: Path, kind: type[IdmError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        load_weights(path)
    assert type(caught.value) is kind
    assert repr(str(path)) in caught.value.message and "\n" not in caught.value.message + caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_with_a_prefix_and_in_the_old_format(
    prefix: str, zipped: bool, saved: Callable[..., Path], small: InvertibleDiffusion
) -> None:
    model = load_weights(saved(prefix=prefix, _use_new_zipfile_serialization=zipped))
    assert model.config == small.config and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    for name, parameter in small.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter)


def test_the_loaded_weights_do_not_depend_on_the_file(saved: Callable[..., Path], small: InvertibleDiffusion) -> None:
    path = saved()
    model = load_weights(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    for name, parameter in small.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter)


@pytest.mark.parametrize(
    "config",
    [
        StableDiffusionConfig(image_channels=3, steps=1, channels=(32, 64)),
        StableDiffusionConfig(steps=4, injector_kernel=3, channels=(64, 32)),
    ],
)
def test_the_configuration_follows_from_the_shapes(config: StableDiffusionConfig, tmp_path: Path) -> None:
    source = network(config)
    torch.save(released_state(source), tmp_path / "w.pkl")
    model = load_weights(tmp_path / "w.pkl")
    assert model.config == source.config
    operator = CompressedSensing((config.image_channels, 8, 8), 0.25, block=8)
    y = operator.A(torch.rand(1, config.image_channels, 8, 8))
    assert isinstance(model, InvertibleDiffusion)
    assert torch.equal(model.reconstruct(y, operator), source.eval().reconstruct(y, operator))


def test_checkpoints_that_do_not_fit(saved: Callable[..., Path]) -> None:
    conv = "unet.conv_out.weight"
    assert f"{conv} is missing" in refused(saved({conv: None}))
    assert "alpha is missing" in refused(saved({"alpha": None}))
    assert "unet.mid_block.v is unknown" in refused(saved({"unet.mid_block.v": torch.zeros(1)}))
    assert f"{conv} is (4, 16, 3, 3), expected (4, 32, 3, 3)" in refused(saved({conv: torch.zeros(4, 16, 3, 3)}))
    assert "body.1.v is (), expected (1,)" in refused(saved({"body.1.v": torch.zeros(())}))
    assert "f2i.2.1.weight is missing" in refused(saved({"alpha": torch.full((3,), 0.5)}))
    assert "none has tensors of these shapes" in refused(saved({"unet.conv_in.weight": torch.zeros(7, 4, 3, 3)}))
    assert "none has tensors of these shapes" in refused(saved({"unet.conv_in.weight": torch.zeros(())}))
    assert "more" in refused(saved({"unet.conv_in.weight": torch.zeros(32, 12, 3, 3)}))


def test_second_names_must_agree_and_may_be_absent(saved: Callable[..., Path]) -> None:
    alias = "unet.up_blocks.1.rev_module_list.1.body.proj_out.bias"
    message = refused(saved({alias: torch.zeros(32)}))
    assert f"{alias} is not unet.up_blocks.1.attentions.0.proj_out.bias" in message
    assert f"{alias} is (3,), expected (32,)" in refused(saved({alias: torch.zeros(3)}))
    load_weights(saved({alias: None}))


def test_values_that_are_not_finite(saved: Callable[..., Path]) -> None:
    path = saved({"unet.conv_out.bias": torch.tensor([0.0, 0.0, float("inf"), 0.0])})
    assert "in unet.conv_out.bias" in refused(path, NumericalError)


def test_half_precision_is_read_as_float32(saved: Callable[..., Path]) -> None:
    model = load_weights(saved({"unet.conv_out.bias": torch.tensor([1.0, 2.0, 3.0, 4.0]).half()}))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False, None])
def test_code_in_a_pickle_is_not_run(zipped: bool | None, saved: Callable[..., Path], tmp_path: Path) -> None:
    trap = Trap(tmp_path / "executed")
    if zipped is None:
        path = tmp_path / "w.pkl"
        path.write_bytes(pickle.dumps(trap))
    else:
        path = saved({"alpha": trap}, _use_new_zipfile_serialization=zipped)
    assert "holds more than tensors" in refused(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content", [7, [torch.zeros(2)], {1: torch.zeros(2)}, {"a": 3}, {"a": torch.zeros(2, dtype=torch.int64)}, {"a": {}}]
)
def test_pickles_of_something_else(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pkl")
    assert "it holds more than named tensors" in refused(tmp_path / "w.pkl")


def test_tensors_without_values(tmp_path: Path) -> None:
    for tensor in (torch.zeros(3, device="meta"), torch.eye(3).to_sparse()):
        torch.save({"alpha": tensor}, tmp_path / "w.pkl")
        refused(tmp_path / "w.pkl")


def test_damaged_or_missing(saved: Callable[..., Path], tmp_path: Path) -> None:
    assert "there is no weights file" in refused(tmp_path / "none.pkl")
    for zipped in (True, False):
        path = saved(_use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for length in [0, 1, 20, *range(100, len(whole), len(whole) // 8), len(whole) - 1]:
            path.write_bytes(whole[:length])
            assert "not a readable weights file" in refused(path)


def test_a_flipped_bit(saved: Callable[..., Path], small: InvertibleDiffusion) -> None:
    path = saved()
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(small.get_parameter("denoiser.unet.conv_in.weight").detach().numpy().tobytes())] ^= 1
    path.write_bytes(damaged)
    assert "damaged" in refused(path)
