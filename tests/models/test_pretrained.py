"""Stable Diffusion's blocks as the start of a full-size network, from folders that diffusers writes."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from idmcli.errors import IdmError, InputError, NumericalError
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Context
from idmcli.models.pretrained import FILES, find_unet
from idmcli.models.released import released_names
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import Attention, Residual, StableDiffusionConfig, StableDiffusionUNet
from idmcli.models.start import Start, initialise
from idmcli.models.unet import UNetConfig
from tests.hub import Hub, in_another_process, served


def pretrained(**changes: Any) -> UNet2DConditionModel:
    """Stable Diffusion's U-Net with few channels."""
    torch.manual_seed(1)
    options = {"block_out_channels": (32, 64, 128, 128), "cross_attention_dim": 16, "sample_size": 16}
    unet = UNet2DConditionModel(**(options | changes))
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return unet.eval()


def network(image_channels: int = 1) -> InvertibleDiffusion:
    torch.manual_seed(2)
    unet = StableDiffusionConfig(image_channels, steps=2, channels=(32, 64))
    return InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet, mean=0.0)))


def unet_of(model: InvertibleDiffusion) -> StableDiffusionUNet:
    assert isinstance(model.denoiser.unet, StableDiffusionUNet)
    return model.denoiser.unet


@pytest.fixture(scope="module")
def source() -> UNet2DConditionModel:
    return pretrained()


@pytest.fixture
def model_folder(source: UNet2DConditionModel, tmp_path: Path) -> Path:
    """A model folder of diffusers."""
    source.save_pretrained(tmp_path / "model" / "unet")
    return tmp_path / "model"


def test_what_is_copied_and_what_keeps_its_start(model_folder: Path, source: UNet2DConditionModel) -> None:
    model, untouched = network(), network()
    start = initialise(model, model_folder)
    assert start.unfit == start.differences == ()
    theirs = source.state_dict()
    unet, before = unet_of(model), unet_of(untouched)
    for ours, name in {
        "conv_in.weight": "conv_in.weight",
        "down_fine.modules_.4.block.conv2.weight": "down_blocks.0.resnets.1.conv2.weight",
        "downsample.conv.bias": "down_blocks.0.downsamplers.0.conv.bias",
        "down_coarse.modules_.1.block.proj_in.weight": "down_blocks.1.attentions.0.proj_in.weight",
        "enter_up_coarse.residual.block.conv1.weight": "up_blocks.2.resnets.0.conv1.weight",
        "enter_up_fine.upsample.conv.weight": "up_blocks.2.upsamplers.0.conv.weight",
        "up_fine.modules_.9.block.transformer_blocks.0.ff.net.2.weight": "up_blocks.3.attentions.2"
        ".transformer_blocks.0.ff.net.2.weight",
        "head.norm.weight": "conv_norm_out.weight",
        "head.conv.bias": "conv_out.bias",
    }.items():
        assert torch.equal(unet.get_parameter(ours), theirs[name]), ours
    same = [n for n, p in model.named_parameters() if torch.equal(p, untouched.get_parameter(n))]
    injectors = [n for n in same if ".to_image." in n or ".to_features." in n]
    others = [n for n in same if n == "rule.alpha" or n.endswith((".v", "_scale"))]
    assert len(injectors) == 2 * 20 * 4 and len(others) == 2 + 37 + 8 + 3
    assert len(same) == start.own == len(injectors) + len(others)
    copied = [p for n, p in model.named_parameters() if n not in same]
    assert (start.tensors, start.parameters) == (len(copied), sum(p.numel() for p in copied))
    assert [p.stride() for p in unet.parameters()] == [p.stride() for p in before.parameters()]
    assert all(p.requires_grad for p in model.parameters())
    assert str(start) == (
        f"{len(copied)} tensors, {start.parameters / 1e6:.2f} M parameters loaded; "
        f"{start.own} of the network's own (injectors, couplings) keep their start"
    )


def test_the_loaded_blocks_compute_what_diffusers_blocks_do(model_folder: Path, source: UNet2DConditionModel) -> None:
    model = network()
    initialise(model, model_folder)
    x = torch.randn(2, 64, 8, 8)

    theirs = source.down_blocks[1].resnets[1]
    ours = unet_of(model).down_coarse.modules_[3]
    assert isinstance(ours, Residual)
    with torch.no_grad():  # there is no time here: take out what it adds
        expected = _with_zeros(theirs, "time_emb_proj")(x, torch.zeros(2, 128))
        torch.testing.assert_close(ours(x, Context()), expected)

    theirs = source.down_blocks[1].attentions[1]
    ours = unet_of(model).down_coarse.modules_[5]
    assert isinstance(ours, Attention)
    tokens = torch.randn(2, 16, 64)
    with torch.no_grad():
        own = ours.block.transformer_blocks[0].attn1(tokens)
        torch.testing.assert_close(own, theirs.transformer_blocks[0].attn1(tokens))
        without_text = _with_zeros(theirs, "transformer_blocks.0.attn2.to_out.0")
        expected = without_text(x, encoder_hidden_states=torch.zeros(2, 1, 16), return_dict=False)[0]
        torch.testing.assert_close(ours(x, Context()), expected)


