"""Filtered back-projection, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, resize

from idmcli import solvers
from idmcli.config import check_value
from idmcli.metrics import psnr
from idmcli.operators import ParallelBeamCT, add_noise
from idmcli.solvers.fbp import FbpOptions, Window
from tests.small import OPERATORS, camera, each, run


@pytest.mark.parametrize("window", ["ram-lak", "shepp-logan", "cosine", "hamming", "hann"])
@pytest.mark.parametrize("size", [64, 63])
def test_against_iradon(window: Window, size: int) -> None:
    image = np.asarray(resize(shepp_logan_phantom(), (size, size), anti_aliasing=True), np.float64)
    operator = ParallelBeamCT((1, size, size), 90)
    y = operator.A(torch.from_numpy(image)[None, None])
    expected = iradon(
        y[0, 0].numpy().T,
        theta=np.linspace(0, 180, 90, endpoint=False),
        filter_name=window.replace("ram-lak", "ramp"),
        circle=False,
        output_size=size,
    )
    ours = run("fbp", operator, y, window=window)[0, 0].numpy()
    inner = slice(4, -4)  # outside the detectors one interpolates to zero, the other cuts
    # scikit-image samples all windows but the first two one point off.
    exact = window in ("ram-lak", "shepp-logan")
    np.testing.assert_allclose(ours[inner, inner], expected[inner, inner], atol=1e-10 if exact else 3e-3)
    assert np.abs(ours - image).mean() < 0.05
    assert run("fbp", operator, y.float(), window=window).dtype == torch.float32


def test_many_views_lead_back_to_the_image() -> None:
    x, operator = camera(48, 2), ParallelBeamCT((1, 48, 48), 120)
    y = operator.A(x)
    assert psnr(run("fbp", operator, y)[..., 4:-4, 4:-4], x[..., 4:-4, 4:-4]) > 27
    assert psnr(run("fbp", operator, y, window="hann"), x) < psnr(run("fbp", operator, y), x)


def test_windows_damp_noise() -> None:
    x, operator = camera(48, 2), ParallelBeamCT((1, 48, 48), 60)
    y = add_noise(operator.A(x), 2.0, 0)
    found = [float(psnr(run("fbp", operator, y, window=window), x)) for window in ("ram-lak", "cosine", "hann")]
    assert found == sorted(found) and found[-1] > found[0] + 2


@each("cs-global", "inpainting-given", "mri-radial", "ct", "ct-angles-colour")
def test_it_is_for_line_integrals(operator: object) -> None:
    refusal = solvers.why_not(solvers.find("fbp"), operator)  # type: ignore[arg-type]
    assert (refusal == "") == (operator in (OPERATORS["ct"], OPERATORS["ct-angles-colour"]))
    assert not refusal or "an operator of line integrals (ct, fan)" in refusal


def test_an_unknown_window_is_refused() -> None:
    assert "expected 'ram-lak'" in check_value(FbpOptions, "window", "hanning")[1]
