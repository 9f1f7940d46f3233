"""``--prior`` of `idm reconstruct` and `idm eval`: priors of every family, and what is no prior."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from idmcli.models import shipped_weights
from tests import foreign
from tests.faults.hostile import Capture, draw, failed, files, results, run

pytestmark = pytest.mark.usefixtures("folder")
SHORT = ("--method=ddnm", "--set=solver.steps=2", "--set=operator.block=8")


@pytest.mark.parametrize("name", foreign.FILES)
def test_a_file_of_each_family(name: str, capsys: Capture) -> None:
    torch.save(foreign.drawn(foreign.FILES[name]), name)
    draw("a.png"), draw("b.png", (16, 16, 3))
    found = results(capsys, "reconstruct", "a.png", "b.png", "--prior", name, *SHORT)
    assert [result["method"] for result in found["results"]] == ["ddnm", "ddnm"]
    assert len(set(found["warnings"])) == len(found["warnings"])  # said once
    channels = "colour one by one" if "is for grey images" in str(found["warnings"]) else "3 equal channels"
    assert channels in str(found["warnings"])
    assert files("reconstructions") == ["a.png", "b.png"]


def test_a_model_folder_and_a_shipped_name(capsys: Capture) -> None:
    unet = UNet2DModel(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained("faces")
    draw("data/a.png")
    for prior in ("faces", "faces/unet", "prior-mri"):
        run(capsys, "reconstruct", "data/a.png", "--prior", prior, *SHORT, "--overwrite")
    found = results(capsys, "eval", "data", "--prior", "faces", "--method=ddnm,diffpir", *SHORT[1:2], "--ratio=0.5")
    assert {result["method"] for result in found["results"]} == {"ddnm", "diffpir"}


def test_a_network_and_a_prior_are_compared(capsys: Capture) -> None:
    draw("data/a.png", (32, 32))
    torch.save(foreign.drawn(foreign.FILES["ffdnet_gray.pth"]), "ffdnet_gray.pth")
    both = ["--weights", str(shipped_weights("cs-tiny")), "--prior", "ffdnet_gray.pth"]
    few = ["--ratio=0.5", "--set=solver.method=idm"]
    found = results(capsys, "eval", "data", "--method=idm,pinv,vamp", *both, *few)
    assert {result["method"] for result in found["results"]} == {"idm", "pinv", "vamp"}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def hostile() -> dict[str, Any]:
    itself: dict[str, Any] = {}
    itself["itself"] = itself
    deep: dict[str, Any] = {"a": {"b": {"c": torch.zeros(1)}}}
    return {
        "evil.pth": {"model.0.weight": Evil()},
        "nested-evil.pth": {"0": {"model.0.weight": Evil()}},
        "itself.pth": itself,
        "deep.pth": deep,
        "numbers.pth": {1: torch.zeros(1)},
        "empty.pth": {},
        "integers.pth": {"model.0.weight": torch.zeros(1, 1, 3, 3, dtype=torch.int32)},
        "flat.pth": {"model.0.weight": torch.zeros(3), "model.2.weight": torch.zeros(())},
        "unknown.pth": {"encoder.weight": torch.zeros(3)},
        "head.pth": {"m_head.weight": torch.zeros(3)},
        "adm.pth": {"time_embed.0.weight": torch.zeros(1), "input_blocks.0.0.weight": torch.zeros(1)},
        "edm.pth": {"map_layer0.weight": torch.zeros(2, 2)},
        "ipol.pth": {"intermediate_dncnn.itermediate_dncnn.0.weight": torch.zeros(0, 0, 0, 0)},
        "ircnn.pth": {"99999.model.0.weight": torch.zeros(1, 1, 3, 3)},
    }


@pytest.mark.parametrize("name", hostile())
def test_files_that_are_damaged_hostile_or_something_else(name: str, capsys: Capture) -> None:
    torch.save(hostile()[name], name)
    draw("a.png")
    assert f"'{name}' " in failed(capsys, "reconstruct", "a.png", "--prior", name, "--out", "out")
    assert not Path("pwned").exists() and not Path("out").exists()


def test_other_things_that_are_no_priors(capsys: Capture) -> None:
    draw("a.png"), Path("empty").mkdir()
    Path("plain.pkl").write_bytes(pickle.dumps({"ema": Evil()}))
    Path("edm.pkl").write_bytes(b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n(}tR.")
    Path("torn.safetensors").write_bytes(b"torn")
    Path("latent/vae").mkdir(parents=True)
    Path("latent/unet").mkdir()
    Path("latent/unet/config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    for name, message in {
        "plain.pkl": "use a .safetensors file if there is one",
        "edm.pkl": 'save pickle.load(file)["ema"].state_dict() as a .pt',
        "torn.safetensors": "is no prior that idm knows",
        "empty": "is no prior that idm knows",
        "a.png": "is no prior that idm knows",
        "none.pth": "there is no weights file",
        "prior-gray": "--prior 'prior-gray' is unknown",
        "latent": "describes a 'UNet2DConditionModel'",
        str(shipped_weights("cs-tiny")): "is no prior that idm knows",
    }.items():
        assert message in failed(capsys, "reconstruct", "a.png", "--prior", name)
        assert message in failed(capsys, "eval", ".", "--prior", name, "--method=ddnm")
    assert "takes no prior" in failed(capsys, "reconstruct", "a.png", "--prior=prior-grey", "--method=tv")
    assert "needs a network" in failed(capsys, "reconstruct", "a.png", "--prior=prior-grey", "--method=idm")


def test_values_that_are_not_finite(capsys: Capture) -> None:
    tensors: dict[str, Tensor] = foreign.drawn(foreign.FILES["net_gray.pth"])
    next(iter(tensors.values()))[0] = torch.inf
    torch.save(tensors, "net_gray.pth")
    draw("a.png")
    assert "not finite" in failed(capsys, "reconstruct", "a.png", "--prior=net_gray.pth", code=3)