def _with_zeros(module: nn.Module, part: str) -> nn.Module:
    """A copy whose ``part`` gives zero."""
    module = copy.deepcopy(module)
    for parameter in module.get_submodule(part).parameters():
        nn.init.zeros_(parameter)
    return module


def test_every_kind_of_file_gives_the_same(source: UNet2DConditionModel, tmp_path: Path) -> None:
    reference = network()
    source.save_pretrained(tmp_path / "a" / "unet")
    initialise(reference, tmp_path / "a" / "unet")  # the folder itself
    source.save_pretrained(tmp_path / "b" / "unet", safe_serialization=False)
    model = network()
    initialise(model, str(tmp_path / "b"))
    assert (tmp_path / "b" / "unet" / "diffusion_pytorch_model.bin").is_file()
    assert all(torch.equal(p, reference.get_parameter(n)) for n, p in model.named_parameters())

    half = {name: tensor.half() for name, tensor in source.state_dict().items()}
    (tmp_path / "c" / "unet").mkdir(parents=True)
    shutil.copy(tmp_path / "a" / "unet" / "config.json", tmp_path / "c" / "unet")
    save_file(half, tmp_path / "c" / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    model = network()
    initialise(model, tmp_path / "c")
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, reference.get_parameter(name), rtol=1e-3, atol=1e-6)
    conv = unet_of(model).conv_in.weight
    assert torch.equal(conv, half["conv_in.weight"].float())


def test_linear_projections_become_convolutions(tmp_path: Path) -> None:
    source = pretrained(use_linear_projection=True)
    source.save_pretrained(tmp_path / "unet")
    model = network()
    assert initialise(model, tmp_path).unfit == ()
    ours = unet_of(model).up_fine.modules_[5]
    assert isinstance(ours, Attention)
    theirs = _with_zeros(source.up_blocks[3].attentions[1], "transformer_blocks.0.attn2.to_out.0")
    x = torch.randn(1, 32, 8, 8)
    with torch.no_grad():
        expected = theirs(x, encoder_hidden_states=torch.zeros(1, 1, 16), return_dict=False)[0]
        torch.testing.assert_close(ours(x, Context()), expected)


def test_tensors_of_other_shapes_are_named(model_folder: Path, tmp_path: Path) -> None:
    model, untouched = network(image_channels=3), network(image_channels=3)
    start = initialise(model, model_folder)
    assert start.unfit == (
        "conv_in.weight (32, 12, 3, 3) (not (32, 4, 3, 3))",
        "head.conv.weight (12, 32, 3, 3) (not (4, 32, 3, 3))",
        "head.conv.bias (12,) (not (4,))",
    )
    assert "and 3 that do not fit keep their start: conv_in.weight (32, 12, 3, 3)" in str(start)
    assert torch.equal(unet_of(model).conv_in.weight, unet_of(untouched).conv_in.weight)

    pretrained(block_out_channels=(32, 64, 64, 64)).save_pretrained(tmp_path / "narrow" / "unet")
    start = initialise(network(), tmp_path / "narrow")
    assert [remark.partition(" ")[0] for remark in start.unfit] == [
        f"enter_up_coarse.residual.block.{name}"
        for name in ("norm1.weight", "norm1.bias", "conv1.weight", "conv_shortcut.weight")
    ]


