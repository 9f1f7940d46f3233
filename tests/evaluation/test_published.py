"""The published figures, as printed in the paper."""

from __future__ import annotations

import pytest

from idmcli.evaluation.published import Figure, published, published_psnr, source


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


@pytest.mark.parametrize("dataset", ["Set11", "CBSD68", "Urban100", "DIV2K"])
@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
def test_every_table_is_complete(dataset: str, ratio: float) -> None:
    figures = published(dataset, ratio)
    assert len(figures) >= 17
    assert all(15 < f.psnr < 50 and 0 < f.psnr_std < 10 and f.ssim is None for f in figures.values())
    assert list(figures)[-1] == "IDM"
    for figure in published(dataset, ratio, "rgb").values():
        assert figure.ssim is not None
        assert 0 < figure.ssim < 1
