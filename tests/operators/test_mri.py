"""MRI against numpy's FFT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.measuring import Measurement, Provenance, load_measurement
from idmcli.operators import MRI
from tests.small import random_maps


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
@pytest.mark.parametrize("coils", [0, 2])
def test_centred_kspace_is_taken_in_its_own_order(shape: tuple[int, int], coils: int) -> None:
    """``k[mask]`` with DC in the middle of both, as scanners and numpy's fftshift have it."""
    mask = random_mask(*shape)
    maps = torch.randn(coils, *shape, dtype=torch.complex128) if coils else None
    x = torch.rand(1, 1, *shape, dtype=torch.float64)
    corner = MRI((1, *shape), mask, sensitivity=maps)
    centred = MRI((1, *shape), torch.fft.fftshift(mask), dc="centre", sensitivity=maps)
    kspace = np.fft.fftshift(np.fft.fft2(x.numpy() if maps is None else (maps * x).numpy(), norm="ortho"), (2, 3))
    y = torch.from_numpy(kspace[..., np.fft.fftshift(mask.numpy())])
    torch.testing.assert_close(centred.A(x), y)
    assert torch.equal(centred.mask, mask) and centred.tight == corner.tight
    torch.testing.assert_close(centred.AT(y), corner.AT(corner.A(x)))
    exact = {"tolerance": 1e-13, "max_iterations": 1000}
    torch.testing.assert_close(centred.solve(y, **exact).x, corner.solve(corner.A(x), **exact).x)


def test_the_order_is_in_the_specification_where_it_is_centred() -> None:
    mask = random_mask(8, 6)
    assert "dc" not in MRI((1, 8, 6), mask).to_spec()
    centred = MRI((1, 8, 6), mask, dc="centre")
    spec, arrays = centred.to_spec(), centred.arrays()
    assert spec["dc"] == "centre" and torch.equal(arrays["mask"], mask)  # as it was given, like y
    x = torch.rand(1, 1, 8, 6)
    assert torch.equal(MRI.from_spec(spec, arrays).A(x), centred.A(x))
    drawn = MRI((1, 8, 6), {"type": "radial", "lines": 2}, dc="centre")
    assert torch.equal(MRI.from_spec(drawn.to_spec(), {}).A(x), drawn.A(x))
    assert torch.equal(drawn.mask, MRI((1, 8, 6), {"type": "radial", "lines": 2}).mask)
    with pytest.raises(InputError, match="the key 'dc' of the mri specification is 'middle'"):
        MRI.from_spec({**spec, "dc": "middle"}, arrays)


def test_maps_in_double_precision_go_into_a_file(tmp_path: Path) -> None:
    """Files hold complex numbers in single precision, or pairs."""
    maps = torch.randn(2, 6, 5, dtype=torch.complex128)
    operator = MRI((1, 6, 5), random_mask(6, 5), sensitivity=maps)
    y = operator.A(torch.rand(1, 1, 6, 5))
    Measurement(operator, y[0], provenance=Provenance("idm", "a", "0" * 64)).save(tmp_path / "m.safetensors")
    again = load_measurement(tmp_path / "m.safetensors").operator
    assert isinstance(again, MRI) and again.sensitivity is not None
    assert torch.equal(again.sensitivity, maps) and again.to_spec() == operator.to_spec()


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
        MRI((1, 4, 4), mask, dc="middle")  # type: ignore[arg-type]
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


@pytest.mark.parametrize("dc", ["corner", "centre"])
@pytest.mark.parametrize(
    "mask",
    [
        {"type": "radial", "fraction": 0.3},
        {"type": "random", "acceleration": 3, "seed": 1},
        {"type": "equispaced", "acceleration": 2},
    ],
)
def test_held_out_points_are_measured_no_more_and_the_others_as_before(mask: dict[str, Any], dc: Any) -> None:
    operator = MRI((1, 48, 40), mask, dc=dc)
    parted = operator.hold_out(0.15)
    assert parted is not None
    others, kept, held, typical = parted
    assert isinstance(others, MRI) and not typical
    x = torch.rand(1, 1, 48, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = operator.A(x)
    torch.testing.assert_close(others.A(x), y[kept])
    assert 0.05 < y[held].numel() / y.numel() < 0.35 and y[held].numel() + y[kept].numel() == y.numel()
    lost = operator.mask & ~others.mask
    assert bool(others.mask[0, 0]) and int(lost.sum()) == y[held].numel()
    assert bool((lost == torch.roll(lost.flip(0, 1), (1, 1), (0, 1))).all()) == bool(
        (operator.mask == torch.roll(operator.mask.flip(0, 1), (1, 1), (0, 1))).all()
    )
    if mask["type"] != "radial":
        assert bool((lost.any(0) == lost.all(0)).all()), "whole lines"
    assert torch.equal(y[operator.hold_out(0.15).held], y[held]), "the same every time"  # type: ignore[union-attr]
    assert MRI((1, 48, 40), mask, dc=dc, sensitivity=random_maps(2, 48, 40)).hold_out(0.15) is None
