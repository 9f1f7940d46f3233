"""Losses against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from idmcli.metrics import psnr
from idmcli.training.losses import FLOOR, loss_of


def test_absolute_and_squared_errors() -> None:
    error = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    assert float(loss_of(error, "l1")) == 1.5
    assert float(loss_of(error, "l2")) == 3.5


def test_minus_the_psnr() -> None:
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = torch.tensor([0.3, 0.03, 0.01]).view(-1, 1, 1, 1) * (x - 0.5)
    expected = -float(psnr(x + error, x).mean()) * math.log(10) / 20
    assert float(loss_of(error, "psnr")) == pytest.approx(expected, rel=1e-2)


def test_what_is_perfect_has_finite_gradients() -> None:
    error = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = loss_of(error, "psnr")
    loss.backward()
    assert error.grad is not None and not error.grad.any()
    assert loss.item() == pytest.approx(math.log(FLOOR) / 2)