def test_three_levels_and_missing_tensors(tmp_path: Path) -> None:
    source = pretrained(
        block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    source.save_pretrained(tmp_path / "unet")
    model = network()
    start = initialise(model, tmp_path)
    ours = unet_of(model).enter_up_coarse.residual.block.conv1.weight
    assert torch.equal(ours, source.state_dict()["up_blocks.1.resnets.0.conv1.weight"])
    assert start.unfit and all("(missing)" in remark and ".block." in remark for remark in start.unfit)
    assert f"and {len(start.unfit) - 6} more" in str(start)


def test_what_computes_something_else_is_said(tmp_path: Path) -> None:
    pretrained(attention_head_dim=(4, 8, 8, 8), norm_num_groups=16).save_pretrained(tmp_path / "unet")
    start = initialise(network(), tmp_path)
    assert start.differences == ("attention heads: [4, 8] there, [8, 8] here", "norm_num_groups: 16 there, 32 here")


def test_a_noise_estimator_takes_them_too(model_folder: Path) -> None:
    prior = Denoiser(DenoiserConfig(StableDiffusionConfig(channels=(32, 64))))
    model = network()
    assert initialise(prior, model_folder).tensors == initialise(model, model_folder).tensors
    assert torch.equal(prior.unet.conv_in.weight, unet_of(model).conv_in.weight)


def test_a_released_checkpoint_is_a_start(tmp_path: Path) -> None:
    source, model = network(), network()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
    names = released_names(source)
    state: dict[str, Tensor] = {names[n]: p.detach().reshape(p.shape or (1,)) for n, p in source.named_parameters()}
    torch.save(state, tmp_path / "net_params_50.pkl")
    start = initialise(model, tmp_path / "net_params_50.pkl")
    assert "keep" not in str(start)
    assert start == Start(len(state), sum(p.numel() for p in source.parameters()), 0, (), ())
    assert all(torch.equal(p, source.get_parameter(n)) for n, p in model.named_parameters())


def refused(model: Denoiser | InvertibleDiffusion, source: str | Path, kind: type[IdmError] = InputError) -> str:
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    with pytest.raises(kind) as caught:
        initialise(model, source)
    assert type(caught.value) is kind and "\n" not in caught.value.message + caught.value.hint
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    return caught.value.message


def test_only_full_size_networks_take_them(model_folder: Path) -> None:
    tiny = Denoiser(DenoiserConfig(UNetConfig(channels=(4, 16), blocks=(1, 1))))
    for source in (model_folder, "sd-legacy/stable-diffusion-v1-5"):
        assert "are for full-size networks only" in refused(tiny, source)


def test_folders_of_something_else(model_folder: Path, tmp_path: Path) -> None:
    model = network()
    for source in (tmp_path, tmp_path / "none" / "deeper", "./none", "a/b/c", "nothing"):
        assert "is neither a weights file nor a folder with unet/config.json" in refused(model, source)
    assert "there is no weights file" in refused(model, "none/weights.safetensors")
    unet = model_folder / "unet"
    (unet / "config.json").write_text('{"layers": 3}')
    assert "describes no U-Net" in refused(model, model_folder)
    (unet / "config.json").write_text("{")
    assert "config.json' is damaged" in refused(model, model_folder)
    (unet / "config.json").write_text('{"block_out_channels": [32, 64, 128, 128]}')
    save_file({"weight": torch.zeros(3)}, unet / FILES[0])
    assert "holds none of Stable Diffusion's tensors" in refused(model, model_folder)
    (unet / FILES[0]).write_bytes(b"torn")
    assert "is not a readable weights file" in refused(model, model_folder)
    (unet / FILES[0]).unlink()
    assert "is neither a weights file nor a folder" in refused(model, model_folder)


def test_damaged_values_and_pickled_code(model_folder: Path) -> None:
    unet = model_folder / "unet"
    tensors = load_file(unet / FILES[0])
    tensors["conv_out.bias"][1] = float("nan")
    save_file(tensors, unet / FILES[0])
    assert "in conv_out.bias" in refused(network(), model_folder, NumericalError)
    (unet / FILES[0]).unlink()
    torch.save({"conv_in.weight": print}, unet / "diffusion_pytorch_model.bin")
    assert "holds more than tensors" in refused(network(), model_folder)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a hub that serves ``tmp_path/model``."""
    with served(tmp_path / "model") as address:
        yield address


def find(name: str, tmp_path: Path, **env: str) -> Path:
    """:func:`find_unet` in a process of its own."""
    code = f"from idmcli.models.pretrained import find_unet; print(find_unet({name!r}))"
    return Path(in_another_process(code, tmp_path, HF_HOME=str(tmp_path / "hub"), **env))


def test_a_model_of_the_hub_is_downloaded_once(model_folder: Path, hub: str, tmp_path: Path) -> None:
    unet = model_folder / "unet"
    (unet / FILES[0]).rename(unet / FILES[1])  # only in half precision, say
    (model_folder / "model_index.json").write_text("{}")
    found = find("owner/name", tmp_path, HF_ENDPOINT=hub)
    assert {path.name for path in found.iterdir()} == {"config.json", FILES[1]}
    assert (found / FILES[1]).read_bytes() == (unet / FILES[1]).read_bytes()
    assert {line for line in Hub.asked if line.startswith("GET")} == {"GET unet/config.json", f"GET unet/{FILES[1]}"}
    Hub.asked.clear()
    assert find("owner/name", tmp_path, HF_ENDPOINT=hub) == found and Hub.asked == []
    assert find("owner/name", tmp_path, HF_HUB_OFFLINE="1") == found
    assert find_unet(str(found)) == found
    assert initialise(network(), found).unfit == ()
