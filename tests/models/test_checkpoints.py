"""Weights files describe themselves, and whatever is wrong with one is said in a sentence."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from idmcli.errors import IdmError, InputError, NumericalError
from idmcli.io import tensor_file
from idmcli.io.measurements import Measurements, Provenance, save_measurements
from idmcli.io.records import to_line
from idmcli.io.tensor_file import digest
from idmcli.models import Learned, checkpoints
from idmcli.models.checkpoints import load_weights, save_weights, shipped_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import OLD_NAMES, InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.unet import UNetConfig
from idmcli.operators import CompressedSensing

KEY = "idm_weights"


def prior(seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(DenoiserConfig(UNetConfig(channels=(4, 16), blocks=(1, 1)), mean=0.4))


def sampler() -> InvertibleDiffusion:
    torch.manual_seed(1)
    unet = UNetConfig(channels=(4, 16), blocks=(1, 1), steps=2, injector_kernel=3, v=0.6)
    return InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet), "matched", 0.3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_weights(tmp_path / "w.safetensors", prior(), training={"iterations": 7})
    return tmp_path / "w.safetensors"


def record_of(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        assert set(file.metadata()) == {KEY}
        record: dict[str, Any] = json.loads(json.loads(file.metadata()[KEY])["record"])
    return record


def rewrite(path: Path, **changes: Any) -> None:
    """Change entries of the record, with a checksum that fits; the tensors stay."""
    text, tensors = to_line(record_of(path) | changes), load_file(path)
    save_file(tensors, path, {KEY: json.dumps({"sha256": digest(text, tensors), "record": text})})


def refused(path: Path, kind: type[IdmError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        load_weights(path)
    assert type(caught.value) is kind
    assert repr(str(path)) in caught.value.message and "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("make", [prior, sampler])
def test_a_round_trip_is_exact(make: Any, tmp_path: Path) -> None:
    model: Learned = make()
    save_weights(tmp_path / "w.safetensors", model, training={})
    loaded = load_weights(tmp_path / "w.safetensors")
    assert type(loaded) is type(model) and loaded.config == model.config
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_half_precision_keeps_scalars_and_vectors(tmp_path: Path) -> None:
    model = sampler()
    model.rule.log_gain.data.uniform_(-1, 1)
    save_weights(tmp_path / "full.safetensors", model, training={})
    save_weights(tmp_path / "half.safetensors", model, training={}, half=True)
    loaded = load_weights(tmp_path / "half.safetensors").state_dict()
    for name, tensor in model.state_dict().items():
        assert loaded[name].dtype == torch.float32
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(loaded[name], expected), name
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.75 * sizes[1]


def test_the_file_describes_itself(file: Path) -> None:
    record = record_of(file)
    assert (record["schema"], record["kind"], record["training"]) == (2, "prior", {"iterations": 7})
    assert record["config"]["unet"]["channels"] == [4, 16] and record["config"]["mean"] == 0.4
    model = load_weights(file)
    assert isinstance(model, Denoiser) and model.mean == 0.4


def test_equal_models_give_equal_bytes(file: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "again.safetensors", prior(), training={"iterations": 7})
    save_weights(tmp_path / "other.safetensors", prior(1), training={"iterations": 7})
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
    assert (tmp_path / "other.safetensors").read_bytes() != file.read_bytes()


def test_kinds() -> None:
    assert (prior().kind, sampler().kind) == ("prior", "idm")


def test_missing_or_a_folder(tmp_path: Path) -> None:
    assert "there is no weights file" in refused(tmp_path / "none.safetensors")
    assert "is a folder, not a weights file" in refused(tmp_path)


def test_truncated_anywhere(file: Path) -> None:
    whole = file.read_bytes()
    for length in [0, 1, 7, 8, 20, *range(100, len(whole), len(whole) // 16), len(whole) - 1]:
        file.write_bytes(whole[:length])
        assert "not a readable weights file" in refused(file)
    file.write_bytes(whole + b"x")
    refused(file)


def test_a_flipped_bit_in_the_weights(file: Path) -> None:
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for position in range(start, len(whole), (len(whole) - start) // 20):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        file.write_bytes(damaged)
        assert "does not match its checksum" in refused(file)


def test_every_flipped_bit_of_the_header_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for position in range(0, 8 + int.from_bytes(whole[:8], "little"), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        file.write_bytes(damaged)
        refused(file)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    model = prior()
    with torch.no_grad():
        model.unet.conv_in.weight[0, 0, 0, 0] = float("nan")
    save_weights(tmp_path / "w.safetensors", model, training={})
    assert "in unet.conv_in.weight" in refused(tmp_path / "w.safetensors", NumericalError)


def test_other_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    assert "holds no weights of idm" in refused(tmp_path / "plain.safetensors")
    operator = CompressedSensing((1, 8, 8), 0.5, block=8)
    y = operator.A(torch.rand(1, 1, 8, 8))[0]
    save_measurements(
        tmp_path / "y.safetensors",
        Measurements(
            y=y,
            arrays=operator.arrays(),
            spec=operator.to_spec(),
            colour="grey",
            provenance=Provenance("idm sense", "a.png", "0" * 64),
        ),
    )
    assert "holds no weights of idm" in refused(tmp_path / "y.safetensors")


def test_a_newer_schema(file: Path) -> None:
    rewrite(file, schema=3)
    assert "newer idm (schema 3; this version reads 2)" in refused(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "idm"},
        {"schema": "1"},
        {"config": {"unet": {"colour": 1}}},
        {"config": {"unet": {"channels": [4, 16], "blocks": [1]}}},
        {"config": {"unet": {"channels": []}}},
        {"config": {"unet": {"channels": [-4, 16], "blocks": [1, 1]}}},
        {"config": 3},
        {"config": None},
    ],
)
def test_metadata_that_makes_no_sense(file: Path, changes: dict[str, Any]) -> None:
    rewrite(file, **changes)
    refused(file)


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{", '"text"'])
def test_metadata_that_is_no_record(file: Path, text: str) -> None:
    save_file(load_file(file), file, {KEY: text})
    refused(file)


def test_tensors_that_do_not_fit_their_configuration(file: Path) -> None:
    config = record_of(file)["config"]
    rewrite(file, config={**config, "unet": {**config["unet"], "channels": [4, 32]}})
    message = refused(file)
    assert "downsample.0.weight is (16, 4, 2, 2), expected (32, 4, 2, 2)" in message
    rewrite(file, config={**config, "unet": {**config["unet"], "steps": 1}})
    assert "unet.down.0.modules_.1.to_image.0.weight is missing" in refused(file)
    rewrite(file, config={**config, "unet": {**config["unet"], "blocks": [1, 40]}})
    assert "more" in refused(file)


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    for name in ("w.safetensors", "w.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        refused(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_saving_replaces_or_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", fail)
        save_weights(file, prior(3), training={})
    assert file.read_bytes() == before and len(list(file.parent.iterdir())) == 1


@pytest.mark.parametrize("name", ["prior-grey", "prior-mri"])
def test_the_shipped_priors(name: str) -> None:
    model = load_weights(shipped_weights(name))
    assert isinstance(model, Denoiser)
    assert model.config.unet.steps == 0 and model.config.unet.image_channels == 1
    assert shipped_weights(name).stat().st_size < 8e6


def test_what_a_network_is_for(tmp_path: Path) -> None:
    purpose = {"task": "mri", "operator": {"mask": "radial"}, "channels": 1, "domain": "knees"}
    save_weights(tmp_path / "w.safetensors", sampler(), training={"pictures": 3}, trained_for=purpose)
    loaded = load_weights(tmp_path / "w.safetensors")
    assert (loaded.trained_for, loaded.training_record) == (purpose, {"pictures": 3})
    assert (sampler().trained_for, sampler().training_record) == (None, {})


def test_what_shipped_networks_are_for() -> None:
    found = load_weights(shipped_weights("cs-tiny")).trained_for
    assert found is not None and (found["task"], found["channels"]) == ("cs", 1)
    assert found["operator"].items() >= {"block": 32, "permutation": "global", "ratio_min": 0.04}.items()
    for name, domain in (("prior-grey", "photographs"), ("prior-mri", "magnetic resonance images")):
        prior = load_weights(shipped_weights(name)).trained_for
        assert prior is not None and prior["domain"] == domain


FORMER = {new: old for old, new in OLD_NAMES.items()}


def in_schema_1(path: Path, model: Learned, **changes: Any) -> None:
    """A file as the first version of idm wrote it."""
    tensors = {FORMER.get(name, name): tensor.contiguous() for name, tensor in model.state_dict().items()}
    config = json.loads(json.dumps(asdict(model.config)))
    unet = config["unet"] if "unet" in config else config["denoiser"]["unet"]
    if unet["architecture"] == "injector-unet":
        del unet["architecture"]
        unet["patch"] = unet.pop("unshuffle")
    if "rule" in config:
        config["schedule"] = {"paper": "learned", "matched": "measured"}[config.pop("rule")]
    sha256 = checkpoints._digest(tensors)
    record = {"schema": 1, "kind": model.kind, "config": config, "training": {}, "sha256": sha256} | changes
    save_file(tensors, path, {KEY: json.dumps(record, sort_keys=True)})


def full_size() -> InvertibleDiffusion:
    torch.manual_seed(2)
    return InvertibleDiffusion(SamplerConfig(DenoiserConfig(StableDiffusionConfig(steps=2, channels=(32, 64)), 0.0)))


@pytest.mark.parametrize("make", [prior, sampler, full_size])
def test_old_files_load_to_the_same_numbers(make: Any, tmp_path: Path) -> None:
    model: Learned = make()
    in_schema_1(tmp_path / "old.safetensors", model)
    loaded = load_weights(tmp_path / "old.safetensors")
    assert loaded.config == model.config and loaded.trained_for is None
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_old_files_that_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    for changes, words in (
        ({"sha256": 5}, "does not match its checksum"),
        ({"schema": 4}, "newer idm"),
        ({"schema": None}, "cannot be read"),
        ({"config": 3}, "cannot be read"),
        ({"config": {"unet": {}}}, ""),
        ({"training": 3}, "cannot be read"),
    ):
        in_schema_1(path, prior(), **changes)
        assert words in refused(path)


def test_a_converted_network_is_for_what_the_released_one_is(tmp_path: Path) -> None:
    in_schema_1(tmp_path / "old.safetensors", full_size(), training={"released": "net_params_50.pkl"})
    expected = {"task": "cs", "operator": {"permutation": "global"}, "channels": 1, "domain": "photographs"}
    assert load_weights(tmp_path / "old.safetensors").trained_for == expected


def test_a_tiny_network_of_two_scales_is_no_stable_diffusion(tmp_path: Path) -> None:
    """Whatever pydantic makes of a union."""
    for make in (prior, full_size):
        in_schema_1(tmp_path / "w.safetensors", make())
        loaded = load_weights(tmp_path / "w.safetensors")
        unet = loaded.config.unet if isinstance(loaded, Denoiser) else loaded.config.denoiser.unet
        assert unet.architecture == ("injector-unet" if make is prior else "stable-diffusion")


def test_state_dicts_with_the_old_names_load(tmp_path: Path) -> None:
    """As in the checkpoint of a run, where an average puts a prefix before them."""
    model, other = sampler(), sampler()
    model.rule.log_gain.data.uniform_()
    old = {f"module.{FORMER.get(name, name)}": tensor for name, tensor in model.state_dict().items()}
    torch.nn.ModuleDict({"module": other}).load_state_dict(old)
    assert torch.equal(other.rule.log_gain, model.rule.log_gain)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_of_another_type_are_refused_not_cast(file: Path, dtype: torch.dtype) -> None:
    """With a checksum that fits them."""
    record, tensors = tensor_file.read(file, checkpoints.KIND)
    name = min(tensors)
    record = {key: value for key, value in record.items() if key != "schema"}
    tensor_file.write(file, checkpoints.KIND, record, {**tensors, name: tensors[name].to(dtype)})
    assert f"{name} holds {str(dtype).removeprefix('torch.')}, not floating-point numbers" in refused(file)
