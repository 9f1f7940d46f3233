"""Simulated measurements: what is measured, its file, and what solvers make of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from idmcli.config import Config, SolverConfig, load_config
from idmcli.errors import ConfigError, InputError
from idmcli.io.images import Image, luminance
from idmcli.measuring import Measurement, Provenance, load_measurement, select_channels, simulate, to_batch
from idmcli.measuring.file import Stored
from idmcli.methods import Method, Methods, solve
from idmcli.methods.reconstruction import as_pictures
from idmcli.metrics import psnr, quality, ssim
from idmcli.operators import Inpainting, Problem
from idmcli.solvers import NoOptions, Progress, Solver
from tests.small import each, picture

CPU = torch.device("cpu")
PROVENANCE = Provenance("idm sense a.png", "a.png", "0" * 64)
SIZE = (18, 21)


def settings(kind: str, channels: Any = None, **operator: Any) -> Config:
    """A configuration that went through the same checks as the user's."""
    given = {"task.kind": kind, "task.channels": channels} | {f"operator.{k}": v for k, v in operator.items()}
    return load_config(flags={key: (key, value) for key, value in given.items()}).config


def photo(colour: bool = False, bits: int = 8, name: str = "a.png") -> Image:
    shape = (*SIZE, 3) if colour else SIZE
    return Image(np.random.default_rng(0).random(shape).astype(np.float32), bits, Path(name), ())


