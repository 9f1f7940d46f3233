"""From a configuration to the operator and the measurements it asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from idmcli.measuring import (
    build_operator,
    coil_maps,
    item_seed,
    measure,
    ratio_of,
    read_mask,
    require_ratio,
    select_channels,
    simulate,
    to_batch,
)

from idmcli.config import Config, OperatorConfig, TaskConfig, load_config
from idmcli.errors import ConfigError, InputError
from idmcli.io.images import Image, luminance, write_image
from idmcli.io.measurements import Provenance, load_measurements, operator_of, save_measurements
from idmcli.operators import MRI, CompressedSensing, Inpainting, ParallelBeamCT

PROVENANCE = Provenance("idm sense a.png", "a.png", "0" * 64)
SIZE = (18, 21)


def settings(kind: str, channels: Any = None, **operator: Any) -> Config:
    """A configuration that went through the same checks as the user's."""
    given = {"task.kind": kind, "task.channels": channels} | {f"operator.{k}": v for k, v in operator.items()}
    return load_config(flags={key: (key, value) for key, value in given.items()}).config


def picture(colour: bool = False, bits: int = 8, name: str = "a.png") -> Image:
    shape = (*SIZE, 3) if colour else SIZE
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    return Image(pixels, bits, Path(name), ())


@pytest.fixture
def mask_file(tmp_path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    mask = np.random.default_rng(1).random(SIZE) < 0.4
    write_image(tmp_path / "mask.png", mask.astype(float))
    return tmp_path / "mask.png", mask


def test_seeds_of_items_are_fixed_and_differ() -> None:
    assert item_seed(0, "a.png") == 3325714861  # printf 0/a.png | sha256sum, first 8 digits; files depend on it
    seeds = {item_seed(seed, item) for seed in (0, 1, 12) for item in ("a.png", "b.png", "2.png", "a.png/noise")}
    assert len(seeds) == 12 and all(0 <= seed < 2**32 for seed in seeds)
    assert item_seed(0, os.fsdecode(b"\xff.png")) != item_seed(0, "ff.png")


CASES: list[tuple[Config, type, float]] = [
    (settings("cs"), CompressedSensing, 308 / 1024),
    (settings("cs", block=8, ratio=0.5, permutation="none"), CompressedSensing, 0.5),
    (settings("inpainting"), Inpainting, 0.5),
    (settings("inpainting", ratio=0.25), Inpainting, 0.25),
    (settings("inpainting", mask="boxes", boxes=((0, 0, 9, 21),)), Inpainting, 0.5),
    (settings("mri"), MRI, 0.2),
    (settings("mri", ratio=0.6), MRI, 0.6),
    (settings("mri", mask="equispaced", acceleration=3.0), MRI, 1 / 3),
    (settings("mri", mask="random-lines", acceleration=3.0, centre_fraction=0.1), MRI, 1 / 3),
    (settings("ct", views=7, detectors=33), ParallelBeamCT, 7 * 33 / (18 * 21)),
]


@pytest.mark.parametrize(("config", "kind", "ratio"), CASES)
def test_every_task_and_mask(config: Config, kind: type, ratio: float) -> None:
    operator = build_operator(config, (1, *SIZE), "a.png")
    assert type(operator) is kind
    padding = np.prod(operator.padded_shape) / np.prod(SIZE)
    slack = 0.15 if config.task.kind == "mri" and config.operator.mask is None else 0.005  # a radial line at a time
    assert ratio - 0.005 <= operator.ratio / padding <= ratio + slack
    if ratio_of(config) is not None:
        assert require_ratio(config) == ratio_of(config)
        assert abs((ratio_of(config) or 0) - ratio) < 0.005


@pytest.mark.parametrize(("config", "kind", "ratio"), CASES)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_file_gives_back_operator_and_measurements(
    tmp_path: Path, config: Config, kind: type, ratio: float, noise: float
) -> None:
    config = Config(config.task, OperatorConfig(**(vars(config.operator) | {"noise": noise})))
    image = picture(bits=16)
    save_measurements(tmp_path / "m.safetensors", measure(image, config, PROVENANCE))
    m = load_measurements(tmp_path / "m.safetensors")
    operator, y, noise_seed = simulate(image, config)
    assert torch.equal(m.y, y[0]) and (m.noise, m.noise_seed, m.bits) == (noise, noise_seed, 16)
    rebuilt = operator_of(m)
    assert torch.equal(rebuilt.AT(m.y[None]), operator.AT(y))
    error = (rebuilt.A(to_batch(image)) - y).abs().square().mean().sqrt()
    scale = 2**0.5 if m.y.is_complex() else 1
    assert (error == 0) if noise == 0 else (0.08 * scale < error < 0.12 * scale)


def test_the_matrix_comes_from_the_seed_and_the_rest_from_seed_and_name() -> None:
    def cs(item: str, **options: Any) -> CompressedSensing:
        operator = build_operator(settings("cs", block=8, **options), (1, *SIZE), item)
        assert isinstance(operator, CompressedSensing) and operator.permutation is not None
        return operator

    a, again, b, other = cs("a"), cs("a"), cs("b"), cs("a", seed=1)
    assert torch.equal(a.phi, again.phi) and torch.equal(a.permutation, again.permutation)  # type: ignore[arg-type]
    assert torch.equal(a.phi, b.phi) and not torch.equal(a.permutation, b.permutation)  # type: ignore[arg-type]
    assert not torch.equal(a.phi, other.phi)
    config = settings("inpainting")
    masks = [build_operator(config, (1, *SIZE), item).mask for item in "aab"]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])  # type: ignore[arg-type]


