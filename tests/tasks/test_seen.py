"""Measurements as people look at them."""

from __future__ import annotations

import pytest
import torch

from idmcli import tasks
from tests.small import MATRICES, NONLINEAR, OPERATORS, camera

SHAPED = {"blurred", "clipped", "masked", "zero-filled", "low resolution", "A+ y", "rough inverse"}
EVERY = OPERATORS | MATRICES | NONLINEAR


@pytest.mark.parametrize("name", EVERY)
def test_every_operator_is_seen(name: str) -> None:
    operator = EVERY[name]
    channels, height, width = operator.image_shape
    x = camera(max(height, width))[..., :height, :width].expand(-1, channels, -1, -1).double()
    label, picture = tasks.seen(operator, operator.A(x.to(torch.complex128) if operator.complex_image else x))
    assert bool(picture.isfinite().all()) and picture.ndim == 4 and picture.shape[1] in (1, 3)
    if label in SHAPED:
        assert picture.shape[1:] == operator.image_shape
    else:
        assert label == "sinogram" and float(picture.max()) <= 1
    if operator.kind in ("deblur", "sr"):
        assert float((picture - x).square().mean()) < float((x - x.mean()).square().mean())  # not noise


def test_labels() -> None:
    labels = {
        operator.kind: tasks.seen(operator, operator.A(torch.rand(1, *operator.image_shape)))[0]
        for operator in EVERY.values()
        if not operator.complex_image
    }
    assert labels["inpainting"] == "masked" and labels["mri"] == "zero-filled" and labels["ct"] == "sinogram"
    assert labels["deblur"] == labels["nonlinear_deblur"] == "blurred" and labels["hdr"] == "clipped"
