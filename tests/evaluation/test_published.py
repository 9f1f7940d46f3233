"""The published figures, as printed in the paper."""

from __future__ import annotations

import math

import pytest

from idmcli.evaluation.published import Colour, Figure, published, published_psnr, source


def test_figures_of_the_paper() -> None:
    assert published("Set11", 0.1)["IDM"] == Figure("TPAMI 2025, T = 3", 32.92, 3.34)
    assert [published_psnr("set11", ratio)["PRL-PGD+"] for ratio in (0.1, 0.3, 0.5)] == [31.70, 37.89, 41.78]
    assert published("Urban100", 0.1, "rgb")["IDM"] == Figure("TPAMI 2025, T = 3", 30.85, 5.32, 0.897, 0.0855)
    assert "Invertible Diffusion Models" in source()


def test_what_was_not_published() -> None:
    assert "RK-CCSNet" not in published("Set11", 0.1)
    assert "RK-CCSNet" in published("Set11", 0.5)
    assert published("Set11", 0.1, "rgb") == {}
    assert published("Set11", 0.2) == {}
    assert published("holidays", 0.1) == {}
    assert published("venue", 0.1) == {}


LUMINANCE, RGB = ["Set11", "CBSD68", "Urban100", "DIV2K"], ["Urban100", "DIV2K"]
CELLS = [*((name, "luminance") for name in LUMINANCE), *((name, "rgb") for name in RGB)]


@pytest.mark.parametrize(("dataset", "colour"), CELLS)
@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
def test_every_figure_is_possible(dataset: str, ratio: float, colour: Colour) -> None:
    """A mean PSNR and its deviation over images, and SSIM where the paper prints it."""
    figures = published(dataset, ratio, colour)
    assert "IDM" in figures
    for figure in figures.values():
        assert math.isfinite(figure.psnr) and 0 < figure.psnr_std < figure.psnr
        if colour == "luminance":
            assert figure.ssim is figure.ssim_std is None
        else:
            assert figure.ssim is not None and figure.ssim_std is not None and 0 < figure.ssim_std < figure.ssim < 1


@pytest.mark.parametrize("dataset", LUMINANCE)
def test_more_measurements_never_harm_a_published_method(dataset: str) -> None:
    """As a transposed or mistyped figure would."""
    by_ratio = [published_psnr(dataset, ratio) for ratio in (0.1, 0.3, 0.5)]
    methods = set.intersection(*map(set, by_ratio))
    assert len(methods) > 10
    for method in methods:
        psnr = [figures[method] for figures in by_ratio]
        assert psnr == sorted(psnr), method
