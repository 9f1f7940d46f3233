"""Losses by name."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

LossName = Literal["l1", "l2", "rmse", "psnr"]
FLOOR = 1e-6  # mean squared error below which the loss "psnr" gains nothing: 60 dB


def loss_of(error: Tensor, name: LossName) -> Tensor:
    """The mean absolute ("l1") or squared ("l2") error of a batch (B, ...), the root of the latter ("rmse"), or "psnr":
    the mean over its images of minus the PSNR in nats, ``log(MSE) / 2``, by which easy images count as much as hard
    ones."""
    if name == "l1":
        return error.abs().mean()
    if name == "l2":
        return error.square().mean()
    if name == "rmse":
        return error.square().mean().sqrt()
    return (error.square().flatten(1).mean(1) + FLOOR).log().mean() / 2