CONFIGS = [
    settings("cs", block=8),
    settings("cs", block=8, ratio=0.5, permutation="none"),
    settings("inpainting", ratio=0.25),
    settings("inpainting", mask="boxes", boxes=((0, 0, 9, 21),)),
    settings("mri", ratio=0.6, coils=2),
    settings("mri", mask="random-lines", acceleration=3.0, centre_fraction=0.1),
    settings("ct", views=7, detectors=33),
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_file_gives_back_the_measurement(tmp_path: Path, config: Config, noise: float) -> None:
    config = replace(config, operator=replace(config.operator, noise=noise))
    image = photo(bits=16)
    m = simulate(image, config, PROVENANCE)
    m.save(tmp_path / "m.safetensors")
    again = load_measurement(tmp_path / "m.safetensors")
    assert torch.equal(again.y, m.y) and again.truth is None
    assert (again.noise, again.noise_seed, again.bits) == (noise, m.noise_seed, 16)
    assert (again.seed, again.amount) == (m.seed, m.amount)
    assert torch.equal(again.operator.A(to_batch(image)), m.operator.A(to_batch(image)))
    error = (again.operator.A(to_batch(image))[0] - m.y).abs().square().mean().sqrt()
    scale = 2**0.5 if m.y.is_complex() else 1
    assert (error == 0) if noise == 0 else (0.08 * scale < error < 0.12 * scale)


def test_noise_differs_between_pictures_and_seeds() -> None:
    def noise(name: str, seed: int) -> Tensor:
        m = simulate(photo(name=name), settings("inpainting", ratio=1.0, noise=0.1, seed=seed))
        return m.y - m.operator.A(to_batch(photo()))[0]

    a, again, b, other = noise("a", 0), noise("a", 0), noise("b", 0), noise("a", 1)
    assert torch.equal(a, again)
    for different in (b, other):
        assert float((a * different).mean().abs()) < 0.1 * float(a.square().mean())


def test_the_seed_of_a_solver_follows_from_what_was_measured_alone() -> None:
    """Not from the name or folder of a file; it differs between operators and between noises."""
    configs = [settings("inpainting", noise=noise, seed=seed) for noise in (0.0, 0.1) for seed in (0, 1)]
    measured = [simulate(photo(), config) for config in configs]
    assert len({m.seed for m in measured}) == 4
    for m in measured:
        elsewhere = replace(PROVENANCE, source="elsewhere.png", command="idm sense elsewhere.png")
        assert Stored.of(replace(m, provenance=elsewhere)).measurement().seed == m.seed


def test_channels_are_selected_as_asked() -> None:
    grey, colour = photo(), photo(colour=True)
    assert select_channels(grey, settings("cs")) is grey and select_channels(colour, settings("cs")) is colour
    assert select_channels(grey, settings("cs", 1)) is grey and select_channels(colour, settings("cs", 3)) is colour
    for config in (settings("cs", 1), settings("mri"), settings("ct")):
        reduced = select_channels(colour, config)
        assert reduced.notes == ("colours reduced to luminance",)
        assert reduced.pixels.dtype == np.float32 and np.allclose(reduced.pixels, luminance(colour.pixels))
        assert select_channels(reduced, config) is reduced
        assert Stored.of(simulate(colour, config)).colour == "grey"
    with pytest.raises(InputError, match="'a.png' is grey, and colour is asked for"):
        select_channels(grey, settings("cs", 3))
    for kind in ("mri", "ct"):
        with pytest.raises(ConfigError, match=f"task {kind} measures one channel"):
            settings(kind, 3)


def test_each_channel_is_measured_separately() -> None:
    colour = photo(colour=True)
    m = Stored.of(simulate(colour, settings("cs", block=8)))
    assert (m.colour, m.spec["image_shape"]) == ("rgb", [3, *SIZE])
    for kind, channel in (("cs", 0), ("inpainting", 1)):  # the permutation of each further colour is its own
        single = Image(np.ascontiguousarray(colour.pixels[..., channel]), 8, colour.path, ())
        options = settings(kind, **({"block": 8} if kind == "cs" else {}))
        assert torch.equal(simulate(colour, options).y[channel], simulate(single, options).y[0])
    assert np.array_equal(to_batch(colour)[0, 2], colour.pixels[..., 2])


def test_files_whose_parts_do_not_fit_are_refused() -> None:
    m = Stored.of(simulate(photo(), settings("ct", views=7, detectors=33)))
    with pytest.raises(InputError, match=r"have shape \(1, 6, 33\), but their operator \(ct\) gives \(1, 7, 33\)"):
        replace(m, y=m.y[:, :6]).measurement()
    with pytest.raises(InputError, match="marked as rgb, but the image has 1 channels"):
        replace(m, colour="rgb").measurement()
    with pytest.raises(InputError, match="operator kind"):
        replace(m, spec={**m.spec, "kind": "fan"}).measurement()


def noisy_pinv(problem: Problem, prior: None, options: NoOptions, generator: Generator, progress: Progress) -> Tensor:
    for step in (1, 2):
        progress(step, 2)
    return problem.pinv + 0.1 * torch.rand(problem.pinv.shape, generator=generator)


@pytest.mark.parametrize("first", [None, 5, 2**32 - 1])
def test_samples_have_seeds_that_follow_one_another(first: int | None) -> None:
    method = Method(Solver("x", "x", noisy_pinv, samples=True), NoOptions(), None, CPU)
    m = simulate(photo(), settings("inpainting"))
    told: list[tuple[int, int]] = []
    found = solve(m, method, samples=3, seed=first, progress=lambda *step: told.append(step))
    start = m.seed if first is None else first
    alone = [solve(m, method, seed=(start + n) % 2**32).x for n in range(3)]
    assert torch.equal(found.x, torch.cat(alone)) and len({x.sum().item() for x in alone}) == 3
    assert told == [(k, 6) for k in range(1, 7)] and found.seconds > 0


def test_pictures_are_magnitudes_between_black_and_white() -> None:
    real = torch.tensor([-0.5, 0.25, 1.5]).view(1, 1, 1, 3)
    assert as_pictures(real).flatten().tolist() == [0.0, 0.25, 1.0]
    turned = torch.polar(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.0])).view(1, 1, 1, 2)
    torch.testing.assert_close(as_pictures(turned).flatten(), torch.tensor([0.5, 1.0]))


def test_what_is_scored_is_what_was_measured() -> None:
    m = simulate(photo(colour=True), settings("cs", 1, block=8, ratio=0.5))
    assert m.truth is not None and m.truth.shape == (1, *SIZE)
    x = solve(m, Methods(CPU).method("tikhonov", m.operator, None, SolverConfig())).x
    truth = m.truth[None]
    assert quality(x, truth) == (float(psnr(x, truth)), float(ssim(x, truth)))
    assert quality(truth, truth).psnr == float("inf")


@each("mri-coils", "ct", "cs-blocks-colour")
def test_the_amount_is_the_tasks(operator: Any) -> None:
    m = Measurement(operator, operator.A(picture(operator))[0])
    assert 0 < m.amount.ratio <= 1 and f"{100 * m.amount.ratio:.1f} %" in m.amount.text


def test_the_truth_of_a_simulated_measurement_is_met() -> None:
    m = simulate(photo(), settings("inpainting", ratio=1.0))
    assert isinstance(m.operator, Inpainting)
    assert torch.equal(m.operator.AT(m.y[None])[0], m.truth)  # type: ignore[arg-type]
