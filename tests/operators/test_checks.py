"""Sizes and integers: what passes, and what is said of what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators.checks import check_image_shape, check_integer, check_shape


def test_sizes_may_be_those_of_numpy() -> None:
    found = check_image_shape(np.zeros((1, 5, 6)).shape), check_image_shape([np.int64(3), 4, 5])
    assert check_image_shape(np.array([1, 2, 3])) == check_image_shape(torch.tensor([1, 2, 3])) == (1, 2, 3)
    assert found == ((1, 5, 6), (3, 4, 5)) and all(type(size) is int for size in found[1])
    assert check_shape("measurement shape", [np.int32(7)]) == (7,)
    assert type(check_integer("count", np.int16(4), 1, 9)) is int
    for huge in ([1, 2**20, 2**21], [1, 10**30, 8]):
        with pytest.raises(InputError, match="the image shape is") as caught:
            check_image_shape(huge)
        assert "at most 1099511627776 values" in caught.value.hint
    for bad in (7, (), (0,), (True,), "7", (2.0,), (2**41,)):
        with pytest.raises(InputError, match="the measurement shape is"):
            check_shape("measurement shape", bad)
    for bad in (0, 10, True, 3.0, "3", np.True_):
        with pytest.raises(InputError, match="the count is"):
            check_integer("count", bad, 1, 9)
