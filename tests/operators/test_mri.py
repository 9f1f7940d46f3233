"""MRI against numpy's FFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators import MRI


def random_mask(height: int, width: int) -> torch.Tensor:
    return torch.rand(height, width, generator=torch.Generator().manual_seed(0)) < 0.5


@pytest.mark.parametrize("shape", [(8, 10), (9, 7)])
def test_single_coil_against_numpy(shape: tuple[int, int]) -> None:
    mask = random_mask(*shape)
    x = torch.rand(1, 1, *shape, dtype=torch.float64)
    operator = MRI((1, *shape), mask)
    kspace = np.fft.fft2(x[0, 0].numpy(), norm="ortho")
    np.testing.assert_allclose(operator.A(x)[0, 0].numpy(), kspace[mask.numpy()], atol=1e-14)
    zero_filled = np.fft.ifft2(kspace * mask.numpy(), norm="ortho").real
    np.testing.assert_allclose(operator.normal(x)[0, 0].numpy(), zero_filled, atol=1e-14)


@pytest.mark.parametrize("shape", [(8, 10), (9, 7)])
def test_coils_against_numpy(shape: tuple[int, int]) -> None:
    mask = random_mask(*shape)
    maps = torch.randn(3, *shape, dtype=torch.complex128)
    x = torch.randn(1, 1, *shape, dtype=torch.complex128)
    operator = MRI((1, *shape), mask, sensitivity=maps, complex_image=True)
    for coil in range(3):
        kspace = np.fft.fft2((maps[coil] * x[0, 0]).numpy(), norm="ortho")
        np.testing.assert_allclose(operator.A(x)[0, coil].numpy(), kspace[mask.numpy()], atol=1e-13)


@pytest.mark.parametrize("shape", [(8, 10), (9, 7), (1, 5)])
def test_closed_form_against_dense_pseudo_inverse(shape: tuple[int, int]) -> None:
    operator = MRI((1, *shape), random_mask(*shape))
    n = shape[0] * shape[1]
    columns = operator.A(torch.eye(n, dtype=torch.float64).view(n, 1, *shape)).flatten(1).T
    stacked = torch.cat([columns.real, columns.imag])  # the real map behind Re <a, b>
    y = torch.randn(operator.measurement_shape, dtype=torch.complex128)[None]
    expected = torch.linalg.pinv(stacked, rtol=1e-10) @ torch.cat([y.real, y.imag], -1).flatten()
    solution = operator.solve(y)
    assert solution.iterations == 0
    torch.testing.assert_close(solution.x.flatten(), expected)


@pytest.mark.parametrize("shape", [(8, 10), (9, 7)])
def test_dc_convention_of_a_given_mask(shape: tuple[int, int]) -> None:
    mask = random_mask(*shape)
    x = torch.rand(1, 1, *shape)
    centred = MRI((1, *shape), torch.fft.fftshift(mask), dc="centre")
    assert torch.equal(centred.A(x), MRI((1, *shape), mask).A(x))
    dc_only = torch.zeros(shape)
    dc_only[shape[0] // 2, shape[1] // 2] = 1
    value = MRI((1, *shape), dc_only, dc="centre").A(x).squeeze()
    torch.testing.assert_close(value.real, x.sum() / (shape[0] * shape[1]) ** 0.5)


def test_which_operators_are_tight() -> None:
    asymmetric = random_mask(9, 7)
    assert not MRI((1, 9, 7), asymmetric).tight
    assert MRI((1, 9, 7), asymmetric, complex_image=True).tight
    assert MRI((1, 9, 7), {"type": "radial", "lines": 3}).tight
    maps = torch.ones(1, 9, 7, dtype=torch.complex64)
    assert not MRI((1, 9, 7), {"type": "radial", "lines": 3}, sensitivity=maps).tight


def test_bad_arguments() -> None:
    mask = torch.ones(4, 4)
    with pytest.raises(InputError, match="3 channels"):
        MRI((3, 4, 4), mask)
    with pytest.raises(InputError, match="DC convention"):
        MRI((1, 4, 4), mask, dc="middle")
    bad = [torch.ones(2, 4, 4), torch.ones(4, 4, dtype=torch.complex64), torch.ones(2, 4, 5, dtype=torch.complex64)]
    for maps in bad:
        with pytest.raises(InputError, match="sensitivity maps"):
            MRI((1, 4, 4), mask, sensitivity=maps)
    with pytest.raises(InputError, match="NaN"):
        MRI((1, 4, 4), mask, sensitivity=torch.full((2, 4, 4), float("nan"), dtype=torch.complex64))
    operator = MRI((1, 4, 4), mask)
    with pytest.raises(InputError, match="complex64 or complex128"):
        operator.AT(torch.ones(1, 1, 16))
    with pytest.raises(InputError, match="float32 or float64"):
        operator.A(torch.ones(1, 1, 4, 4, dtype=torch.complex64))
