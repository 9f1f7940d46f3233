"""State dicts of other authors as priors: recognised, complete, and with what they were trained for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from idmcli.errors import InputError, NumericalError
from idmcli.priors import ModulePrior, load_prior
from tests import foreign
from tests.priors.test_formats import recognised
from tests.small import random

EXPECTED = {  # channels, symmetric, levels of 255
    "drunet_gray.pth": (1, True, 0, 50),
    "drunet_color.pth": (3, True, 0, 50),
    "drunet_deepinv_gray.pth": (1, True, 0, 20),
    "dncnn_25.pth": (1, True, 24, 26),
    "dncnn_color_blind.pth": (3, True, 0, 55),
    "ffdnet_gray.pth": (1, True, 0, 75),
    "ffdnet_color.pth": (3, True, 0, 75),
    "net_gray.pth": (1, True, 0, 75),
    "net_rgb.pth": (3, True, 0, 75),
    "256x256_diffusion_uncond.pt": (3, False, 1.275, 20069),
    "edm-ffhq-64x64-uncond-vp.pt": (3, False, 0.255, 10200),
    "ircnn_gray.pth": (1, True, 2, 50),
}
FAMILIES = {
    "drunet": "DRUNet",
    "dncnn": "DnCNN",
    "ffdnet": "FFDNet",
    "net": "FFDNet",
    "256x256": "guided-diffusion",
    "edm-ffhq-64x64-uncond-vp.pt": "EDM",
    "ircnn": "IRCNN",
}
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write the tensors of a small network of a layout, changed by a function, and return the file."""

    def saved(name: str, change: Callable[[foreign.Tensors], object] = lambda tensors: None, file: str = "") -> Path:
        tensors = foreign.drawn(foreign.FILES[name])
        change(tensors)
        path = tmp_path / (file or name)
        if path.suffix == ".safetensors":
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
        else:
            torch.save(tensors, path)
        return path

    return saved


@pytest.mark.parametrize("name", foreign.FILES)
def test_a_file_is_of_one_format_alone(name: str, save: Save) -> None:
    """So the order of the formats does not matter."""
    assert recognised(save(name)) == [FAMILIES.get(name.partition("_")[0], name)]


def load(path: Path) -> ModulePrior:
    prior = load_prior(path)
    assert isinstance(prior, ModulePrior)
    return prior


@pytest.mark.parametrize("name", foreign.FILES)
def test_each_layout_is_recognised_and_says_what_it_was_trained_for(name: str, save: Save) -> None:
    prior = load(save(name))
    channels, symmetric, low, high = EXPECTED[name]
    assert prior.name == Path(name).stem
    assert (prior.domain.channels, prior.domain.symmetric, prior.domain.complex) == (channels, symmetric, False)
    assert 0.4 < prior.domain.mean < 0.5
    assert prior.noise_levels == pytest.approx((low / 255, high / 255), rel=1e-3, abs=1e-9)
    r = random(2, 3, 9, 11, dtype=torch.float32).requires_grad_()
    sigma = torch.tensor([[0.1, 0.1, 0.1], [0.2, 0.05, 0.1]]).view(2, 3, 1, 1)
    denoised = prior(r, sigma)
    assert denoised.shape == r.shape and denoised.isfinite().all()
    denoised.sum().backward()
    assert r.grad is not None and r.grad.any()
    assert not any(parameter.requires_grad or prior.network.training for parameter in prior.network.parameters())


@pytest.mark.parametrize("name", ["ffdnet_gray.pth", "net_gray.pth", "drunet_gray.pth"])
def test_grey_networks_take_colours_one_by_one_with_their_levels(name: str, save: Save) -> None:
    prior = load(save(name))
    r, sigma = random(1, 3, 8, 8, dtype=torch.float32), torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    each = [prior(r[:, c : c + 1], sigma[:, c : c + 1]) for c in range(3)]
    torch.testing.assert_close(prior(r, sigma), torch.cat(each, 1))


def test_colour_networks_take_the_root_mean_square_of_the_levels(save: Save) -> None:
    prior = load(save("ffdnet_color.pth"))
    r, sigma = random(1, 3, 8, 8, dtype=torch.float32), torch.tensor([0.1, 0.2, 0.2]).view(1, 3, 1, 1)
    torch.testing.assert_close(prior(r, sigma), prior(r, torch.full((1, 1, 1, 1), 0.03**0.5)))


