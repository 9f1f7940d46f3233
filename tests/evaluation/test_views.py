"""Pictures of a page."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from idmcli.config import SolverConfig
from idmcli.evaluation.benchmark import Result
from idmcli.evaluation.tables import Score
from idmcli.evaluation.views import FULL_ERROR, LEVELS, SIDE, encode, encode_error, error_colours, views_of
from idmcli.measuring import Measurement
from idmcli.methods import Methods
from idmcli.operators import HDR, Blur, Inpainting, Operator, ParallelBeamCT
from tests.small import camera


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_exact_to_8_bits(channels: int) -> None:
    pixels = torch.arange(channels * 30 * 20) % 256
    found = decoded(encode((pixels / 255).view(1, channels, 30, 20)))
    expected = pixels.view(channels, 30, 20).expand(3, -1, -1).permute(1, 2, 0)
    np.testing.assert_array_equal(found, expected.numpy())


def test_large_pictures_are_reduced_to_means() -> None:
    x = torch.zeros(1, 1, 4 * SIDE, 2 * SIDE)
    x[..., ::2, :] = 1
    found = decoded(encode(x))
    assert found.shape == (SIDE, SIDE // 2, 3) and set(found.flat) == {128}
    assert decoded(encode_error(x, 0 * x)).shape == found.shape
    assert decoded(encode(torch.zeros(1, 1, 1, 5 * SIDE))).shape == (1, SIDE, 3)


def test_larger_errors_are_brighter() -> None:
    errors = torch.linspace(0, 2 * FULL_ERROR, 2 * LEVELS + 1)[None, None, None]
    brightness = decoded(encode_error(0.5 + errors, torch.full_like(errors, 0.5))).sum(2)[0]
    assert (np.diff(brightness[: LEVELS + 1].astype(int)) >= 0).all() and brightness[0] < 20
    assert (brightness[LEVELS:] == error_colours()[-1].sum()).all()
    colour = torch.zeros(1, 3, 1, 1)
    colour[0, 0] = 0.03
    np.testing.assert_array_equal(decoded(encode_error(colour, 0 * colour))[0, 0], error_colours()[LEVELS // 10])


def made_of(operator: Operator, x: Tensor) -> Result:
    m = Measurement(operator, operator.A(x)[0], truth=x[0])
    method = Methods(torch.device("cpu")).method("gradient", operator, None, SolverConfig())
    return Result(x / 2, m, method, Score("d", "gradient", 0.5, "i", 20.0, 0.5, 1.0))


def test_the_original_and_what_was_measured_stand_before_the_first_method() -> None:
    x = camera(16)
    made = made_of(Inpainting((1, 16, 16), {"type": "random", "ratio": 0.5, "seed": 0}), x)
    views = views_of(made, first=True)
    assert [view.label for view in views] == ["original", "masked", "gradient"]
    assert [view.label for view in views_of(made, first=False)] == ["gradient"]
    truth, rough, result = (decoded(view.picture) for view in views)
    np.testing.assert_array_equal(truth, decoded(encode(x)))
    kept = rough[..., 0] > 0
    assert 0.3 < kept.mean() < 0.7 and (rough[kept] == truth[kept]).all()
    np.testing.assert_array_equal(result, decoded(encode(x / 2)))
    assert [bool(view.error) for view in views] == [False, True, True]
    assert [view.score is not None for view in views] == [False, False, True]


@pytest.mark.parametrize(
    ("operator", "label"),
    [
        (Blur((1, 16, 16), {"type": "gaussian", "size": 9, "std": 2.0}), "blurred"),
        (HDR((1, 16, 16)), "clipped"),
        (ParallelBeamCT((1, 16, 16), 12), "A+ y"),
    ],
)
def test_what_was_measured_is_shown_where_it_lies_over_the_original(operator: Operator, label: str) -> None:
    """A+ y of a blur is bright noise; a sinogram has another shape than the image."""
    x = camera(16)
    original, measured, _ = views_of(made_of(operator, x), first=True)
    assert measured.label == label and decoded(measured.picture).shape == decoded(original.picture).shape
    if label != "A+ y":
        np.testing.assert_array_equal(decoded(measured.picture), decoded(encode(operator.A(x).clamp(0, 1))))
