"""Weights files that are damaged, hostile, or made for something else."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from idmcli.models import load_weights, shipped_weights
from idmcli.models.checkpoints import save_weights
from tests.faults.hostile import Capture, draw, failed, run

NETWORK, PRIOR = str(shipped_weights("cs-tiny")), str(shipped_weights("prior-grey"))


@pytest.mark.parametrize(
    "options",
    [["--preset=mri"], ["--preset=inpainting"], ["--preset=ct"], ["--set=operator.permutation=none"]],
    ids=lambda options: options[0],
)
def test_a_network_made_for_other_measurements(capsys: Capture, options: list[str]) -> None:
    """Shipped cs weights ran on mri, inpainting and unpermuted cs."""
    draw("data/a.png")
    for command in (["reconstruct", "data/a.png"], ["eval", "data"]):
        error = failed(capsys, *command, *options, "--weights", NETWORK)
        assert "is made for other measurements:" in error and "weights: " in error and ", here: " in error
    run(capsys, "sense", "data/a.png", *options)
    assert "other measurements" in failed(capsys, "reconstruct", "measurements", "--weights", NETWORK)


def test_a_folder_of_measurements_of_several_kinds(capsys: Capture) -> None:
    """The first of another kind does not end it: the network serves the others."""
    draw("a.png"), draw("b.png")
    run(capsys, "sense", "a.png", "--preset=mri", "--out", "files")
    run(capsys, "sense", "b.png", "--ratio", "0.3", "--out", "files")
    _, error = run(capsys, "reconstruct", "files", "--weights", NETWORK, "--out", "out", code=2)
    assert "is made for other measurements:" in error and "1 of 2 files failed" in error
    assert [path.name for path in Path("out").iterdir()] == ["b.png"]


def test_a_refused_command_leaves_no_folder(capsys: Capture) -> None:
    draw("a.png")
    failed(capsys, "reconstruct", "a.png", "--preset=mri", "--weights", NETWORK, "--out", "new/deep")
    failed(capsys, "eval", "a.png", "--method", "ddrm", "--preset=mri", "--out", "new/deep")
    assert not Path("new").exists()


def test_a_network_of_one_channel_in_colour(capsys: Capture) -> None:
    """A 3-channel image for a 1-channel checkpoint is reconstructed channel by channel."""
    draw("a.png", (32, 32, 3))
    run(capsys, "reconstruct", "a.png", "--weights", NETWORK)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("name", ["w.pkl", "w.pt", "w.pth", "w.bin", "w.safetensors"])
def test_code_in_a_pickle_is_not_run(capsys: Capture, name: str) -> None:
    draw("a.png")
    for save in (lambda: Path(name).write_bytes(pickle.dumps({"a": Evil()})), lambda: torch.save({"a": Evil()}, name)):
        save()
        for command in (["reconstruct", "a.png", "--weights", name], ["convert", name, "-o", "out.safetensors"]):
            error = failed(capsys, *command)
            assert f"'{name}' is not a readable weights file" in error
    assert not Path("pwned").exists() and not Path("out.safetensors").exists()


def changed(edit: Any) -> str:
    """The shipped prior with its tensors or its record changed, and no checksum that would tell."""
    with safe_open(PRIOR, framework="pt") as file:
        metadata = dict(file.metadata())
    tensors = load_file(PRIOR)
    edit(tensors, metadata)
    save_file(tensors, "w.safetensors", metadata)
    return "w.safetensors"


def test_damaged_weights(capsys: Capture) -> None:
    draw("a.png")
    whole = Path(PRIOR).read_bytes()
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        Path("w.safetensors").write_bytes(whole[:length])
        assert "'w.safetensors' " in failed(capsys, "reconstruct", "a.png", "--weights=w.safetensors")
    flipped = bytearray(whole)
    flipped[-1000] ^= 4
    Path("w.safetensors").write_bytes(flipped)
    assert "checksum" in failed(capsys, "reconstruct", "a.png", "--weights=w.safetensors")


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_values_of_another_type_are_not_cast(capsys: Capture, dtype: torch.dtype) -> None:
    """Int, bool, complex and float8 weights were cast."""
    draw("a.png")

    def cast(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        name = next(name for name, tensor in tensors.items() if tensor.ndim > 1)
        tensors[name] = tensors[name].to(dtype)

    failed(capsys, "reconstruct", "a.png", "--weights", changed(cast))


def test_weights_that_are_not_finite(capsys: Capture) -> None:
    draw("a.png")
    model = load_weights(Path(PRIOR))
    name, parameter = next(iter(model.named_parameters()))
    parameter.data[(0,) * parameter.ndim] = torch.nan
    save_weights(Path("w.safetensors"), model, training={})
    error = failed(capsys, "reconstruct", "a.png", "--weights=w.safetensors", code=3)
    assert "not finite" in error and name in error
    failed(capsys, "convert", "w.safetensors", "-o", "out.safetensors", code=3)
    assert not Path("out.safetensors").exists()


@pytest.mark.parametrize("name", ["missing.safetensors", ".", "a.png"])
def test_weights_that_are_none(capsys: Capture, name: str) -> None:
    draw("a.png")
    failed(capsys, "reconstruct", "a.png", "--weights", name)
    failed(capsys, "eval", ".", "--weights", name)
    failed(capsys, "convert", name, "-o", "out.safetensors")


def test_weights_for_a_method_that_takes_none(capsys: Capture) -> None:
    draw("a.png")
    assert "takes no weights" in failed(capsys, "reconstruct", "a.png", "--method=tv", "--weights", PRIOR)
    assert "needs a network" in failed(capsys, "reconstruct", "a.png", "--method=idm", "--weights", PRIOR)
    assert "needs a prior" in failed(capsys, "reconstruct", "a.png", "--method=vamp", "--weights", NETWORK)


def test_a_path_may_be_a_string() -> None:
    """The issue: load_weights(str)."""
    assert type(load_weights(PRIOR)) is type(load_weights(Path(PRIOR)))
