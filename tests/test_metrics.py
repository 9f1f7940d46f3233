"""PSNR and SSIM against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from idmcli.metrics import psnr, ssim


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 7, 7), (1, 7, 12), (1, 31, 18), (3, 16, 9), (3, 8, 8)]),
    st.sampled_from([1.0, 255.0, 2.5]),
    st.sampled_from([torch.float32, torch.float64]),
    st.floats(1e-4, 1.0),
)
def test_agrees_with_scikit_image(
    seed: int, shape: tuple[int, int, int], data_range: float, dtype: torch.dtype, noise: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    ref = torch.rand(3, *shape, generator=generator, dtype=dtype) * data_range
    x = (ref + noise * data_range * torch.randn(ref.shape, generator=generator, dtype=dtype)).clamp(0, data_range)
    found_psnr, found_ssim = psnr(x, ref, data_range), ssim(x, ref, data_range)
    assert found_psnr.dtype == found_ssim.dtype == torch.float64
    for i in range(3):
        a, b = x[i].double().numpy(), ref[i].double().numpy()
        assert abs(found_psnr[i].item() - peak_signal_noise_ratio(b, a, data_range=data_range)) < 1e-9
        expected = structural_similarity(b, a, data_range=data_range, channel_axis=0)
        assert abs(found_ssim[i].item() - expected) < 1e-6


def test_photographs() -> None:
    grey = torch.from_numpy(data.camera()[:200, :180] / 255.0)
    colour = torch.from_numpy(np.moveaxis(data.astronaut()[:160, :200] / 255.0, -1, 0).copy())
    for image in (grey[None], colour):
        blurred = torch.nn.functional.avg_pool2d(image[None], 3, stride=1, padding=1)
        a, b = blurred[0].numpy(), image.numpy()
        expected = structural_similarity(b, a, data_range=1.0, channel_axis=0)
        assert ssim(blurred, image[None]).item() == pytest.approx(expected, abs=1e-9)
        assert psnr(blurred, image[None]).item() == pytest.approx(
            peak_signal_noise_ratio(b, a, data_range=1.0), abs=1e-9
        )


def test_an_image_does_not_depend_on_its_batch() -> None:
    x, ref = torch.rand(2, 4, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    for metric in (psnr, ssim):
        together = metric(x, ref)
        assert torch.allclose(together, torch.cat([metric(x[i : i + 1], ref[i : i + 1]) for i in range(4)]), atol=1e-13)


def test_known_values() -> None:
    ref = torch.zeros(2, 1, 8, 8)
    x = torch.stack([torch.full((1, 8, 8), 0.1), torch.zeros(1, 8, 8)])
    assert psnr(x, ref)[0].item() == pytest.approx(20.0, abs=1e-6)
    assert psnr(x, ref)[1].item() == math.inf
    assert ssim(x, ref)[1].item() == 1.0
    assert ssim(x, ref)[0].item() == pytest.approx(1e-4 / (0.01 + 1e-4), abs=1e-6)


def test_values_are_taken_as_they_are() -> None:
    ref = torch.ones(1, 1, 8, 8)
    assert psnr(ref * 1.1, ref).item() == pytest.approx(20.0, abs=1e-5)


def test_too_small_for_a_window() -> None:
    x = torch.rand(2, 1, 6, 30)
    assert torch.isnan(ssim(x, x)).tolist() == [True, True]
    assert psnr(x, x).tolist() == [math.inf, math.inf]


def test_wrong_shapes() -> None:
    for metric in (psnr, ssim):
        with pytest.raises(ValueError, match="one shape"):
            metric(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9))
        with pytest.raises(ValueError, match="real images"):
            metric(torch.zeros(1, 1, 8, 8, dtype=torch.complex64), torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="B, C, H, W"):
        ssim(torch.zeros(8, 8), torch.zeros(8, 8))