def test_what_surrounds_the_tensors_does_not_matter(save: Save, tmp_path: Path) -> None:
    """Names from training in parallel, counters of batch normalisation, half precision, old pickles, safetensors."""
    plain = foreign.drawn(foreign.FILES["net_gray.pth"])
    counters = {name.replace("mean", "x"): t for name, t in plain.items() if "running_mean" in name}
    counters = {name.replace("running_x", "num_batches_tracked"): torch.tensor(9) for name in counters}
    parallel = {f"module.{name}": tensor for name, tensor in {**plain, **counters}.items()}
    torch.save(parallel, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save("net_gray.pth", file="x.safetensors")
    r, sigma = random(1, 1, 8, 8, dtype=torch.float32), torch.full((1, 1, 1, 1), 0.1)
    expected = load(save("net_gray.pth"))(r, sigma)
    for file in ("old.pth", "x.safetensors"):
        assert torch.equal(load(tmp_path / file)(r, sigma), expected)
    half = save("net_gray.pth", lambda tensors: tensors.update({k: t.half() for k, t in tensors.items()}))
    torch.testing.assert_close(load(half)(r, sigma), expected, rtol=0, atol=0.05)
    networks = foreign.drawn(foreign.FILES["ircnn_gray.pth"])
    nested = {str(n): {k.partition(".")[2]: t for k, t in networks.items() if k.startswith(f"{n}.")} for n in range(25)}
    torch.save(nested, tmp_path / "nested.pth")  # as published
    assert torch.equal(load(tmp_path / "nested.pth")(r, sigma), load(save("ircnn_gray.pth"))(r, sigma))
    edm = foreign.drawn(foreign.FILES["edm-ffhq-64x64-uncond-vp.pt"])
    torch.save({f"model.{name}": tensor for name, tensor in edm.items()}, tmp_path / "edm.pt")
    r = random(1, 3, 8, 8, dtype=torch.float32)
    assert torch.equal(load(tmp_path / "edm.pt")(r, sigma), load(save("edm-ffhq-64x64-uncond-vp.pt"))(r, sigma))


@pytest.mark.parametrize("name", foreign.FILES)
def test_missing_unknown_and_misshapen_tensors_are_named(name: str, save: Save) -> None:
    names = list(foreign.FILES[name])
    kernel = next(
        key for key in names[len(names) // 2 :] if key.endswith("weight") and len(foreign.FILES[name][key]) > 1
    )
    with pytest.raises(InputError, match=rf"{kernel} is missing"):
        load_prior(save(name, lambda tensors: tensors.pop(kernel)))
    with pytest.raises(InputError, match=rf"{kernel}\b.* is \(2, 2\)|no network that can be built"):
        load_prior(save(name, lambda tensors: tensors.update({kernel: torch.zeros(2, 2)})))
    narrow = foreign.FILES[name][kernel][0], foreign.FILES[name][kernel][1] + 1, *foreign.FILES[name][kernel][2:]
    with pytest.raises(InputError, match=rf"{kernel} is {re.escape(str(narrow))}, expected"):
        load_prior(save(name, lambda tensors: tensors.update({kernel: torch.zeros(narrow)})))
    with pytest.raises(InputError, match="stranger is unknown"):
        load_prior(save(name, lambda tensors: tensors.update(stranger=torch.zeros(3))))
    with pytest.raises(NumericalError, match=f"not finite, in {kernel}"):
        load_prior(save(name, lambda tensors: tensors[kernel].fill_(float("nan"))))


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        ("dncnn_25.pth", "mine.pth", {}, "a DnCNN for one noise level, and its name does not say which"),
        ("256x256_diffusion_uncond.pt", "x.pt", {"label_emb.weight": (5, 256)}, "needs the class of the image"),
        ("edm-ffhq-64x64-uncond-vp.pt", "x.pt", {"map_label.weight": (8, 5)}, "needs the class of the image"),
        ("edm-ffhq-64x64-uncond-vp.pt", "baseline-ffhq.pt", {}, "another preconditioning"),
        ("dncnn_25.pth", "x.pth", foreign.kair_shapes(2, 2, 5, 6), "for images of 2 channels"),
        ("dncnn_25.pth", "x.pth", foreign.kair_shapes(2, 1, 5, 6), "5 convolutions from 2 to 1 channels"),
        ("dncnn_25.pth", "x_25.pth", foreign.kair_shapes(1, 1, 7, 6), "7 convolutions from 1 to 1 channels"),
    ],
)
def test_what_cannot_serve_is_said(name: str, file: str, change: foreign.Shapes, message: str, save: Save) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_prior(save(name, lambda tensors: tensors.update(foreign.drawn(change)), file))
    assert type(caught.value) is InputError and "\n" not in caught.value.message + caught.value.hint


def test_sizes_that_the_file_does_not_hold(tmp_path: Path) -> None:
    """A view of one number, as large as it likes."""
    torch.save({"model.0.weight": torch.zeros(1).expand(10**6, 10**6, 3, 3)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="it is damaged, or holds more than tensors"):
        load_prior(tmp_path / "x.pth")
    torch.save({"model.99999.weight": torch.zeros(1, 1, 3, 3)}, tmp_path / "x.pth")
    assert load_prior(tmp_path / "x.pth") is None


def test_other_state_dicts_are_none_of_these(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3)}, tmp_path / "x.pth")
    save_file({"a.weight": torch.zeros(3)}, tmp_path / "x.safetensors")
    assert load_prior(tmp_path / "x.pth") is load_prior(tmp_path / "x.safetensors") is None
