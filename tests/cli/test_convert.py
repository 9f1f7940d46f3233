"""``idm convert``: from released checkpoints to weights files that reconstruct the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import torch

from idmcli.cli import main
from idmcli.io.images import write_image
from idmcli.models.checkpoints import load_weights, save_weights, shipped_weights
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.released import released_names
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def released() -> str:
    """A checkpoint as released, of a smaller network."""
    torch.manual_seed(0)
    unet = StableDiffusionConfig(steps=2, channels=(32, 64))
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet, mean=0.0)))
    names = released_names(model)
    state = {names[ours]: p.detach().reshape(p.shape or (1,)) for ours, p in model.named_parameters()}
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, "net_params_50.pkl")
    return "net_params_50.pkl"


def convert(capsys: Capture, *arguments: str) -> dict[str, Any]:
    """The one result of a conversion that succeeds."""
    assert main(["convert", *arguments, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert isinstance(result, dict)
    return result


def failed(capsys: Capture, *arguments: str) -> str:
    """The error lines of a conversion that ends with 2."""
    assert main(["convert", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("error:") == 1 and "Traceback" not in err and "internal" not in err
    return err


def training_in(path: str) -> dict[str, Any]:
    return load_weights(Path(path)).training_record


def test_the_converted_file_reconstructs_the_same(released: str, capsys: Capture) -> None:
    write_image("camera.png", skimage.data.camera()[128:192:2, 128:192:2] / 255)
    result = convert(capsys, released)
    assert result["output"] == "net_params_50.safetensors" and result["kind"] == "idm"
    assert result["parameters"] == sum(p.numel() for p in load_weights(Path(released)).parameters())
    assert training_in("net_params_50.safetensors") == {"released": "net_params_50.pkl"}
    for path in (released, "net_params_50.safetensors"):
        command = ["reconstruct", "camera.png", "--ratio", "0.1", "--weights", path, "--out", Path(path).suffix]
        assert main(command) == 0
    pictures = [Path(folder, "camera.png").read_bytes() for folder in (".pkl", ".safetensors")]
    assert pictures[0] == pictures[1]
    first, second = (load_weights(Path(path)).state_dict() for path in (released, "net_params_50.safetensors"))
    assert all(torch.equal(first[name], second[name]) and first[name].dtype == second[name].dtype for name in first)
    assert [t.stride() for t in first.values()] == [t.stride() for t in second.values()]


def test_half_the_size(released: str, capsys: Capture) -> None:
    whole = convert(capsys, released, "--out", "new/whole.safetensors")["output"]
    half = convert(capsys, released, "--out", "new/half.safetensors", "--half")["output"]
    assert Path(half).stat().st_size < 0.6 * Path(whole).stat().st_size
    tensors = load_weights(Path(half)).state_dict()
    for name, tensor in load_weights(Path(released)).state_dict().items():
        assert torch.equal(tensors[name], tensor.half().float() if tensor.ndim > 1 else tensor)


def test_a_weights_file_keeps_its_record(capsys: Capture) -> None:
    shipped = shipped_weights("prior-grey")
    assert convert(capsys, str(shipped), "--out", "mine.safetensors", "--half")["kind"] == "prior"
    assert training_in("mine.safetensors") == training_in(str(shipped)) != {}
    convert(capsys, "mine.safetensors", "--out", "again.safetensors", "--half")
    assert Path("again.safetensors").read_bytes() == Path("mine.safetensors").read_bytes()
    old, new = (load_weights(Path(path)).state_dict() for path in (shipped, "mine.safetensors"))
    assert all(torch.equal(new[name], old[name]) for name in old)


def test_nothing_is_overwritten_unless_asked_for(released: str, capsys: Capture) -> None:
    Path("net_params_50.safetensors").write_bytes(b"mine")
    assert "exists already" in failed(capsys, released)
    assert Path("net_params_50.safetensors").read_bytes() == b"mine"
    convert(capsys, released, "--overwrite")
    load_weights(Path("net_params_50.safetensors"))


def test_outputs_that_cannot_be(released: str, capsys: Capture) -> None:
    assert "does not end in .safetensors" in failed(capsys, released, "--out", "w.pkl")
    save_weights(Path("w.safetensors"), load_weights(Path(released)), training={})
    before = Path("w.safetensors").read_bytes()
    for arguments in (["w.safetensors"], ["w.safetensors", "--out", "./w.safetensors", "--overwrite"]):
        assert "the output is the input" in failed(capsys, *arguments)
    assert Path("w.safetensors").read_bytes() == before
    assert "is not a folder" in failed(capsys, released, "--out", "w.safetensors/x.safetensors")


def test_weights_that_cannot_be_read(capsys: Capture) -> None:
    assert "there is no weights file 'none.pkl'" in failed(capsys, "none.pkl")
    Path("torn.pkl").write_bytes(b"PK\x03\x04")
    assert "not a readable weights file" in failed(capsys, "torn.pkl")
    torch.save({"weight": torch.zeros(3)}, "other.pkl")
    assert "holds no released network: unet.conv_in.weight is missing" in failed(capsys, "other.pkl")
    assert [path.name for path in Path().iterdir() if path.suffix == ".safetensors"] == []
