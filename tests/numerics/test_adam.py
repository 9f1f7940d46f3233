"""Adam against PyTorch's."""

from __future__ import annotations

import pytest
import torch

from idmcli.numerics.adam import Adam
from tests.small import random


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_it_steps_as_pytorch_does(dtype: torch.dtype) -> None:
    start, target = random(2, 3, 4, dtype=dtype), random(2, 3, 4, dtype=dtype, seed=1)
    ours, theirs = start.clone(), start.clone()
    adam, known = Adam(ours, 0.1, (0.8, 0.95)), torch.optim.Adam([theirs], 0.1, (0.8, 0.95))
    for _ in range(5):
        adam.step(ours - target)
        theirs.grad = theirs - target
        known.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert not torch.equal(ours, start)