def test_noise_differs_between_pictures_and_seeds() -> None:
    def noise(name: str, seed: int) -> torch.Tensor:
        config = settings("inpainting", ratio=1.0, noise=0.1, seed=seed)
        operator, y, _ = simulate(picture(name=name), config)
        return operator.AT(y) - to_batch(picture())

    a, again, b, other = noise("a", 0), noise("a", 0), noise("b", 0), noise("a", 1)
    assert torch.equal(a, again)
    for different in (b, other):
        assert float((a * different).mean().abs()) < 0.1 * float(a.square().mean())


@pytest.mark.parametrize("dc", ["corner", "centre"])
def test_mask_files(mask_file: tuple[Path, np.ndarray[Any, Any]], dc: str) -> None:
    path, mask = mask_file
    operator = build_operator(settings("inpainting", mask="file", mask_file=str(path)), (3, *SIZE), "a")
    assert isinstance(operator, Inpainting) and np.array_equal(operator.mask, mask)
    mri = build_operator(settings("mri", mask="file", mask_file=str(path), mask_dc=dc), (1, *SIZE), "a")
    assert isinstance(mri, MRI)
    assert np.array_equal(mri.mask, np.fft.ifftshift(mask) if dc == "centre" else mask)
    assert mri.ratio == pytest.approx(mask.mean())


