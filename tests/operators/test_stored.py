"""Checksums of tensors, and complex numbers in files."""

from __future__ import annotations

import pytest
import torch

from idmcli.operators.stored import digest, restored, storable


def test_digests_follow_each_other() -> None:
    one, other = torch.arange(3.0), torch.arange(4, dtype=torch.int32)
    assert digest(one, other) != digest(other, one)
    assert digest(torch.cat([one, one])) == digest(one, one)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.complex128])
def test_complex_numbers_in_double_precision_are_stored_as_pairs(dtype: torch.dtype) -> None:
    t = torch.randn(3, 2, dtype=dtype)
    assert storable(t).dtype != torch.complex128
    assert torch.equal(restored(storable(t), 2), t)