def test_a_mask_saved_in_colour_is_read(tmp_path: Path) -> None:
    mask = np.eye(4)
    write_image(tmp_path / "m.png", np.stack([mask] * 3, axis=2))
    assert np.array_equal(read_mask(tmp_path / "m.png", (1, 4, 4)), mask == 1)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.ones((18, 20)), r"'.*m\.png' is 18 x 20 pixels \(height x width\), the image 18 x 21"),
        (np.full(SIZE, 0.5), r"m\.png' is not black and white"),
        (np.stack([np.ones(SIZE), np.zeros(SIZE), np.zeros(SIZE)], axis=2), r"m\.png' is not black and white"),
        (np.zeros(SIZE), r"m\.png' is all black: nothing is measured"),
    ],
)
def test_wrong_mask_files(tmp_path: Path, pixels: np.ndarray[Any, Any], message: str) -> None:
    write_image(tmp_path / "m.png", pixels)
    for kind in ("inpainting", "mri"):
        with pytest.raises(InputError, match=message):
            build_operator(settings(kind, mask="file", mask_file=str(tmp_path / "m.png")), (1, *SIZE), "a")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (settings("inpainting", mask="file", mask_file="none.png"), "^the mask 'none.png' does not exist"),
        (settings("inpainting", mask="boxes", boxes=((0, 0, 19, 2),)), "not inside the 18 x 21 image"),
        (settings("inpainting", mask="boxes", boxes=((0, 0, 18, 21),)), "nothing is measured"),
        (settings("mri", mask="equispaced", acceleration=50.0), "acceleration is 50.0"),
        (settings("mri", mask="equispaced", centre_fraction=0.9), "centre alone"),
        (settings("cs", ratio=1e-13), "a ratio of 1e-13 measures nothing"),
    ],
)
def test_operators_that_do_not_fit(config: Config, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_operator(config, (1, *SIZE), "a")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (settings("ct"), "task ct takes no ratio"),
        (settings("mri", mask="equispaced"), "the equispaced mask takes no ratio"),
        (settings("inpainting", mask="file", mask_file="x"), "the file mask takes no ratio"),
    ],
)
def test_what_takes_no_ratio(config: Config, message: str) -> None:
    assert ratio_of(config) is None
    with pytest.raises(InputError, match=message) as caught:
        require_ratio(config)
    assert "--set" in caught.value.hint


def test_channels() -> None:
    grey, colour = picture(), picture(colour=True)
    assert select_channels(grey, settings("cs")) is grey and select_channels(colour, settings("cs")) is colour
    assert select_channels(grey, settings("cs", 1)) is grey and select_channels(colour, settings("cs", 3)) is colour
    for config in (settings("cs", 1), settings("mri"), settings("ct")):
        reduced = select_channels(colour, config)
        assert reduced.notes == ("colours reduced to luminance",)
        assert reduced.pixels.dtype == np.float32 and np.allclose(reduced.pixels, luminance(colour.pixels))
        assert select_channels(reduced, config) is reduced
        assert measure(colour, config, PROVENANCE).colour == "grey"
    with pytest.raises(InputError, match="'a.png' is grey, and colour is asked for"):
        select_channels(grey, settings("cs", 3))
    for kind in ("mri", "ct"):
        with pytest.raises(ConfigError, match=f"task {kind} measures one channel"):
            settings(kind, 3)


def test_each_channel_is_measured_separately() -> None:
    colour = picture(colour=True)
    m = measure(colour, settings("cs", block=8), PROVENANCE)
    assert (m.colour, m.spec["image_shape"]) == ("rgb", [3, *SIZE])
    green = Image(np.ascontiguousarray(colour.pixels[..., 1]), 8, colour.path, ())
    assert torch.equal(m.y[1], measure(green, settings("cs", block=8), PROVENANCE).y[0])
    assert to_batch(colour).shape == (1, 3, *SIZE) and np.array_equal(to_batch(colour)[0, 2], colour.pixels[..., 2])


def test_coil_maps() -> None:
    maps = coil_maps(4, SIZE)
    assert maps.shape == (4, *SIZE) and maps.dtype == torch.complex64
    assert torch.allclose(maps.abs().square().sum(0), torch.ones(SIZE), atol=1e-6)
    peaks = {
        tuple(map(bool, np.array(np.unravel_index(int(m.abs().argmax()), SIZE)) > np.array(SIZE) / 2)) for m in maps
    }
    assert len(peaks) >= 3  # each coil is brightest on its own side
    steps = [(maps[:, 1:] - maps[:, :-1]).abs().max(), (maps[..., 1:] - maps[..., :-1]).abs().max()]
    assert max(map(float, steps)) < 0.3  # smooth
    operator = build_operator(settings("mri", coils=4, ratio=1.0), (1, *SIZE), "a")
    x = torch.rand(1, 1, *SIZE)
    assert torch.allclose(operator.normal(x), x, atol=1e-5)  # fully sampled: sum_c |s_c|^2 = 1
    assert coil_maps(2, (1, 1)).shape == (2, 1, 1)


def test_defaults_are_compressed_sensing_at_thirty_percent() -> None:
    assert ratio_of(Config()) == 0.3 and TaskConfig().kind == "cs"
